"""What was told of a log, and what is to be told next: a log that a reorg takes back may come again.

Entries may be handled out of their order, by several processors or after one died. So what was told carries the
id of the entry that said so, and an older entry changes nothing. Every return of a log is a generation of its own,
with ids of its own, or a receiver that knows the first one would take it for a repetition.
"""

from collections.abc import Iterable
from dataclasses import dataclass

Receiver = tuple[str, str]
"""An endpoint and its subscription."""


@dataclass(frozen=True)
class Told:
    """As it is kept: `entry` said last whether the log stands, and to whom that was told."""

    entry: str
    stands: bool
    generation: int
    receivers: tuple[Receiver, ...]

    def encode(self) -> str:
        sign = "+" if self.stands else "-"
        return " ".join([self.entry, sign, str(self.generation), *map(":".join, self.receivers)])

    @classmethod
    def decode(cls, stored: str) -> "Told | None":
        """None for the empty string: nothing was told yet."""
        if not stored:
            return None
        entry, sign, generation, *receivers = stored.split(" ")
        pairs = (tuple(receiver.split(":", 1)) for receiver in receivers)
        return cls(entry, sign == "+", int(generation), tuple((e, s) for e, s in pairs))

    def is_newer_than(self, entry: str) -> bool:
        return _number(self.entry) >= _number(entry)


@dataclass(frozen=True)
class Step:
    """What an entry leads to: `emit` to these, `take_back` from those, and what is kept from then on.

    `generation` is that of the log that is emitted or taken back.
    """

    kept: Told | None
    generation: int
    emit: tuple[Receiver, ...] = ()
    take_back: tuple[Receiver, ...] = ()


def emitted(entry: str, before: Told | None, wanted: Iterable[Receiver]) -> Step:
    """The log stands. Who was told so already is not told again."""
    receivers = tuple(wanted)
    if before is None or not before.stands:
        if before is not None and before.is_newer_than(entry):
            return Step(None, before.generation)
        generation = 0 if before is None else before.generation
        return Step(
            Told(entry, True, generation, receivers) if receivers or before else None, generation, receivers
        )
    known = {endpoint for endpoint, _ in before.receivers}
    new = tuple(receiver for receiver in receivers if receiver[0] not in known)
    newest = before.entry if before.is_newer_than(entry) else entry
    return Step(Told(newest, True, before.generation, before.receivers + new), before.generation, new)


def removed(entry: str, before: Told | None) -> Step:
    """The log was taken back: all who were told of it are told that.

    Nobody, where this is handled before the return that it takes back: that comes too late then.
    """
    if before is None:
        return Step(Told(entry, False, 0, ()), 0)
    if before.is_newer_than(entry):
        return Step(None, before.generation)
    if not before.stands:
        return Step(Told(entry, False, before.generation, ()), before.generation)
    kept = Told(entry, False, before.generation + 1, ())
    return Step(kept, before.generation, take_back=before.receivers)


def _number(entry: str) -> tuple[int, int]:
    milliseconds, _, rest = entry.partition("-")
    return int(milliseconds), int(rest)
