"""Redis is there and yet it isn't: connections cut, the server asleep, the clients paused.

Some endpoints answer 503 to everything, so that a delivery acknowledged without a 2xx would show: theirs must all
still be in the ledger at the end, attempted or parked behind an open circuit, and no others.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis

from hookfarm.store import keys
from tests.chaos.assertions import evaluate
from tests.chaos.cluster import Cluster, assert_recovered, open_files
from tests.chaos.load import CHAIN_ID, Load, add_endpoints
from tests.chaos.sizes import sizes
from tests.chaos.table import Row
from tests.support.delivery import parked as parked_for
from tests.support.ledger import assert_ledger_invariant
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

FAN_OUT = 5
GOOD, REFUSING = 15, 5
ASLEEP_SECONDS = 2.0
PAUSED_MILLISECONDS = 3000
DRAIN_SECONDS = 60.0


@dataclass(frozen=True)
class Storm:
    workers: int
    per_second: float
    every_seconds: float
    times: int


Hit = Callable[[RedisServer], int]
"""Does it to the server once, and says how many it has hit."""


def cut_connections(server: RedisServer) -> int:
    with server.client() as client:
        return int(client.execute_command("CLIENT", "KILL", "TYPE", "normal"))


def put_to_sleep(server: RedisServer) -> int:
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    try:
        pass_time(ASLEEP_SECONDS)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    return 1


def pause_clients(server: RedisServer) -> int:
    with server.client() as client:
        client.client_pause(PAUSED_MILLISECONDS)
    pass_time(PAUSED_MILLISECONDS / 1000)
    return 1


def pass_time(seconds: float) -> None:
    date = time.monotonic() + seconds
    eventually(lambda: time.monotonic() >= date, seconds + 1, "the time going by")


def owed_and_undecided(client: "redis.Redis") -> int:
    return int(client.xlen(keys.events(CHAIN_ID))) + int(client.zcard(keys.OPEN))


def storm(cluster: Cluster, size: Storm, hit: Hit, test: str) -> None:
    farm = cluster.farm(size.workers, HOOKFARM_RETRY_SCHEDULE="1h")
    before = open_files(farm)
    hits = 0
    with cluster.server.client() as client:
        good = add_endpoints(client, cluster.recording, GOOD, FAN_OUT)
        bad = add_endpoints(client, cluster.recording, REFUSING, FAN_OUT, behaviour="503", group=GOOD)
        load = Load(client, [*good, *bad], FAN_OUT, abort=cluster.abort)
        with load.at(size.per_second):
            for _ in range(size.times):
                cluster.abort.sleep(size.every_seconds)
                hits += hit(cluster.server)
        eventually(lambda: owed_and_undecided(client) == 0, DRAIN_SECONDS, "every delivery attempted")
        delivered = set(client.hkeys(keys.DELIVERED))
        kept = {name.decode() for name in client.hkeys(keys.JOBS) if name not in delivered}
        parked = {name for endpoint in bad for name in parked_for(client, endpoint)}
        assert_ledger_invariant(client)
    owed = load.owed()
    attempted = {delivery: since for delivery, since in owed.items() if delivery not in parked}
    found = evaluate(attempted, cluster.recording.arrivals)
    conditions = f"{size.per_second:.0f}/s, {size.workers} workers, seed {cluster.seed}"
    counts = (hits, found.produced, len(found.lost), found.duplicates, found.slowest_seconds)
    cluster.table.add(Row(test, *counts, conditions))
    found.assert_correct(deaths=hits)
    refused = {endpoint.id for endpoint in bad}
    answered = {arrival.id for arrival in cluster.recording.arrivals if arrival.endpoint not in refused}
    assert owed.keys() - kept == answered, "what left the ledger is not what was answered with a 2xx"
    assert kept, "no delivery was refused: the test proves nothing"
    assert_recovered(farm, before, size.workers)
    assert farm.stop() == 0


@sizes(short=Storm(8, 300, every_seconds=0.1, times=20), full=Storm(50, 1000, every_seconds=0.1, times=300))
def test_connections_killed_again_and_again_lose_nothing_and_acknowledge_nothing_wrongly(
    cluster: Cluster, size: Storm
) -> None:
    storm(cluster, size, cut_connections, "Redis connections killed every 100 ms")


@sizes(short=Storm(8, 300, every_seconds=0.5, times=1), full=Storm(50, 1000, every_seconds=2, times=8))
def test_a_server_that_sleeps_for_two_seconds_loses_nothing_and_acknowledges_nothing_wrongly(
    cluster: Cluster, size: Storm
) -> None:
    storm(cluster, size, put_to_sleep, "Redis asleep for 2 s")


@sizes(short=Storm(8, 300, every_seconds=0.5, times=1), full=Storm(50, 1000, every_seconds=2, times=6))
def test_a_server_that_pauses_for_three_seconds_loses_nothing_and_acknowledges_nothing_wrongly(
    cluster: Cluster, size: Storm
) -> None:
    storm(cluster, size, pause_clients, "Redis paused for 3 s")
