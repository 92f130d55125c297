"""The API against its own description: schemathesis makes requests that fit /openapi.json and others that do not.

Whatever comes, the answer is a documented one: never a 500, never another shape than its schema, and a
problem document where the request is wrong.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hookfarm.chain.node_pool import NodePool
from hookfarm.errors import ChainUnavailable
from hookfarm.event_ingestor import telemetry
from hookfarm.event_ingestor.telemetry import IngestorCounters
from hookfarm.farm.scoreboard import Scoreboard, State
from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry
from hookfarm.status import readiness
from hookfarm.store import keys
from tests.support.api_process import TOKEN, Api, running_api
from tests.support.backfill_queue import start
from tests.support.redis_server import RedisServer

SEED = 7
EXAMPLES = 15
"""For each operation; over a thousand cases that the schemas suggest come on top. Bounded by a time instead,
schemathesis would begin again until that is over, and prove less on a slow machine."""
PATIENCE_SECONDS = 200
LIVE = "/v1/stats/stream"
"""It never ends."""
TRYING = "/v1/endpoints/{endpoint_id}/test"
"""It sends to whatever URL an endpoint has, so it is asked of one on loopback, and not among those made up."""
KNOWN = Endpoint("ep_known", "http://127.0.0.1:9/")
CONFIGURATION = """
[checks.positive_data_acceptance]
# Signatures, conditions, cursors and public addresses have rules that JSON Schema cannot express (422), a stale
# ETag is none of its affairs (412), and only so many endpoints are tried at a time (503).
expected-statuses = ["2xx", 401, 403, 404, 409, 412, 422, 503]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 404, 405, 409, 412, 413, 415, 421, 422]
"""


@pytest.fixture
def api(redis_server: RedisServer) -> Any:
    with redis_server.client() as client, running_api(redis_server.url) as one:
        for service in keys.SERVICES:
            readiness.publish(client, service, {})
        readiness.publish(client, keys.EVENT_INGESTOR, {"chains": [chain_report()]})
        readiness.publish_part(client, keys.ingestor_of(7))
        Registry(client).add(KNOWN)
        start(client, KNOWN.id)
        yield one


def chain_report() -> telemetry.ChainReport:
    """The report of an ingestor that catches up with a chain, one of whose nodes has failed."""
    [slot] = Scoreboard({keys.EVENT_INGESTOR: 1}).slots(keys.EVENT_INGESTOR)
    slot.state = State.UP
    numbers, watched = IngestorCounters(slot, 7), NodePool(["wss://one.example", "https://two.example"]).all
    numbers.nodes.watch(watched)
    numbers.nodes.failed(watched[0], ChainUnavailable("HTTP 429"), 600.0)
    numbers.catching_up(12.0, 65.0)
    [chain] = telemetry.report([slot])["chains"]
    return chain


def test_no_request_gets_an_answer_that_is_not_described(api: Api, tmp_path: Path) -> None:
    run(api, tmp_path, CONFIGURATION, "--exclude-path", LIVE, "--exclude-path", TRYING)


def test_no_request_for_a_test_gets_an_answer_that_is_not_described(api: Api, tmp_path: Path) -> None:
    known = f'[parameters]\n"path.endpoint_id" = "{KNOWN.id}"\n'
    run(api, tmp_path, known + CONFIGURATION, "--include-path", TRYING)


def run(api: Api, place: Path, configuration: str, *which: str) -> None:
    config = place / "schemathesis.toml"
    config.write_text(configuration)
    command = [
        *(str(Path(sys.executable).with_name("st")), "--config-file", str(config)),
        *("run", f"{api.url}/openapi.json", "--header", f"Authorization: Bearer {TOKEN}", *which),
        *("--checks", "all", "--phases", "examples,coverage,fuzzing"),
        *("--max-examples", str(EXAMPLES), "--seed", str(SEED)),
        *("--generation-database", "none", "--no-shrink", "--warnings", "off", "--no-color"),
    ]
    found = subprocess.run(
        command, cwd=place, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr
