"""Readiness of a service, computed from its slots. Pure: the time is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass

from hookfarm.farm.scoreboard import Slot, State
from hookfarm.status.readiness import WorkerBackoff

LATE_TOLERANCE_SECONDS = 0.1
"""Maximum delay of a heartbeat; a later worker counts as hung."""
UNREADY_GRACE_SECONDS = 0.4
"""Time that a ready service may look unready before its key is deleted; replacing a worker takes less.

An idle worker's heartbeat is due within 1.25 s. With both constants and a tick, a hung worker shows within 2 s.
"""


@dataclass(frozen=True)
class ServiceReadiness:
    """Readiness of a service; `reason` names the missing workers.

    `replacing`: some workers are missing as planned. Then a ready service stays ready, and an unready one
    stays unready.
    """

    ready: bool
    reason: str = ""
    replacing: bool = False


def check(service: str, slots: Sequence[Slot], now_ns: int, processes: int = 0) -> ServiceReadiness:
    """Return the readiness. Ready = each worker is up with a timely heartbeat, or is being replaced as planned.

    `processes` that share the slots; 0 = one process per slot.
    """
    if not slots:
        return ServiceReadiness(False, "no processes")
    tolerance_ns = int(LATE_TOLERANCE_SECONDS * 1e9)
    absent = [(index, slot) for index, slot in enumerate(slots) if not slot.is_on_time(now_ns, tolerance_ns)]
    lasting = [(index, slot) for index, slot in absent if not slot.is_replacing(now_ns)]
    named = (
        f"{service} {index % (processes or len(slots))} ({_problem(slot, now_ns)})" for index, slot in lasting
    )
    missing = list(dict.fromkeys(named))
    replacing = len(lasting) < len(absent)
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return ServiceReadiness(not missing, ", ".join(missing[:5]) + more, replacing)


def backoffs(service: str, slots: Sequence[Slot]) -> list[WorkerBackoff]:
    """Return the workers in crash back-off, with reason, number of tries and time until the next."""
    return [
        {
            "process": f"{service} {index}",
            "reason": slot.reason,
            "tries": slot.tries,
            "retry_in_ms": round(1000 * slot.next_fork_seconds()),
        }
        for index, slot in enumerate(slots)
        if slot.tries
    ]


def _problem(slot: Slot, now_ns: int) -> str:
    """Return why a worker that is not on time counts as missing."""
    if slot.pid == 0:
        again = f", forked again in {slot.next_fork_seconds():.1f} s" if slot.tries else ""
        return (slot.reason or "gone") + again
    if slot.state != State.UP:
        return slot.reason or slot.state.name.lower()
    return f"heartbeat late by {slot.seconds_late(now_ns):.1f} s"
