"""The farm's state in shared memory: one slot per worker (a process, or a part of one), one writer per field.

A scoreboard is made before the forks and inherited. A write is one aligned 8-byte store (50 ns): children can
write on their hot path, and readers never wait. Each number is read atomically; two may be of different times.

A running farm may grow, but memory shared by a fork cannot. So each service has as many slots as its capacity.
Readers see only slots that were once within the target count; the others cost only address space.

Times are CLOCK_MONOTONIC nanoseconds, which all processes of a machine share.
"""

import mmap
import time
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import overload

from hookfarm.security import redaction

NUMBERS_PER_SLOT = 768
REASON_BYTES = 256
LABELS = 16
LABEL_BYTES = 192
COUNTERS_FROM = 10
COUNTERS = NUMBERS_PER_SLOT - COUNTERS_FROM


class State(IntEnum):
    """State of a worker, written by its process; the master writes EMPTY and BACKOFF."""

    EMPTY = 0
    """Without a process, and without a scheduled fork."""
    BOOTING = 1
    """Forked, not ready for work. -> UP, or exit."""
    UP = 2
    """Working. <-> STALLED"""
    STALLED = 3
    """Alive, but unable to work: a dependency (a node, Redis) is down."""
    QUIET = 4
    """Stopping: accepts no new work. -> exit."""
    BACKOFF = 5
    """Exited; the next fork is scheduled. -> BOOTING"""


_UP = State.UP.value


class Slot:
    """One worker's part of the scoreboard: ten numbers, the service's counters, a reason and labels."""

    # Plain numbers, because reading an IntEnum member takes longer than the store itself.
    _PID = 0
    _STATE = 1
    _HEARTBEAT_DUE_NS = 2
    _ACTIVITY = 3
    _NEXT_FORK_NS = 4
    _TRIES = 5
    _REPLACING_UNTIL_NS = 6
    _STOP_REQUESTED = 7
    _FORKS = 8
    _CRASHES = 9

    def __init__(self, numbers: "memoryview[int]", reason: "memoryview[int]", labels: "memoryview[int]") -> None:
        self._numbers = numbers
        self._reason = reason
        self._labels = labels

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
        """A number defined by the worker's service."""
        return self._numbers[self._ACTIVITY]

    @activity.setter
    def activity(self, activity: int) -> None:
        self._numbers[self._ACTIVITY] = activity

    @property
    def is_up(self) -> bool:
        return self.pid != 0 and self.state == State.UP

    @property
    def is_in_trouble(self) -> bool:
        """Whether the worker is stalled, or one has exited unasked, and none is up."""
        return not self.is_up and (self.state == State.STALLED or self.crashes > 0)

    def mark_up(self) -> None:
        self.reason, self.state = "", State.UP

    def mark_stalled(self, reason: str) -> None:
        self.reason, self.state = reason, State.STALLED

    def heartbeat(self, within_seconds: float) -> None:
        """Set the heartbeat; the next one is due within `within_seconds`, else the worker counts as hung."""
        self._numbers[self._HEARTBEAT_DUE_NS] = time.monotonic_ns() + int(within_seconds * 1e9)

    def seconds_late(self, now_ns: int | None = None) -> float:
        """Return the seconds since the heartbeat was due; negative until then."""
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        return (now_ns - self._numbers[self._HEARTBEAT_DUE_NS]) / 1e9

    def is_on_time(self, now_ns: int, tolerance_ns: int = 0) -> bool:
        """Return whether the worker is UP and its heartbeat is at most `tolerance_ns` late."""
        pid, state, due_ns = self._numbers[: self._HEARTBEAT_DUE_NS + 1]
        return pid != 0 and state == _UP and now_ns - due_ns <= tolerance_ns

    def counter(self, index: int) -> int:
        return self._numbers[COUNTERS_FROM + index]

    def counters(self, start: int, count: int) -> list[int]:
        return self._numbers[COUNTERS_FROM + start : COUNTERS_FROM + start + count].tolist()

    def set_counter(self, index: int, value: int) -> None:
        self._numbers[COUNTERS_FROM + index] = value

    def add(self, index: int, amount: int = 1) -> None:
        self._numbers[COUNTERS_FROM + index] += amount

    def clear_counters(self) -> None:
        """Reset counters and labels, for a slot that is reused."""
        self.text = ""
        for index in range(COUNTERS):
            self.set_counter(index, 0)

    @property
    def reason(self) -> str:
        """Reason why the worker is not UP, in one line without secrets; may be empty."""
        return _read(self._reason)

    @reason.setter
    def reason(self, reason: str) -> None:
        _write(self._reason, " ".join(redaction.sanitize(reason).split()))

    def label(self, index: int) -> str:
        """Return a label of the counters; like the counters, it outlives the process."""
        return _read(self._label(index))

    def set_label(self, index: int, label: str) -> None:
        _write(self._label(index), label)

    @property
    def text(self) -> str:
        """One long text, stored in place of the labels."""
        return _read(self._labels)

    @text.setter
    def text(self, text: str) -> None:
        _write(self._labels, text)

    def _label(self, index: int) -> "memoryview[int]":
        return self._labels[index * LABEL_BYTES : (index + 1) * LABEL_BYTES]

    def on_fork(self, boot_seconds: float) -> None:
        """Prepare the slot for a new process, before the fork. Counters keep their values."""
        self.heartbeat(boot_seconds)
        self.reason = ""
        self._numbers[self._STATE] = State.BOOTING
        self._numbers[self._ACTIVITY] = 0
        self._numbers[self._STOP_REQUESTED] = 0
        self._numbers[self._FORKS] += 1

    def on_forked(self, pid: int) -> None:
        """Record the pid, after the fork. The child may already be writing the rest of the slot."""
        self._numbers[self._PID] = pid

    def on_exit(self) -> None:
        self._numbers[self._PID] = 0
        self._numbers[self._STATE] = State.EMPTY

    def count_crash(self) -> None:
        self._numbers[self._CRASHES] += 1

    @property
    def forks(self) -> int:
        """Forks for this slot, failed ones included."""
        return self._numbers[self._FORKS]

    @property
    def crashes(self) -> int:
        return self._numbers[self._CRASHES]

    def schedule_fork(self, seconds: float, tries: int) -> None:
        """Record the time of an empty slot's next fork, and the quick exits in a row before it."""
        self._numbers[self._NEXT_FORK_NS] = time.monotonic_ns() + int(seconds * 1e9)
        self._numbers[self._TRIES] = tries
        self._numbers[self._STATE] = State.BACKOFF

    def next_fork_seconds(self) -> float:
        """Return the seconds until the next fork; 0 without a scheduled fork."""
        is_scheduled = self.pid == 0 and self.state == State.BACKOFF
        return max(0.0, (self._numbers[self._NEXT_FORK_NS] - time.monotonic_ns()) / 1e9) if is_scheduled else 0.0

    @property
    def tries(self) -> int:
        """Number of quick exits in a row; 0 without a scheduled fork."""
        return self._numbers[self._TRIES] if self.state == State.BACKOFF else 0

    def mark_replacing(self, seconds: float) -> None:
        """Allow the process to be missing for `seconds`, while it is replaced; 0 ends this."""
        self._numbers[self._REPLACING_UNTIL_NS] = time.monotonic_ns() + int(seconds * 1e9) if seconds else 0

    def is_replacing(self, now_ns: int) -> bool:
        return self._numbers[self._REPLACING_UNTIL_NS] > now_ns

    @property
    def stop_requested(self) -> bool:
        return bool(self._numbers[self._STOP_REQUESTED])

    def request_stop(self) -> None:
        """Record that the process was sent SIGTERM."""
        self._numbers[self._STOP_REQUESTED] = 1


class Slots(Sequence[Slot]):
    """Slots of a service that were once within its target count; grows with the farm, never shrinks."""

    def __init__(self, memory: "memoryview[int]", service: Slot) -> None:
        self._memory = memory
        self._service = service
        self._made: list[Slot] = []

    def __len__(self) -> int:
        return self._service.counter(_HIGHEST_TARGET)

    @overload
    def __getitem__(self, index: int) -> Slot: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Slot]: ...
    def __getitem__(self, index: int | slice) -> Slot | Sequence[Slot]:
        return self._up_to_date()[index]

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._up_to_date())

    @property
    def capacity(self) -> int:
        """The highest possible target count."""
        return len(self._memory) // _SLOT_BYTES

    def _up_to_date(self) -> list[Slot]:
        for index in range(len(self._made), len(self)):
            self._made.append(_slot(self._memory, index))
        return self._made


class Scoreboard:
    """All slots of a farm: one per worker, one per service, and one for the farm."""

    def __init__(
        self,
        counts: Mapping[str, int],
        max_counts: Mapping[str, int] | None = None,
        max_processes: Mapping[str, int] | None = None,
    ) -> None:
        """Create shared memory. `counts`: target count of each service; `max_counts`: capacity, if higher.

        `max_processes`: of a service whose processes share the slots; 0 = one process per slot.
        """
        self._max_processes = max_processes or {}
        capacities = {name: max(count, (max_counts or {}).get(name, 0)) for name, count in counts.items()}
        self._memory = mmap.mmap(-1, (1 + sum(capacities.values()) + len(capacities)) * _SLOT_BYTES)
        view = memoryview(self._memory)
        self._farm = _slot(view, 0)
        self._services = {name: _slot(view, index) for index, name in enumerate(capacities, start=1)}
        self._slots: dict[str, Slots] = {}
        first = 1 + len(capacities)
        for name, capacity in capacities.items():
            part = view[first * _SLOT_BYTES : (first + capacity) * _SLOT_BYTES]
            self._slots[name] = Slots(part, self._services[name])
            self.set_target(name, counts[name])
            first += capacity

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self._slots)

    @property
    def failure(self) -> str:
        """Reason why the master failed; empty unless its process recorded one."""
        return self._farm.text

    @failure.setter
    def failure(self, failure: str) -> None:
        self._farm.text = failure

    def slots(self, service: str) -> Slots:
        """Return a service's slots; slots beyond the target count may have stopping processes."""
        return self._slots[service]

    def target(self, service: str) -> int:
        """Return the target count of a service; its processes use the first slots."""
        return self._services[service].counter(_TARGET)

    def set_target(self, service: str, count: int) -> None:
        """Set the target count, at most `slots(service).capacity`. Called by the master only."""
        whole = self._services[service]
        whole.set_counter(_HIGHEST_TARGET, max(count, whole.counter(_HIGHEST_TARGET)))
        whole.set_counter(_TARGET, count)

    def process_count(self, service: str, slots: int | None = None) -> int:
        """Return the number of processes for the target count of slots, or for `slots`."""
        count = self.target(service) if slots is None else slots
        return min(count, self._max_processes.get(service, 0) or count)

    def places(self, service: str, index: int) -> range:
        """Return the indices of a process's slots within the target count; the first is the index of the process.

        Process i of n has the slots i, i + n, i + 2n … So a slot keeps its process when the target count changes.
        """
        return range(index, self.target(service), self.process_count(service) or 1)

    def is_ready(self, service: str) -> bool:
        return self._services[service].state == State.UP

    def has_been_ready(self, service: str) -> bool:
        """Return whether the service was ready at any time since the farm started."""
        return self._services[service].counter(_TIMES_READY) > 0

    def set_ready(self, service: str, ready: bool) -> None:
        """Record the readiness of the whole service. Called by the keeper only."""
        self._services[service].state = State.UP if ready else State.STALLED
        self._services[service].add(_TIMES_READY, int(ready))


# Counters of a service's own slot
_TIMES_READY = 0
_TARGET = 1
_HIGHEST_TARGET = 2
_SLOT_BYTES = NUMBERS_PER_SLOT * 8 + REASON_BYTES + LABELS * LABEL_BYTES


def _slot(view: "memoryview[int]", index: int) -> Slot:
    start = index * _SLOT_BYTES
    reason = start + NUMBERS_PER_SLOT * 8
    labels = reason + REASON_BYTES
    return Slot(view[start:reason].cast("q"), view[reason:labels], view[labels : start + _SLOT_BYTES])


def _read(field: "memoryview[int]") -> str:
    return bytes(field).rstrip(b"\0").decode("utf-8", "replace")


def _write(field: "memoryview[int]", text: str) -> None:
    """Write a text, cut at the last whole character that fits."""
    cut = text.encode("utf-8", "backslashreplace")[: len(field)]
    field[:] = cut.decode("utf-8", "ignore").encode().ljust(len(field), b"\0")
