"""Where a storm takes place: a Redis, a recorder, endpoints, and farms that deliver from one to the other."""

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import psutil

from hookfarm.http_client.connections import MAX_IDLE_SECONDS
from hookfarm.store import keys
from tests.chaos.abort import AbortSignal
from tests.chaos.assertions import StormResult, await_drained, evaluate
from tests.chaos.control import Control
from tests.chaos.killer import Killer
from tests.chaos.load import CHAIN_ID, Load, add_endpoints
from tests.chaos.recording import Recording
from tests.chaos.table import Row, Table
from tests.support.farm_processes import FarmProcess, StartFarm
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

LOOPBACK = "127.0.0.0/8"
ENDPOINTS = 20
ZOMBIE_SECONDS = 1.0
READY_SECONDS = 40.0
WORKER_TITLE = f"hookfarm: {keys.WEBHOOK_DELIVERY} "
PROCESSOR_TITLE = f"hookfarm: {keys.MESSAGE_PROCESSOR} "


@dataclass
class Cluster:
    """`chance` comes from the seed that was printed."""

    server: RedisServer
    recording: Recording
    start_farm: StartFarm
    chance: random.Random
    seed: int
    table: Table
    judged: int = 0
    """How many arrivals belong to what was settled before."""
    abort: AbortSignal = field(default_factory=AbortSignal)
    """Set when a load or an action beside it fails."""

    def farm(self, workers: int, *options: str, **variables: str) -> FarmProcess:
        """A ready farm of processors and workers; `variables` are settings as `HOOKFARM_…`."""
        arguments = (keys.MESSAGE_PROCESSOR, keys.WEBHOOK_DELIVERY, "--workers", str(workers), *options)
        settings = {"HOOKFARM_ALLOW_PRIVATE": LOOPBACK, **variables}
        return self.start_farm(*arguments, redis_url=self.server.url, **settings).wait_ready()

    @contextlib.contextmanager
    def load(
        self,
        endpoints: int = ENDPOINTS,
        fan_out: int = ENDPOINTS,
        behaviour: str = "200",
        chain_id: int = CHAIN_ID,
    ) -> Iterator[Load]:
        """Events for that many endpoints at the recorder, which does to them what `behaviour` says."""
        with self.server.client() as client:
            made = add_endpoints(client, self.recording, endpoints, fan_out, behaviour, chain_id=chain_id)
            yield Load(client, made, fan_out, chain_id, self.abort)

    def killer(self, farm: FarmProcess, title: str = WORKER_TITLE, sockets: int = 0) -> Killer:
        return Killer(farm.pid, title, self.chance, sockets, self.abort)

    def settle(self, *loads: Load) -> StormResult:
        """Waits until both hops are empty, and judges what has arrived since this was done last."""
        began, drain_error = time.monotonic(), None
        try:
            with self.server.client() as client:
                await_drained(client)
        except AssertionError as error:
            drain_error = error
        drained_seconds = time.monotonic() - began
        arrivals = self.recording.arrivals[self.judged :]
        self.judged += len(arrivals)
        owed = {webhook_id: at for load in loads for webhook_id, at in load.owed().items()}
        return replace(evaluate(owed, arrivals), drained_seconds=drained_seconds, drain_error=drain_error)

    def conclude(
        self, test: str, *loads: Load, kills: int, conditions: str, control: Control | None = None
    ) -> StormResult:
        """Settles and adds the row; the test judges."""
        found = self.settle(*loads)
        counts = (kills, found.produced, len(found.lost), found.duplicates, found.slowest_seconds)
        self.table.add(Row(test, *counts, f"{conditions}, seed {self.seed}", str(control or "")))
        return found


@dataclass(frozen=True)
class OpenFiles:
    """What a farm has open when nothing happens: file descriptors by process."""

    keeper: int
    master: int
    workers: int
    """Of the worker that has the most."""

    def within(self, before: "OpenFiles") -> bool:
        """Whether that is what was open `before`, but one connection per worker: a keeper may be between two."""
        same = (self.master, self.keeper) == (before.master, before.keeper)
        return same and self.workers <= before.workers + 1


def open_files(farm: FarmProcess) -> OpenFiles:
    children = farm.children()
    workers = [_files(child) for name, child in children.items() if name.startswith(keys.WEBHOOK_DELIVERY)]
    return OpenFiles(_files(children["keeper 0"]), _files(psutil.Process(farm.pid)), max(workers))


def assert_recovered(farm: FarmProcess, before: OpenFiles, workers: int) -> None:
    """At full strength again, no zombie, and no more open files than `before`, but one connection per worker."""
    eventually(lambda: not farm.zombies(), ZOMBIE_SECONDS, "the end of all zombies")
    eventually(lambda: farm.is_ready(keys.WEBHOOK_DELIVERY), READY_SECONDS, "readiness")
    eventually(lambda: len(farm.workers()) == workers, READY_SECONDS, "full strength")
    idle_seconds = MAX_IDLE_SECONDS + READY_SECONDS
    eventually(lambda: open_files(farm).within(before), idle_seconds, f"no more open files than {before}")


def _files(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.NoSuchProcess):
        return int(process.num_fds())
    return 0
