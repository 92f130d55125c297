"""Running the control under the storm that the farm has had: it must lose jobs, or the storm proves nothing.

Its list is never empty while the storm lasts, so that there is something to lose with each kill.
"""

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hookfarm.store.clients import command_client
from tests.chaos.killer import Killer
from tests.chaos.recording import Recording, running_recorder
from tests.support.farm_processes import CHECKOUT, environment, kill_session
from tests.support.waiting import eventually

LIST = "control"
AHEAD = 500
"""How many jobs wait in the list at least, and how many are added at once."""
REFILL_SECONDS = 0.005
DRAIN_SECONDS = 30.0
MAX_STORMS = 8
TITLE = "control: worker"


@dataclass(frozen=True)
class Control:
    """What became of the control."""

    kills: int
    produced: int
    lost: int

    def __str__(self) -> str:
        return f"{self.lost:,} of {self.produced:,} ({self.kills:,} kills)"


class Pool:
    """A pool of plain BRPOP workers, in a session of its own; may be ended and started again."""

    def __init__(self, url: str, recording: Recording, workers: int) -> None:
        self._command = [
            sys.executable,
            "-m",
            "tests.chaos.brpop_pool",
            url,
            LIST,
            str(recording.port),
            str(workers),
        ]
        self._recording = recording
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def master(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns once its workers are forked and deliver: who has nothing in hand yet can lose nothing."""
        before = len(self._recording.arrivals)
        self._process = subprocess.Popen(
            self._command, cwd=CHECKOUT, env=environment(), stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the control did not start"
        eventually(lambda: len(self._recording.arrivals) > before, what="the control's first delivery")

    def signal_all(self, number: int = signal.SIGKILL) -> None:
        """Master and workers, at once."""
        os.killpg(self.master, number)
        self.close()

    def close(self) -> None:
        if self._process is not None:
            kill_session(self._process.pid)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process.wait()
            self._process = None


def storm_over_control(url: str, workers: int, storm: Callable[[Pool], int]) -> Control:
    """Run `storm`, which returns how often it killed, over a pool that always has something to do.

    A kill loses only a job that was popped and not yet sent, by chance: the storm is repeated until one is lost.
    """
    total = Control(0, 0, 0)
    for _ in range(MAX_STORMS):
        found = _one_storm(url, workers, storm)
        total = Control(total.kills + found.kills, total.produced + found.produced, total.lost + found.lost)
        if total.lost:
            break
    return total


def _one_storm(url: str, workers: int, storm: Callable[[Pool], int]) -> Control:
    with running_recorder() as recording, contextlib.closing(Pool(url, recording, workers)) as pool:
        with _kept_full(url) as numbers:
            pool.start()
            kills = storm(pool)
        with command_client(url) as client:
            eventually(lambda: not client.llen(LIST), DRAIN_SECONDS, "the control's list drained")
        produced = next(numbers)
        _settle(recording.ids)
        return Control(kills, produced, produced - len(recording.ids()))


def worker_kills(every_seconds: float, seconds: float, chance: random.Random) -> Callable[[Pool], int]:
    """A storm that kills single workers of the pool."""

    def storm(pool: Pool) -> int:
        killer = Killer(pool.master, TITLE, chance)
        for _ in killer.storm(every_seconds, seconds):
            pass
        return killer.kills

    return storm


@contextlib.contextmanager
def _kept_full(url: str) -> Iterator["itertools.count[int]"]:
    """Adds numbered jobs as long as the block lasts; the next number is how many there were."""
    numbers, over = itertools.count(), threading.Event()

    def fill() -> None:
        with command_client(url) as client:
            while not over.wait(REFILL_SECONDS):
                if client.llen(LIST) < AHEAD:
                    client.lpush(LIST, *(next(numbers) for _ in range(AHEAD)))

    thread = threading.Thread(target=fill, name="control's load")
    thread.start()
    try:
        yield numbers
    finally:
        over.set()
        thread.join()


def _settle(ids: Callable[[], set[str]]) -> None:
    """Returns when a second has brought nothing more: what was popped last has arrived, or never will."""
    counts = [len(ids())]

    def still() -> bool:
        counts.append(len(ids()))
        return len(counts) > 100 and counts[-1] == counts[-100]

    eventually(still, within=DRAIN_SECONDS, what="the control's last delivery")
