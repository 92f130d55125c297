"""What was told of a log, and what is to be told next: a log that a reorg takes back may come again.

Entries may be handled out of their order, by several processors or after one died. So what was told carries the
id of the entry that said so, and an older entry changes nothing. Every return of a log is a generation of its own,
with ids of its own, or a receiver that knows the first one would take it for a repetition.

Who is told what is kept with each receiver: what it asked for when it was told, whatever it asks for later.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

EMITTED, REMOVED, FINALIZED = "e", "r", "f"
"""What a receiver is to be told, a letter each."""
TOLD_FINAL = "F"
"""Instead of FINALIZED, once that was told."""
USUAL = EMITTED + REMOVED
"""Kept without a letter."""


class Receiver(NamedTuple):
    """An endpoint, its subscription, and the letters of what it is to be told."""

    endpoint: str
    subscription: str
    notify: str = USUAL

    @property
    def knows(self) -> bool:
        """Whether it was told of the log, so that it can be taken back."""
        return EMITTED in self.notify or TOLD_FINAL in self.notify


def letters(notify: Sequence[str]) -> str:
    """A subscription's words as they are kept with its endpoint."""
    return "".join(word[0] for word in notify)


@dataclass(frozen=True)
class Told:
    """As it is kept: `entry` said last whether the log stands, and to whom that was told."""

    entry: str
    stands: bool
    generation: int
    receivers: tuple[Receiver, ...]

    def encode(self) -> str:
        sign = "+" if self.stands else "-"
        return " ".join([self.entry, sign, str(self.generation), *map(_encoded, self.receivers)])

    @classmethod
    def decode(cls, stored: str) -> "Told | None":
        """None for the empty string: nothing was told yet."""
        if not stored:
            return None
        entry, sign, generation, *receivers = stored.split(" ")
        return cls(entry, sign == "+", int(generation), tuple(map(_decoded, receivers)))

    @property
    def awaits_finality(self) -> bool:
        """Whether somebody is still to be told that the log is final."""
        return FINALIZED in "".join([receiver.notify for receiver in self.receivers])

    def is_newer_than(self, entry: str) -> bool:
        return _number(self.entry) >= _number(entry)


@dataclass(frozen=True)
class Step:
    """What an entry, or finality, leads to: whom to tell what, and what is kept from then on (None = as it was).

    `generation` is that of the log that is emitted, taken back or final.
    """

    kept: Told | None
    generation: int
    emit: tuple[Receiver, ...] = ()
    take_back: tuple[Receiver, ...] = ()
    finalize: tuple[Receiver, ...] = ()


def emitted(entry: str, before: Told | None, wanted: Iterable[Receiver]) -> Step:
    """The log stands. Who was told so already is not told again."""
    receivers = tuple(wanted)
    if before is None or not before.stands:
        if before is not None and before.is_newer_than(entry):
            return Step(None, before.generation)
        generation = 0 if before is None else before.generation
        kept = Told(entry, True, generation, receivers) if receivers or before else None
        return Step(kept, generation, _wanting(EMITTED, receivers))
    known = {receiver.endpoint for receiver in before.receivers}
    new = tuple(receiver for receiver in receivers if receiver.endpoint not in known)
    newest = before.entry if before.is_newer_than(entry) else entry
    kept = Told(newest, True, before.generation, before.receivers + new)
    return Step(kept, before.generation, _wanting(EMITTED, new))


def removed(entry: str, before: Told | None) -> Step:
    """The log was taken back: all who were told of it are told that, and nobody that it is final.

    Nobody, where this is handled before the return that it takes back: that comes too late then.
    """
    if before is None:
        return Step(Told(entry, False, 0, ()), 0)
    if before.is_newer_than(entry):
        return Step(None, before.generation)
    if not before.stands:
        return Step(replace(before, entry=entry), before.generation)
    kept = Told(entry, False, before.generation + 1, ())
    return Step(kept, before.generation, take_back=tuple(r for r in before.receivers if r.knows))


def finalized(before: Told) -> Step:
    """The log is on the chain for good: who asked for that is told, once."""
    due = _wanting(FINALIZED, before.receivers)
    told = tuple(r._replace(notify=r.notify.replace(FINALIZED, TOLD_FINAL)) for r in before.receivers)
    return Step(replace(before, receivers=told), before.generation, finalize=due)


def _wanting(letter: str, receivers: Iterable[Receiver]) -> tuple[Receiver, ...]:
    return tuple([receiver for receiver in receivers if letter in receiver.notify])


def _encoded(receiver: Receiver) -> str:
    endpoint, subscription, notify = receiver
    return f"{endpoint}:{subscription}" if notify == USUAL else f"{endpoint}:{subscription}:{notify}"


def _decoded(stored: str) -> Receiver:
    """From the right: an endpoint that somebody else has stored may have any id."""
    head, _, last = stored.rpartition(":")
    if last.startswith("sub_"):
        return Receiver(head, last)
    endpoint, _, subscription = head.rpartition(":")
    return Receiver(endpoint, subscription, last)


def _number(entry: str) -> tuple[int, int]:
    milliseconds, _, rest = entry.partition("-")
    return int(milliseconds), int(rest)
