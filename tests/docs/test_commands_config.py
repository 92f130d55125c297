"""Files and snippets in the pages: settings, endpoints, conditions, payloads and programs are accepted."""

import json
import re
import subprocess
import sys
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from standardwebhooks import Webhook

from hookfarm import config
from hookfarm.records import parse_subscription
from hookfarm.registry.reconcile import diff
from tests.support.doc_pages import CHECKOUT, Block, all_blocks, blocks, text_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RUNBOOK = "docs/how-to/troubleshooting.md"


def of(language: str) -> list[Block]:
    return [block for block in all_blocks() if block.language == language]


def conditions() -> list[tuple[str, str]]:
    pairs = [(block.argument("where"), block) for block in of("text")]
    return [(event, line) for event, block in pairs if event for line in block.text.splitlines()]


@pytest.mark.parametrize(("signature", "condition"), conditions())
def test_a_condition_compiles(signature: str, condition: str) -> None:
    parse_subscription({"chain_id": 1, "event": signature, "where": condition})


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_a_toml_file_is_accepted(block: Block, tmp_path: Path) -> None:
    _accept(block, tomllib.loads(block.text), tmp_path)


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_a_yaml_file_is_accepted(block: Block, tmp_path: Path) -> None:
    _accept(block, yaml.safe_load(block.text), tmp_path)


def _accept(block: Block, content: Any, folder: Path) -> None:
    if "endpoints" in content:
        plan = diff(content["endpoints"], [], lambda url: url)
        assert [change.before for change in plan.changes] == [None] * len(content["endpoints"])
        return
    file = folder / "hookfarm.toml"
    file.write_text(block.text)
    loaded = config.load({}, file=file, environment={})
    assert {str(chain.chain_id) for chain in loaded.chains} == set(content["chains"])


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_json_is_a_webhook_a_subscription_or_its_decoded_part(block: Block) -> None:
    content = json.loads(block.text)
    if "kind" in content:
        assert parse_subscription(content).is_operational
    elif "type" in content:
        assert content["data"]["event"].keys() == {"name", "args"}
    else:
        assert content.keys() == {"name", "args"}


def receiver_of(page: str) -> str:
    [receiver] = [block.text for block in blocks(page) if block.language == "python"]
    return receiver


def test_there_is_one_program_in_python() -> None:
    assert [block.page for block in of("python")] == ["docs/tutorials/your-own-chain.md"]


def test_the_receiver_accepts_good_signatures_and_refuses_bad_ones(tmp_path: Path) -> None:
    receiver = receiver_of("docs/tutorials/your-own-chain.md")
    body = json.dumps({"type": "log.emitted", "data": {"block_number": 7}})
    now = datetime.fromtimestamp(int(time.time()), UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, body),
    }
    listening = receiver.replace('ThreadingHTTPServer(("127.0.0.1", 9000), Hooks).serve_forever()', "")
    assert listening != receiver
    program = tmp_path / "receiver.py"
    program.write_text(
        f'{listening.rstrip()}\n\n\nserver = ThreadingHTTPServer(("127.0.0.1", 0), Hooks)\n'
        "print(server.server_port, flush=True)\nserver.serve_forever()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-u", program, SECRET], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = f"http://127.0.0.1:{int(process.stdout.readline())}/"
            tampered = {**headers, "webhook-id": "msg_2"}
            assert [_post(url, body, each) for each in (headers, tampered)] == [204, 401]
            assert process.stdout.readline() == "{'block_number': 7}\n"
        finally:
            process.kill()


def _post(url: str, body: str, headers: dict[str, str]) -> int:
    with urllib3.PoolManager() as client:
        return client.request("POST", url, body=body, headers=headers, timeout=10, retries=False).status


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((CHECKOUT / "deploy/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_each_alert_has_its_heading_in_the_runbook_and_links_it() -> None:
    runbook = text_of(RUNBOOK).partition("\n## Runbook\n")[2]
    sections = re.split(r"^### (\w+)$", runbook, flags=re.MULTILINE)[1:]
    assert sections[::2] == [alert["alert"] for alert in alerts()]
    for section in sections[1::2]:
        assert re.findall(r"^\*\*(\w+)\.\*\*", section, re.MULTILINE) == ["Meaning", "Check", "Act"]
    links = [alert["annotations"]["runbook_url"] for alert in alerts()]
    assert links == [f"{RUNBOOK}#{alert['alert'].lower()}" for alert in alerts()]


def test_numbers_of_the_rules_are_those_of_the_runbook() -> None:
    runbook = text_of(RUNBOOK)
    for alert in alerts():
        section = runbook.partition(f"\n### {alert['alert']}\n")[2].partition("\n### ")[0]
        for number in re.findall(r"> (\d{2,})\b", alert["expr"]):
            assert f"{int(number):,}" in section, (alert["alert"], number)
