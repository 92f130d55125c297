"""The API against its own description: schemathesis makes requests that fit /openapi.json and others that do not.

Whatever comes, the answer is a documented one: never a 500, never another shape than the schema says, and a
problem document where the request is wrong.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hookfarm import keys, readiness
from tests.support.api_process import TOKEN, Api, running_api
from tests.support.delivery import add_endpoint
from tests.support.redis_server import RedisServer

SECONDS = 50
SEED = 7
EXAMPLES = 6
LIVE = "/v1/stats/stream"
"""It never ends."""
CONFIGURATION = """
[checks.positive_data_acceptance]
# Signatures, conditions, cursors and public addresses have rules that JSON Schema cannot say (422), a stale
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
        for _ in range(3):
            add_endpoint(client, "http://127.0.0.1:9/")
        yield one


def test_no_request_gets_an_answer_that_is_not_described(api: Api, tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIGURATION)
    command = [
        *(str(Path(sys.executable).with_name("st")), "--config-file", str(config)),
        *("run", f"{api.url}/openapi.json", "--header", f"Authorization: Bearer {TOKEN}"),
        *("--checks", "all", "--phases", "examples,coverage,fuzzing", "--exclude-path", LIVE),
        *("--max-examples", str(EXAMPLES), "--max-time", str(SECONDS), "--seed", str(SEED)),
        *("--generation-database", "none", "--no-shrink", "--warnings", "off", "--no-color"),
    ]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=4 * SECONDS, check=False)
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr
