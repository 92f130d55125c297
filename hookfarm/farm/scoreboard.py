"""What children tell the master, in shared memory: one slot per child, one writer per slot.

A board is made before the forks and inherited. Writing a number is one aligned 8-byte store (50 ns), so a
child can say what it does at every step of its hot path, and readers in other processes never wait for it.
A number is always whole; two numbers read one after the other may be from two moments.

A farm may grow while it runs, and memory shared by a fork cannot: each service has as many slots as it may ever
want, of which only those that have been wanted exist for readers. The others cost address space alone.

Times are CLOCK_MONOTONIC nanoseconds, which all processes of a machine share.
"""

import mmap
import time
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import overload

from hookfarm.security import redaction

NUMBERS_PER_SLOT = 256
TEXT_BYTES = 256
NOTE_BYTES = 2048
COUNTERS_FROM = 10
COUNTERS = NUMBERS_PER_SLOT - COUNTERS_FROM


class State(IntEnum):
    """The life of a child as it tells it itself; only the master writes EMPTY and DUE."""

    EMPTY = 0
    """No process, and none is wanted."""
    BOOTING = 1
    """Forked, not yet doing its work. -> UP, or exit."""
    UP = 2
    """Doing its work, and able to. <-> STALLED"""
    STALLED = 3
    """Alive, but what it needs is missing (a node, a server)."""
    QUIET = 4
    """Told to stop and has stopped taking work. -> exit."""
    DUE = 5
    """Gone, and to be forked again at its date. -> BOOTING"""


class Slot:
    """One child's part of the board."""

    _PID, _STATE, _PROMISE, _ACTIVITY, _DUE, _TRIES, _EXCUSED, _TOLD, _FORKS, _DEATHS = range(COUNTERS_FROM)

    def __init__(self, numbers: "memoryview[int]", text: "memoryview[int]", note: "memoryview[int]") -> None:
        self._numbers = numbers
        self._text = text
        self._note = note

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

    def clear_counters(self) -> None:
        """Where the slot is taken over for something else."""
        self.note = ""
        for index in range(COUNTERS):
            self.set_counter(index, 0)

    @property
    def reason(self) -> str:
        """Why it is not UP, in one line without secrets; empty where there is nothing to say."""
        return _read(self._text)

    @reason.setter
    def reason(self, reason: str) -> None:
        _write(self._text, " ".join(redaction.text(reason).split()))

    @property
    def note(self) -> str:
        """What its counters are of, in the service's own words; like them it outlives the process."""
        return _read(self._note)

    @note.setter
    def note(self, note: str) -> None:
        _write(self._note, note)

    # What the master writes

    def occupy(self, boot_seconds: float) -> None:
        """Before each fork. Counters go on from where they were."""
        self.promise(boot_seconds)
        self.reason = ""
        self._numbers[self._STATE] = State.BOOTING
        self._numbers[self._ACTIVITY] = 0
        self._numbers[self._TOLD] = 0
        self._numbers[self._FORKS] += 1

    def occupied_by(self, pid: int) -> None:
        """After each fork: the child is already writing the rest of the slot."""
        self._numbers[self._PID] = pid

    def vacate(self) -> None:
        """When the process is gone. The reason stays, for whoever asks why."""
        self._numbers[self._PID] = 0
        self._numbers[self._STATE] = State.EMPTY

    def mourn(self) -> None:
        """Its process went unasked."""
        self._numbers[self._DEATHS] += 1

    @property
    def forks(self) -> int:
        """How often a process was started here, and tried to be."""
        return self._numbers[self._FORKS]

    @property
    def deaths(self) -> int:
        """How many of them went unasked."""
        return self._numbers[self._DEATHS]

    def await_fork(self, seconds: float, tries: int) -> None:
        """When a vacated slot is to be filled again, after so many processes that went quickly."""
        self._numbers[self._DUE] = time.monotonic_ns() + int(seconds * 1e9)
        self._numbers[self._TRIES] = tries
        self._numbers[self._STATE] = State.DUE

    def due_in_seconds(self) -> float:
        """Until its next fork; 0 where none is awaited."""
        waits = self.pid == 0 and self.state == State.DUE
        return max(0.0, (self._numbers[self._DUE] - time.monotonic_ns()) / 1e9) if waits else 0.0

    @property
    def tries(self) -> int:
        """How many processes in a row went quickly, where a fork is awaited."""
        return self._numbers[self._TRIES] if self.state == State.DUE else 0

    def excuse(self, seconds: float) -> None:
        """It is being replaced as planned and may be missing for so long; 0 = no longer."""
        self._numbers[self._EXCUSED] = time.monotonic_ns() + int(seconds * 1e9) if seconds else 0

    def excused(self, now_ns: int) -> bool:
        return self._numbers[self._EXCUSED] > now_ns

    @property
    def told(self) -> bool:
        """Whether its process has been told to stop."""
        return bool(self._numbers[self._TOLD])

    def tell(self) -> None:
        self._numbers[self._TOLD] = 1


class Slots(Sequence[Slot]):
    """The slots of a service that have ever been wanted: it grows with the farm and never shrinks."""

    def __init__(self, memory: "memoryview[int]", whole: Slot) -> None:
        self._memory = memory
        self._whole = whole
        self._made: list[Slot] = []

    def __len__(self) -> int:
        return self._whole.counter(_EVER_WANTED)

    @overload
    def __getitem__(self, index: int) -> Slot: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Slot]: ...
    def __getitem__(self, index: int | slice) -> Slot | Sequence[Slot]:
        return self._up_to_date()[index]

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._up_to_date())

    @property
    def most(self) -> int:
        """How many there may ever be."""
        return len(self._memory) // _SLOT_BYTES

    def _up_to_date(self) -> list[Slot]:
        for place in range(len(self._made), len(self)):
            self._made.append(_slot(self._memory, place))
        return self._made


class Board:
    """All slots of a farm, by service and index, and one more per service for what is known of the whole."""

    def __init__(self, sizes: Mapping[str, int], most: Mapping[str, int] | None = None) -> None:
        """`sizes`: how many slots each service begins with; `most`: how many it may ever have, unless as many."""
        counts = {name: max(size, (most or {}).get(name, 0)) for name, size in sizes.items()}
        self._memory = mmap.mmap(-1, max(1, sum(counts.values()) + len(counts)) * _SLOT_BYTES)
        view = memoryview(self._memory)
        self._services = {name: _slot(view, place) for place, name in enumerate(counts)}
        self._slots: dict[str, Slots] = {}
        first = len(counts)
        for name, count in counts.items():
            part = view[first * _SLOT_BYTES : (first + count) * _SLOT_BYTES]
            self._slots[name] = Slots(part, self._services[name])
            self.want(name, sizes[name])
            first += count

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self._slots)

    def slots(self, service: str) -> Slots:
        """Those that have ever been wanted; the ones beyond `wanted` may still have a process that leaves."""
        return self._slots[service]

    def wanted(self, service: str) -> int:
        """How many processes there are to be: the first so many slots."""
        return self._services[service].counter(_WANTED)

    def want(self, service: str, count: int) -> None:
        """The master; at most `slots(service).most`."""
        whole = self._services[service]
        whole.set_counter(_EVER_WANTED, max(count, whole.counter(_EVER_WANTED)))
        whole.set_counter(_WANTED, count)

    def announced(self, service: str) -> bool:
        """True while somebody has looked at the whole service and found it ready."""
        return self._services[service].state == State.UP

    def was_announced(self, service: str) -> bool:
        """True once it has been ready since the farm started."""
        return self._services[service].counter(_TIMES_ANNOUNCED) > 0

    def announce(self, service: str, ready: bool) -> None:
        self._services[service].state = State.UP if ready else State.STALLED
        self._services[service].add(_TIMES_ANNOUNCED, int(ready))


_TIMES_ANNOUNCED, _WANTED, _EVER_WANTED = range(3)
_SLOT_BYTES = NUMBERS_PER_SLOT * 8 + TEXT_BYTES + NOTE_BYTES


def _slot(view: "memoryview[int]", place: int) -> Slot:
    start = place * _SLOT_BYTES
    text = start + NUMBERS_PER_SLOT * 8
    note = text + TEXT_BYTES
    return Slot(view[start:text].cast("q"), view[text:note], view[note : start + _SLOT_BYTES])


def _read(place: "memoryview[int]") -> str:
    return bytes(place).rstrip(b"\0").decode("utf-8", "replace")


def _write(place: "memoryview[int]", text: str) -> None:
    """As much of it as there is room for, no half letter at the end."""
    cut = text.encode("utf-8", "backslashreplace")[: len(place)]
    place[:] = cut.decode("utf-8", "ignore").encode().ljust(len(place), b"\0")
