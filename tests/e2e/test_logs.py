"""What a running farm writes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from hookfarm.devchain.embedded import running_devchain
from tests.support.farm_processes import FarmProcess
from tests.support.pipeline import Pipeline
from tests.support.waiting import eventually

CHAIN = 1337
CANARY = "canary-in-a-path"


@pytest.fixture
def chain() -> Iterator[Any]:
    with running_devchain(chain_id=CHAIN, logs_per_block=5) as running:
        yield running


def start(pipeline: Pipeline, chain: Any, *options: str) -> FarmProcess:
    urls = f"{CHAIN}={chain.ws_url}/{CANARY},http://127.0.0.1:1/{CANARY}?key={CANARY}"
    return pipeline.start("--workers", "3", "--chain", urls, "--log-format", "json", *options)


def lines(farm: FarmProcess) -> list[dict[str, Any]]:
    """All whole lines so far; each must be JSON."""
    return [json.loads(line) for line in farm.stderr.splitlines(keepends=True) if line.endswith("\n")]


def attempts(farm: FarmProcess) -> list[dict[str, Any]]:
    return [line for line in lines(farm) if line["action"] == "attempt"]


def test_every_attempt_is_a_json_line_where_that_is_wanted(pipeline: Pipeline, chain: Any) -> None:
    farm = start(pipeline, chain, "--log-attempts", "all")
    endpoint = pipeline.add_endpoint(CHAIN)
    chain.mine(2)
    pipeline.receiver.wait_for(10)
    eventually(lambda: len(attempts(farm)) == 10, what="a line for each attempt")
    assert {line["delivery"] for line in attempts(farm)} == {
        received.id for received in pipeline.receiver.received
    }
    assert {(line["outcome"], line["status"], line["endpoint"]) for line in attempts(farm)} == {
        ("delivered", 200, endpoint["id"])
    }
    assert farm.stop() == 0
    assert {"time", "level", "logger", "action"} <= set.intersection(*(set(line) for line in lines(farm)))
    assert CANARY not in farm.stderr


def test_what_succeeds_is_not_logged_unless_that_is_wanted(pipeline: Pipeline, chain: Any) -> None:
    farm = start(pipeline, chain)
    pipeline.add_endpoint(CHAIN)
    chain.mine(2)
    pipeline.receiver.wait_for(10)
    assert farm.stop() == 0
    assert attempts(farm) == []
    assert {"ready", "connected", "stopped"} <= {line["action"] for line in lines(farm)}
