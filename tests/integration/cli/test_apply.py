"""`hookfarm apply` and `hookfarm export` as a user runs them."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hookfarm.registry.store import Registry
from tests.support.farm_processes import hookfarm
from tests.support.redis_server import RedisServer

URL = "http://127.0.0.1:9000/"
Command = Callable[..., "subprocess.CompletedProcess[str]"]
FILE = f"""
[[endpoints]]
url = "{URL}"
description = "payments"
[[endpoints.subscriptions]]
chain_id = 1
event = "Transfer(address indexed from, address indexed to, uint256 value)"
where = "value >= 1000"
"""


@pytest.fixture
def registry(redis_server: RedisServer) -> Iterator[Registry]:
    with redis_server.client() as client:
        yield Registry(client)


@pytest.fixture
def run(redis_url: str) -> Command:
    return lambda *arguments: hookfarm(*arguments, "--redis-url", redis_url, HOOKFARM_ALLOW_PRIVATE="127.0.0.0/8")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "endpoints.toml"
    path.write_text(FILE)
    return path


def done(finished: "subprocess.CompletedProcess[str]") -> str:
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


def test_a_file_becomes_the_registry_and_the_second_time_nothing_changes(
    registry: Registry, run: Command, file: Path
) -> None:
    said = done(run("apply", str(file)))
    [endpoint] = registry.all()
    assert (endpoint.url, endpoint.description, endpoint.subscriptions[0].where) == (
        URL,
        "payments",
        "value >= 1000",
    )
    assert f"+ {endpoint.id}  {URL}" in said
    assert f"secret of {endpoint.id}  {endpoint.secrets[0][0]}" in said
    assert done(run("apply", str(file))) == "0 added, 0 changed, 0 removed, 1 unchanged\n"
    assert registry.all() == [endpoint]


def test_a_dry_run_prints_the_difference_and_changes_nothing(registry: Registry, run: Command, file: Path) -> None:
    done(run("apply", str(file)))
    before = registry.all()
    file.write_text(FILE.replace("1000", "2000").replace("payments", "refunds"))
    said = done(run("apply", str(file), "--dry-run"))
    assert f"~ {before[0].id}\n" in said
    assert '    description: "payments" -> "refunds"\n' in said
    assert "0 added, 1 changed, 0 removed, 0 unchanged\n" in said
    assert said.endswith("Dry run: the registry is unchanged.\n")
    assert registry.all() == before


def test_nothing_is_removed_without_being_asked_for(registry: Registry, run: Command, file: Path) -> None:
    done(run("apply", str(file)))
    file.write_text("endpoints = []")
    refused = run("apply", str(file))
    assert refused.returncode == 1
    assert "1 endpoint will be removed" in refused.stderr
    assert "give --yes" in refused.stderr
    assert len(registry.all()) == 1
    done(run("apply", str(file), "--yes"))
    assert registry.all() == []


@pytest.mark.parametrize("kind", ["toml", "yaml", "json"])
def test_what_was_exported_can_be_applied_to_an_empty_registry(
    registry: Registry, run: Command, file: Path, kind: str
) -> None:
    done(run("apply", str(file)))
    [before] = registry.all()
    exported = file.with_suffix(f".{kind}")
    exported.write_text(done(run("export", "--format", kind)))
    assert "whsec_" not in exported.read_text()
    registry.remove(before.id)
    report: Any = json.loads(done(run("apply", str(exported), "--json")))
    [after] = registry.all()
    assert after.public() == before.public()
    [change] = report["changes"]
    assert (change["action"], change["id"], change["secret"]) == ("add", before.id, after.secrets[0][0])


def test_one_wrong_entry_and_nothing_is_done(registry: Registry, run: Command, file: Path) -> None:
    file.write_text(f'{FILE}\n[[endpoints]]\nurl = "ftp://a.example/"\n')
    refused = run("apply", str(file))
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert line.startswith("hookfarm: endpoints[1].url: ")
    assert registry.all() == []
