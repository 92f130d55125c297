"""Whatever hookfarm runs dies by SIGKILL, its own Redis included, or that hangs: full service comes back."""

import json
import signal
import socket
import time
import urllib.request
from dataclasses import dataclass

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.store import keys
from tests.chaos.assertions import evaluate
from tests.chaos.cluster import LOOPBACK, Cluster
from tests.chaos.load import CHAIN_ID
from tests.chaos.pipeline import add_endpoints_at, owed_ids
from tests.chaos.sizes import sizes
from tests.chaos.table import Row
from tests.support.farm_processes import FarmProcess
from tests.support.machine import promised
from tests.support.waiting import eventually

WORKERS = 5
SERVICE_SECONDS = 10.0
HUNG_SERVICE_SECONDS = 25.0
KINDS = ("redis", "keeper 0", "api 0", "event_ingestor 0", "message_processor 0", "webhook_delivery 0")


@dataclass(frozen=True)
class Deaths:
    rounds: int


def started(cluster: Cluster, chain: RunningDevchain) -> FarmProcess:
    """All services over a Redis of the farm's own. The API has a port that its successor can have too."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        api = f"127.0.0.1:{taken.getsockname()[1]}"
    options = ("--workers", str(WORKERS), "--chain", f"{CHAIN_ID}={chain.ws_url}", "--api", api)
    return cluster.start_farm(*options, HOOKFARM_ALLOW_PRIVATE=LOOPBACK).wait_ready()


def health(farm: FarmProcess) -> str:
    """What the API says of the whole; empty where there is none."""
    api = next(
        line.split()[-1].partition("#")[0].rstrip("/")
        for line in farm.stdout.splitlines()
        if line.strip().startswith("api")
    )
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=10) as answer:
            said: str = json.load(answer)["status"]
            return said
    except OSError:
        return ""


def in_full_service(farm: FarmProcess, names: set[str]) -> bool:
    return farm.children().keys() == names and all(map(farm.is_ready, keys.SERVICES)) and health(farm) == "ready"


@sizes(short=Deaths(rounds=1), full=Deaths(rounds=10))
def test_a_kill_of_anything_that_a_farm_runs_is_followed_by_full_service(cluster: Cluster, size: Deaths) -> None:
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=10) as chain:
        farm = started(cluster, chain)
        names = set(farm.children())
        assert names >= set(KINDS)
        with farm.client() as client:
            endpoints = add_endpoints_at(client, cluster.recording)
        slowest = dict.fromkeys(KINDS, 0.0)
        for _ in range(size.rounds):
            for kind in cluster.chance.sample(KINDS, len(KINDS)):
                victim = farm.children()[kind]
                victim.kill()
                killed = time.monotonic()
                chain.mine(1)
                eventually(lambda: not victim.is_running(), what="its end")  # noqa: B023
                what = f"full service after the death of {kind}"
                eventually(lambda: in_full_service(farm, names), promised(SERVICE_SECONDS), what)
                cluster.recording.wait_for_ids(owed_ids(chain, endpoints), within=60)
                slowest[kind] = max(slowest[kind], time.monotonic() - killed)
        found = evaluate(dict.fromkeys(owed_ids(chain, endpoints), 0.0), cluster.recording.arrivals)
        kills = size.rounds * len(KINDS)
        times = ", ".join(f"{kind.removesuffix(' 0')} {seconds:.2f} s" for kind, seconds in slowest.items())
        counts = (kills, found.produced, len(found.lost), found.duplicates, max(slowest.values()))
        cluster.table.add(
            Row(
                "each kind of process killed",
                *counts,
                f"service and the next block's deliveries after: {times}, seed {cluster.seed}",
            )
        )
        print(times)
        found.assert_correct(deaths=kills)
        assert farm.stop() == 0


@pytest.mark.chaos
def test_a_hung_redis_of_a_farms_own_is_replaced_and_nothing_is_lost(cluster: Cluster) -> None:
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=10) as chain:
        farm = started(cluster, chain)
        names = set(farm.children())
        with farm.client() as client:
            endpoints = add_endpoints_at(client, cluster.recording)
        chain.mine(5)
        cluster.recording.wait_for_ids(owed_ids(chain, endpoints), within=60)
        stopped = farm.children()["redis"]
        stopped.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        chain.mine(5)
        eventually(
            lambda: not stopped.is_running(), promised(HUNG_SERVICE_SECONDS), "the hung server being killed"
        )
        eventually(lambda: in_full_service(farm, names), promised(SERVICE_SECONDS), "full service")
        took = time.monotonic() - began
        cluster.recording.wait_for_ids(owed_ids(chain, endpoints), within=60)
        found = evaluate(dict.fromkeys(owed_ids(chain, endpoints), 0.0), cluster.recording.arrivals)
        conditions = f"{WORKERS} workers, seed {cluster.seed}"
        cluster.table.add(
            Row("own Redis hung", 1, found.produced, len(found.lost), found.duplicates, took, conditions)
        )
        found.assert_correct(deaths=1)
        assert farm.stop() == 0
