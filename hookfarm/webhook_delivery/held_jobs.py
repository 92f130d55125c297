"""The jobs that a delivery process holds, shown in its slot: the sweep requeues none that is shown."""

from hookfarm.farm.scoreboard import Slot
from hookfarm.webhook_delivery import telemetry


class HeldJobs:
    """The places of one process, a sequence in each; a job has one from the pop to the settlement. 0 = free."""

    def __init__(self, slot: Slot, concurrency: int) -> None:
        self._slot = slot
        self._free = list(range(telemetry.HELD, telemetry.HELD + places(concurrency)))
        self._places: dict[int, int] = {}

    @property
    def room(self) -> int:
        """How many more jobs there is a place for."""
        return len(self._free)

    def inherited(self) -> list[int]:
        """Return what an earlier process in this slot held when it died; to be called before the first `add`."""
        return sequences(self._slot)

    def clear(self) -> None:
        """Free all places."""
        for index in range(telemetry.HELD, telemetry.HELD + telemetry.MAX_HELD):
            self._slot.set_counter(index, 0)

    def add(self, sequence: int) -> None:
        """Show a job that was just popped."""
        place = self._free.pop()
        self._places[sequence] = place
        self._slot.set_counter(place, sequence)

    def remove(self, sequence: int) -> None:
        """Free its place, once Redis has confirmed the settlement. Until then it must not look like an orphan."""
        place = self._places.pop(sequence)
        self._slot.set_counter(place, 0)
        self._free.append(place)

    def __len__(self) -> int:
        return len(self._places)


def places(concurrency: int) -> int:
    """Return how many places a process needs: as many jobs as are in flight may wait for their settlement."""
    return 2 * concurrency


def sequences(slot: Slot) -> list[int]:
    """Return the sequences of the jobs that the process in `slot` holds, or its predecessor held."""
    return [sequence for sequence in slot.counters(telemetry.HELD, telemetry.MAX_HELD) if sequence]
