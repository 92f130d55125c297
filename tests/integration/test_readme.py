"""README.md is correct: its examples are extracted and used."""

import http.client
import json
import re
import shlex
import subprocess
import sys
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from standardwebhooks import Webhook

from hookfarm import config
from hookfarm.cli.main import load
from hookfarm.registry.reconcile import diff
from tests.support.farm_processes import CHECKOUT

README = (CHECKOUT / "README.md").read_text()
BLOCKS = re.findall(r"^```([a-z]*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


def typed() -> list[str]:
    """Each call of bin/hookfarm, without what stands behind it for people."""
    lines = "\n".join(blocks("")).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ").partition(" #")[0] for line in lines if "bin/hookfarm" in line]


@pytest.mark.parametrize("line", typed())
def test_what_is_typed_is_a_command_with_such_options(line: str) -> None:
    words = shlex.split(line.replace("…", ""))
    words = words[words.index("bin/hookfarm") + 1 :]
    command = load(words.pop(0))
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_table_of_settings_has_every_setting() -> None:
    table = README.partition("| setting | option |")[2].partition("\n\n")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert re.findall(r"`(\w+)`", " ".join(first_cells)) == [setting.name for setting in config.SETTINGS]


def test_the_table_of_settings_names_the_options_of_start() -> None:
    start = {name for parameter in load("start").params for name in parameter.opts}
    table = README.partition("| setting | option |")[2].partition("\n\n")[0]
    options = re.findall(r"`(--[a-z-]+)`", " ".join(line.split("|")[2] for line in table.splitlines()[2:]))
    assert options
    assert set(options) <= start


def test_the_files_of_settings_and_endpoints_are_accepted(tmp_path: Path) -> None:
    endpoints, settings = blocks("toml")
    plan = diff(tomllib.loads(endpoints)["endpoints"], [], lambda url: url)
    assert [change.before for change in plan.changes] == [None]
    (tmp_path / "hookfarm.toml").write_text(settings)
    loaded = config.load({}, file=tmp_path / "hookfarm.toml", environment={})
    assert [chain.chain_id for chain in loaded.chains] == [1, 8453]


def test_the_receiver_tells_good_signatures_from_bad_ones(tmp_path: Path) -> None:
    [receiver] = blocks("python")
    body = json.dumps({"type": "log.emitted", "data": {"block_number": 7}})
    now = datetime.fromtimestamp(int(time.time()), UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, body),
    }
    listening = receiver.replace('("127.0.0.1", 9000), Hooks).serve_forever()', '("127.0.0.1", 0), Hooks)')
    program = tmp_path / "receiver.py"
    program.write_text(
        f"{listening.rstrip().replace('ThreadingHTTPServer((', 'server = ThreadingHTTPServer((')}\n"
        "print(server.server_port, flush=True)\nserver.serve_forever()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-u", program, SECRET], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            assert [posted(port, body, {**headers, **more}) for more in ({}, {"webhook-id": "msg_2"})] == [
                204,
                401,
            ]
            assert process.stdout.readline() == "{'block_number': 7}\n"
        finally:
            process.kill()


def posted(port: int, body: str, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()
