"""Whether a service is ready, judged from its slots: pure, but for the clock that is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hookfarm.farm.scoreboard import Slot, State

LATE_SECONDS = 0.1
"""How late a heartbeat may be before the child counts as hanging."""
DOUBT_SECONDS = 0.4
"""How long a ready service may look otherwise before the key goes: a replaced worker takes less.

An idle worker promises 1.25 s: with both of these and a tick its hanging shows within 2 s.
"""


@dataclass(frozen=True)
class Verdict:
    """`why` names who is missing, empty where nobody is.

    `excused`: somebody is, as planned. A service that is ready stays so; one that is not does not become so.
    """

    ready: bool
    why: str = ""
    excused: bool = False


def judge(service: str, slots: Sequence[Slot], now_ns: int) -> Verdict:
    """Ready = every child is up and its heartbeat is in time, or it is being replaced as planned."""
    if not slots:
        return Verdict(False, "no process")
    troubles = [(index, slot, _trouble(slot, now_ns)) for index, slot in enumerate(slots)]
    missing = [f"{service} {index} ({why})" for index, slot, why in troubles if why and not slot.excused(now_ns)]
    excused = any(why and slot.excused(now_ns) for _, slot, why in troubles)
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return Verdict(not missing, ", ".join(missing[:5]) + more, excused)


def backing_off(service: str, slots: Sequence[Slot]) -> list[dict[str, Any]]:
    """Whoever goes quickly again and again, or cannot even start: why, how often, and when it is tried again."""
    return [
        {
            "process": f"{service} {index}",
            "reason": slot.reason,
            "tries": slot.tries,
            "again_in_s": round(slot.due_in_seconds(), 1),
        }
        for index, slot in enumerate(slots)
        if slot.tries
    ]


def _trouble(slot: Slot, now_ns: int) -> str:
    if slot.pid == 0:
        again = f", tried again in {slot.due_in_seconds():.1f} s" if slot.tries else ""
        return (slot.reason or "gone") + again
    if slot.state != State.UP:
        return slot.reason or slot.state.name.lower()
    late = slot.seconds_late(now_ns)
    return f"silent for {late:.1f} s" if late > LATE_SECONDS else ""
