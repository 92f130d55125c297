"""A farm, a receiver and endpoints for the tests of the whole pipeline."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.farm_processes import FarmProcess, StartFarm, hookfarm, started_farms
from tests.support.receivers import Receiver, running_receiver

LOOPBACK = "127.0.0.0/8"
TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"


@dataclass
class Pipeline:
    """Farms on one Redis and a receiver that an endpoint of theirs leads to."""

    start_farm: StartFarm
    redis_url: str
    receiver: Receiver

    def start(self, *arguments: str) -> FarmProcess:
        """A farm on this Redis, once all that it was asked to run is ready."""
        farm = self.start_farm(
            *arguments, "--api", "127.0.0.1:0", redis_url=self.redis_url, HOOKFARM_ALLOW_PRIVATE=LOOPBACK
        )
        return farm.wait_ready()

    def add_endpoint(self, chain_id: int, *options: str, event: str | None = TRANSFER) -> dict[str, Any]:
        """Adds it as a user would; the receiver trusts its secret from now on."""
        said = hookfarm(
            *("endpoints", "add", self.receiver.url, "--json", "--redis-url", self.redis_url),
            *("--chain", str(chain_id), *(("--event", event) if event else ()), *options),
            HOOKFARM_ALLOW_PRIVATE=LOOPBACK,
        )
        assert said.returncode == 0, said.stderr
        endpoint: dict[str, Any] = json.loads(said.stdout)
        self.receiver.trust(endpoint["secret"])
        return endpoint


@pytest.fixture
def start_farm(tmp_path: Path) -> Iterator[StartFarm]:
    with started_farms() as start:
        yield start


@pytest.fixture
def pipeline(start_farm: StartFarm, redis_url: str) -> Iterator[Pipeline]:
    with running_receiver() as receiver:
        yield Pipeline(start_farm, redis_url, receiver)
