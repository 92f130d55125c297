"""The sweep: finds and requeues orphans, jobs that were popped and that no worker holds.

BRPOP takes an element away before its worker has it, so a worker killed right then, or a reply lost on the
wire, leaves a job that is open in the ledger, gone from the list, and held by none. Recording the job after the
pop would not close that gap. Instead:

1. Look at the watermark W, the sequence of the element that is next to be popped. The list is in the order of
   sequences, so every open job below W has been popped. One that no farm shows as held is a suspect: most likely
   it is on its way to its worker.
2. If a suspect of the look before is still there, begin a round: note W, and wait until each worker has sent
   another BRPOP since then, or has none under way, or is gone. One that is blocked in an earlier BRPOP is woken.
   From then on each job popped below W is held visibly, or by no worker.
3. Publish W and the held sequences beside those of the other farms on this Redis. A job that is open below the
   smallest W and held by no farm is an orphan: requeue it; after five times it is dead, `worker_lost`.

Both errors of this bookkeeping are on the safe side: a worker shows a job until Redis has answered its
settlement, and a farm that is silent keeps all the jobs it held, for 45 s.
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
from hookfarm.webhook_delivery import held_jobs, telemetry

SWEEP_SECONDS = 0.5
_HOST = socket.gethostname()

log = logs.get("webhook_delivery")


class Sweep:
    """One farm's sweep, in a child of its master; `perform` is one step of it and never waits for a worker."""

    def __init__(
        self,
        slots: Sequence[Slot],
        run: str,
        limits: Callable[[], FarmLimits],
        on_orphan: Callable[[OrphanState], None] = lambda _became: None,
    ) -> None:
        """`limits` returns what the farm may have in flight now."""
        self._slots = slots
        self._run = run
        self._limits = limits
        self._on_orphan = on_orphan
        self._holder = f"{_HOST}/{os.getppid()}/{run}"
        self._watermark = 0
        """Of the last round that was finished."""
        self._noted: int | None = None
        """The watermark of the round under way, if there is one."""
        self._noted_ns = 0
        self._suspects: frozenset[int] = frozenset()

    def register(self, client: redis.Redis) -> None:
        """Call before any worker starts: protects the jobs of this farm from the sweeps of others.

        Removes farms of this host whose processes are gone at once, instead of after 45 s.
        """
        for holder in delivery_queue.farms(client):
            if _is_gone(holder):
                delivery_queue.clear_held(client, holder)
        delivery_queue.sweep(client, self._holder, 0, (), self._limits())

    def perform(self, client: redis.Redis) -> None:
        """Publish what is held, requeue orphans; begin a round if there are suspects, or finish it."""
        if self._noted is not None and self._all_accounted_for():
            self._watermark, self._noted = self._noted, None
        held = [sequence for slot in self._slots if slot.pid for sequence in held_jobs.sequences(slot)]
        found = delivery_queue.sweep(client, self._holder, self._watermark, held, self._limits())
        self._requeue(client, found.orphans)
        if self._noted is None and found.watermark is not None and found.suspects & self._suspects:
            self._noted, self._noted_ns = found.watermark, time.monotonic_ns()
        if self._noted is not None:
            unblock(client, [slot.counter(telemetry.CLIENT_ID) for slot in self._unaccounted_for()])
        self._suspects = found.suspects

    def leave(self, client: redis.Redis) -> None:
        """Call after the last worker is gone: removes the keys of this run. Its last jobs become orphans."""
        delivery_queue.clear_held(client, self._holder)
        client.delete(keys.reported(self._run))

    def _all_accounted_for(self) -> bool:
        return next(self._unaccounted_for(), None) is None

    def _unaccounted_for(self) -> Iterator[Slot]:
        """The slots of workers that may still get a job by a BRPOP sent before the round began."""
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
    """Whether its master was a process of this host and has ended. Other farms expire by their silence."""
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
