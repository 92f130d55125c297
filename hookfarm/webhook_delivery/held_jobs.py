"""Jobs that a delivery process holds, published in its slot; the sweep does not requeue them."""

from hookfarm.farm.scoreboard import Slot
from hookfarm.webhook_delivery import telemetry


class HeldJobs:
    """Places of one process: one sequence each, from the pop to the confirmed settlement; 0 = free."""

    def __init__(self, slot: Slot, concurrency: int) -> None:
        self._slot = slot
        self._free = list(range(telemetry.HELD, telemetry.HELD + places(concurrency)))
        self._places: dict[int, int] = {}

    @property
    def room(self) -> int:
        """Number of free places."""
        return len(self._free)

    def inherited(self) -> list[int]:
        """Return the sequences that a crashed predecessor left in this slot. Call it before the first `add`."""
        return sequences(self._slot)

    def clear(self) -> None:
        """Free all places."""
        for index in range(telemetry.HELD, telemetry.HELD + telemetry.MAX_HELD):
            self._slot.set_counter(index, 0)

    def add(self, sequence: int) -> None:
        """Put the sequence of a popped job into a free place."""
        place = self._free.pop()
        self._places[sequence] = place
        self._slot.set_counter(place, sequence)

    def remove(self, sequence: int) -> None:
        """Free the place of a job. Call it only after Redis has confirmed the job's settlement.

        A job that is freed earlier looks like an orphan to the sweep.
        """
        place = self._places.pop(sequence)
        self._slot.set_counter(place, 0)
        self._free.append(place)

    def __len__(self) -> int:
        return len(self._places)


def places(concurrency: int) -> int:
    """Return the number of places of a process: half for jobs in flight, half for jobs being settled."""
    return 2 * concurrency


def sequences(slot: Slot) -> list[int]:
    """Return the sequences in a slot: jobs of its process, or of its crashed predecessor."""
    return list(filter(None, slot.counters(telemetry.HELD, telemetry.MAX_HELD)))
