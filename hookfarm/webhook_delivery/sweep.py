"""The sweep: finds orphans, jobs that were popped and are held by no worker.

BRPOP takes an element away before its worker has it, so a worker killed right then, or a reply lost on the
wire, leaves a job that is open in the ledger, gone from the list, and held by none. Recording the job after the
pop would not close that gap. Instead:

1. Note the watermark W, the sequence of the element that is next to be popped. The list is in the order of
   sequences, so every open job below W has been popped.
2. Wait until each worker has sent another BRPOP since then, or shows the job it holds, or has lost its
   connection, or is gone. From then on each job popped below W is held visibly, or by no worker.
3. Publish W and the held sequences beside those of the other farms on this Redis. A job that is open below the
   smallest W and held by no farm is an orphan: requeue it; after five times it is dead, `worker_lost`.

Both errors of this bookkeeping are on the safe side: a worker shows a job until Redis has answered its
settlement, and a farm that is silent keeps all the jobs it held, for 45 s.
"""

import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence

import redis

from hookfarm import delivery_queue, logs
from hookfarm.delivery_queue import OrphanState
from hookfarm.farm.scoreboard import Slot
from hookfarm.store import keys
from hookfarm.webhook_delivery import telemetry

SWEEP_SECONDS = 0.25
_HOST = socket.gethostname()

log = logs.get("webhook_delivery")


class Sweep:
    """One farm's sweep, in a child of its master; `perform` is one step of it and never waits for a worker."""

    def __init__(
        self, slots: Sequence[Slot], run: str, on_orphan: Callable[[OrphanState], None] = lambda _became: None
    ) -> None:
        self._slots = slots
        self._run = run
        self._on_orphan = on_orphan
        self._holder = f"{_HOST}/{os.getppid()}/{run}"
        self._watermark: int | None = None
        self._noted_ns = 0

    def register(self, client: redis.Redis) -> None:
        """Call before any worker starts: protects the jobs of this farm from the sweeps of others.

        Removes farms of this host whose processes are gone at once, instead of after 45 s.
        """
        for holder in delivery_queue.farms(client):
            if _is_gone(holder):
                delivery_queue.clear_held(client, holder)
        delivery_queue.publish_held(client, self._holder, 0, (), len(self._slots))

    def perform(self, client: redis.Redis) -> None:
        """Finish the round if every worker is accounted for, and begin the next."""
        if self._watermark is not None and self._all_accounted_for():
            sequences = [s.counter(telemetry.HELD_SEQUENCE) for s in self._slots if s.pid]
            held = [sequence for sequence in sequences if sequence]
            orphans = delivery_queue.publish_held(client, self._holder, self._watermark, held, len(sequences))
            self._requeue(client, orphans)
            self._watermark = None
        if self._watermark is None:
            self._watermark = delivery_queue.read_watermark(client)
            self._noted_ns = time.monotonic_ns()

    def leave(self, client: redis.Redis) -> None:
        """Call after the last worker is gone: removes the keys of this run. Its last jobs become orphans."""
        delivery_queue.clear_held(client, self._holder)
        client.delete(keys.reported(self._run))

    def _all_accounted_for(self) -> bool:
        return all(self._is_accounted_for(slot) for slot in self._slots)

    def _is_accounted_for(self, slot: Slot) -> bool:
        if slot.pid == 0 or slot.activity != telemetry.POLLING:
            return True
        return slot.counter(telemetry.POLLED_NS) > self._noted_ns

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
