"""Whether a service is ready, judged from its slots: pure, but for the clock that is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass

from hookfarm.farm.board import Slot, State

LATE_SECONDS = 0.1
"""How late a heartbeat may be before the child counts as hanging."""
DOUBT_SECONDS = 0.4
"""How long a ready service may look otherwise before the key goes: a replaced worker takes less.

An idle worker promises 1.25 s: with both of these and a tick its hanging shows within 2 s.
"""


@dataclass(frozen=True)
class Verdict:
    """`why` names who is missing, empty where nobody is."""

    ready: bool
    why: str = ""


def judge(service: str, slots: Sequence[Slot], now_ns: int) -> Verdict:
    """Ready = every child is up and its heartbeat is in time."""
    missing = [
        f"{service} {index} ({_trouble(slot, now_ns)})"
        for index, slot in enumerate(slots)
        if _trouble(slot, now_ns)
    ]
    if not slots:
        return Verdict(False, "no process")
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return Verdict(not missing, ", ".join(missing[:5]) + more)


def _trouble(slot: Slot, now_ns: int) -> str:
    if slot.pid == 0:
        return slot.reason or "gone"
    if slot.state != State.UP:
        return slot.reason or slot.state.name.lower()
    late = slot.seconds_late(now_ns)
    return f"silent for {late:.1f} s" if late > LATE_SECONDS else ""
