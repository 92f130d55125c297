"""What children tell the master, in shared memory: one slot per child, one writer per slot.

A board is made before the forks and inherited. Writing a number is one aligned 8-byte store (50 ns), so a
child can say what it does at every step of its hot path, and readers in other processes never wait for it.
A number is always whole; two numbers read one after the other may be from two moments.

Times are CLOCK_MONOTONIC nanoseconds, which all processes of a machine share.
"""

import mmap
import time
from enum import IntEnum

from hookfarm import redaction

NUMBERS_PER_SLOT = 192
TEXT_BYTES = 256
COUNTERS_FROM = 8
COUNTERS = NUMBERS_PER_SLOT - COUNTERS_FROM


class State(IntEnum):
    """The life of a child as it tells it itself; only the master writes EMPTY."""

    EMPTY = 0
    """No process."""
    BOOTING = 1
    """Forked, not yet doing its work. -> UP, or exit."""
    UP = 2
    """Doing its work, and able to. <-> STALLED"""
    STALLED = 3
    """Alive, but what it needs is missing (a node, a server)."""
    QUIET = 4
    """Told to stop and has stopped taking work. -> exit."""


class Slot:
    """One child's part of the board."""

    _PID, _STATE, _PROMISE, _ACTIVITY = range(4)

    def __init__(self, numbers: "memoryview[int]", text: "memoryview[int]") -> None:
        self._numbers = numbers
        self._text = text

    @property
    def pid(self) -> int:
        """0 = no process."""
        return self._numbers[self._PID]

    @property
    def state(self) -> State:
        return State(self._numbers[self._STATE])

    @state.setter
    def state(self, state: State) -> None:
        self._numbers[self._STATE] = state

    @property
    def activity(self) -> int:
        """What it is doing now; the numbers are the service's own."""
        return self._numbers[self._ACTIVITY]

    @activity.setter
    def activity(self, activity: int) -> None:
        self._numbers[self._ACTIVITY] = activity

    def promise(self, seconds: float) -> None:
        """The heartbeat: "my loop comes by here again within `seconds`"."""
        self._numbers[self._PROMISE] = time.monotonic_ns() + int(seconds * 1e9)

    def seconds_late(self, now_ns: int | None = None) -> float:
        """How long ago the promise was broken; negative while it holds."""
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        return (now_ns - self._numbers[self._PROMISE]) / 1e9

    def counter(self, index: int) -> int:
        return self._numbers[COUNTERS_FROM + index]

    def set_counter(self, index: int, value: int) -> None:
        self._numbers[COUNTERS_FROM + index] = value

    def add(self, index: int, amount: int = 1) -> None:
        self._numbers[COUNTERS_FROM + index] += amount

    @property
    def reason(self) -> str:
        """Why it is not UP, in one line without secrets; empty where there is nothing to say."""
        return bytes(self._text).rstrip(b"\0").decode("utf-8", "replace")

    @reason.setter
    def reason(self, reason: str) -> None:
        line = " ".join(redaction.text(reason).split()).encode("utf-8", "backslashreplace")[:TEXT_BYTES]
        self._text[:] = line.decode("utf-8", "ignore").encode().ljust(TEXT_BYTES, b"\0")

    def occupy(self, boot_seconds: float) -> None:
        """The master, before each fork. Counters go on from where they were."""
        self.promise(boot_seconds)
        self.reason = ""
        self._numbers[self._STATE] = State.BOOTING
        self._numbers[self._ACTIVITY] = 0

    def occupied_by(self, pid: int) -> None:
        """The master, after each fork: the child is already writing the rest of the slot."""
        self._numbers[self._PID] = pid

    def vacate(self) -> None:
        """The master, when the process is gone. The reason stays, for whoever asks why."""
        self._numbers[self._PID] = 0
        self._numbers[self._STATE] = State.EMPTY


class Board:
    """All slots of a farm, by service and index, and one more per service for what is known of the whole."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self._memory = mmap.mmap(-1, max(1, sum(sizes.values()) + len(sizes)) * _SLOT_BYTES)
        view = memoryview(self._memory)
        places = iter(range(len(self._memory) // _SLOT_BYTES))
        self._services = {name: _slot(view, next(places)) for name in sizes}
        self._slots = {name: tuple(_slot(view, next(places)) for _ in range(size)) for name, size in sizes.items()}

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self._slots)

    def slots(self, service: str) -> tuple[Slot, ...]:
        return self._slots[service]

    def announced(self, service: str) -> bool:
        """True while somebody has looked at the whole service and found it ready."""
        return self._services[service].state == State.UP

    def was_announced(self, service: str) -> bool:
        """True once it has been ready since the farm started."""
        return self._services[service].counter(_TIMES_ANNOUNCED) > 0

    def announce(self, service: str, ready: bool) -> None:
        self._services[service].state = State.UP if ready else State.STALLED
        self._services[service].add(_TIMES_ANNOUNCED, int(ready))


_TIMES_ANNOUNCED = 0
_SLOT_BYTES = NUMBERS_PER_SLOT * 8 + TEXT_BYTES


def _slot(view: "memoryview[int]", place: int) -> Slot:
    start = place * _SLOT_BYTES
    middle = start + NUMBERS_PER_SLOT * 8
    return Slot(view[start:middle].cast("q"), view[middle : start + _SLOT_BYTES])
