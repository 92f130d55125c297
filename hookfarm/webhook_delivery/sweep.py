"""Sweep: find and requeue orphans, jobs that were popped and that no worker holds.

BRPOP removes an element before its worker has it. The worker may be killed at that time, or the reply be lost.
Then the job is open in the ledger, missing from the list, and held by no worker. Recording the job after the pop
would not close that gap. The sweep works in three steps:

1. Read the watermark W, the sequence of the element that is popped next. The list is ordered by sequence, so
   every open job below W has been popped. A job below W that no farm holds is a suspect. Most suspects are on
   their way to a worker.
2. If a suspect is seen twice, begin a round: note W, and wait for each worker. A worker is accounted for once it
   has sent another BRPOP, has no BRPOP under way, or is gone. A worker blocked in an earlier BRPOP is unblocked.
   After the round, each worker's slot contains all jobs below W that the worker has.
3. Publish W and the held sequences, as every farm on this Redis does. An orphan is an open job below the
   smallest W that no farm holds. Requeue it; after MAX_ORPHANED times it becomes a dead letter, `worker_lost`.

Late updates are safe. A worker holds a job until Redis has confirmed its settlement. A silent farm keeps its
held jobs for FARM_TIMEOUT_MS.
"""

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import redis

from hookfarm import delivery_queue, logs
from hookfarm.delivery_queue import FarmLimits, OrphanState
from hookfarm.farm.scoreboard import Slot
from hookfarm.store import keys
from hookfarm.store.clients import unblock
from hookfarm.webhook_delivery import telemetry

SWEEP_SECONDS = 0.5
_HOST = socket.gethostname()

log = logs.get("webhook_delivery")


class Sweep:
    """Sweep of one farm, run in a child of its master. `perform` is one step and never waits for a worker."""

    def __init__(
        self,
        slots: Sequence[Slot],
        run: str,
        limits: Callable[[], FarmLimits],
        on_orphan: Callable[[OrphanState], None] = lambda _became: None,
    ) -> None:
        """`limits` returns the farm's current limits."""
        self._slots = slots
        self._run = run
        self._limits = limits
        self._on_orphan = on_orphan
        self._holder = f"{_HOST}/{os.getppid()}/{run}"
        self._watermark = 0
        """Watermark of the last finished round."""
        self._noted: int | None = None
        """Watermark of the round under way; None between rounds."""
        self._noted_ns = 0
        self._suspects: frozenset[int] = frozenset()

    def register(self, client: redis.Redis) -> None:
        """Register the farm, so that sweeps of other farms spare its jobs. Call it before any worker starts.

        Remove dead farms of this host at once, instead of after FARM_TIMEOUT_MS.
        """
        for holder in delivery_queue.farms(client):
            if _is_gone(holder):
                delivery_queue.clear_held(client, holder)
        delivery_queue.sweep(client, self._holder, 0, (), self._limits())

    def perform(self, client: redis.Redis) -> None:
        """Publish the held sequences, requeue orphans, and begin or finish a round."""
        if self._noted is not None and self._all_accounted_for():
            self._watermark, self._noted = self._noted, None
        held = [sequence for slot in self._slots if slot.pid for sequence in telemetry.held_sequences(slot)]
        found = delivery_queue.sweep(client, self._holder, self._watermark, held, self._limits())
        self._requeue(client, found.orphans)
        if self._noted is None and found.watermark is not None and found.suspects & self._suspects:
            self._noted, self._noted_ns = found.watermark, time.monotonic_ns()
        if self._noted is not None:
            unblock(client, [slot.counter(telemetry.CLIENT_ID) for slot in self._unaccounted_for()])
        self._suspects = found.suspects

    def leave(self, client: redis.Redis) -> None:
        """Remove the keys of this run. Call it after the last worker is gone. Jobs still held become orphans."""
        delivery_queue.clear_held(client, self._holder)
        client.delete(keys.reported(self._run))

    def _all_accounted_for(self) -> bool:
        return next(self._unaccounted_for(), None) is None

    def _unaccounted_for(self) -> Iterator[Slot]:
        """Yield the slots of workers whose BRPOP was sent before the round began."""
        for slot in self._slots:
            is_popping = slot.pid != 0 and slot.activity == telemetry.POLLING
            if is_popping and slot.counter(telemetry.POLLED_NS) <= self._noted_ns:
                yield slot

    def _requeue(self, client: redis.Redis, orphans: Iterable[tuple[str, int]]) -> None:
        for job_id, sequence in orphans:
            became = delivery_queue.requeue_orphan(client, job_id, sequence)
            if became is not None:
                self._on_orphan(became)
                log.warning("orphan requeued", delivery=job_id)


def _is_gone(holder: str) -> bool:
    """Return whether the farm's master ran on this host and has ended. Farms of other hosts time out."""
    host, _, rest = holder.partition("/")
    pid = rest.partition("/")[0]
    if host != _HOST or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # Another user's process.
    return False
