"""The sweep: finds the jobs that were popped and are in nobody's hands.

BRPOP takes an element away before its worker has it, so a worker killed at that moment, or a reply lost on the
wire, leaves a job that is open in the ledger, gone from the list, and held by none. Recording the job after the
pop would not close that gap. Instead:

1. Note the watermark W, the sequence of the element that is next to be popped. The list is in the order of
   sequences, so every open job below W has been popped.
2. Wait until each worker has sent another BRPOP since then, or shows the job it holds, or has lost its
   connection, or is gone. From then on what was popped below W is in a hand that shows it, or in none.
3. Publish W and the held sequences beside those of the other farms on this Redis. What is open below the
   smallest W and held by no farm is an orphan: requeue it; after five times it is dead, `worker_lost`.

Both errors of this bookkeeping are on the safe side: a worker shows a job until Redis has answered its
settlement, and a farm that is silent holds everything it held, for 45 s.
"""

import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence

import redis

from hookfarm import delivery_queue, logs
from hookfarm.delivery_queue import Orphan
from hookfarm.farm.scoreboard import Slot
from hookfarm.webhook_delivery import counters

SWEEP_SECONDS = 0.25
_HOST = socket.gethostname()

log = logs.get("webhook_delivery")


class Sweep:
    """One farm's sweep, in a child of its master; `perform` is one step of it and never waits for a worker."""

    def __init__(
        self, slots: Sequence[Slot], run: str, tell: Callable[[Orphan], None] = lambda _became: None
    ) -> None:
        """`tell` hears of each orphan found."""
        self._slots = slots
        self._tell = tell
        self._holder = f"{_HOST}/{os.getppid()}/{run}"
        self._watermark: int | None = None
        self._noted_ns = 0

    def register(self, client: "redis.Redis") -> None:
        """Before any worker starts: from now on nobody takes its jobs for orphans.

        A farm of this host whose processes are gone is forgotten at once instead of after 45 s.
        """
        for holder in delivery_queue.holders(client):
            if _is_gone(holder):
                delivery_queue.release(client, holder)
        delivery_queue.hold(client, self._holder, 0, (), len(self._slots))

    def perform(self, client: "redis.Redis") -> None:
        """Finishes the round if every worker has shown its hands, and begins the next."""
        if self._watermark is not None and self._hands_shown():
            hands = [s.counter(counters.HELD_SEQUENCE) for s in self._slots if s.pid]
            held = [sequence for sequence in hands if sequence]
            orphans = delivery_queue.hold(client, self._holder, self._watermark, held, len(hands))
            self._requeue(client, orphans)
            self._watermark = None
        if self._watermark is None:
            self._watermark = delivery_queue.watermark(client)
            self._noted_ns = time.monotonic_ns()

    def leave(self, client: "redis.Redis") -> None:
        """After the last worker is gone: whatever they left is an orphan for the next to find."""
        delivery_queue.release(client, self._holder)

    def _hands_shown(self) -> bool:
        return all(self._shows_its_hands(slot) for slot in self._slots)

    def _shows_its_hands(self, slot: Slot) -> bool:
        if slot.pid == 0 or slot.activity != counters.POLLING:
            return True
        return slot.counter(counters.ASKED_NS) > self._noted_ns

    def _requeue(self, client: "redis.Redis", orphans: Iterable[tuple[str, int]]) -> None:
        for job_id, sequence in orphans:
            became = delivery_queue.requeue_orphan(client, job_id, sequence)
            if became is not None:
                self._tell(became)
                log.warning("orphan requeued", delivery=job_id)


def _is_gone(holder: str) -> bool:
    """Only where its master was a process of this host and no longer is; of any other farm its silence tells."""
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
