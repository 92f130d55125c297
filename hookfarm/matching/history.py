"""The history of a log: which endpoints were notified of it, and who is notified next.

A log that a reorg removes may return. Entries may be handled out of order, by several processors or after a crash,
so a history carries the id of its newest entry, and an older entry changes nothing. Each return of a log is a new
generation with webhook ids of its own; otherwise a receiver would drop it as a repetition.

Each endpoint is stored with the notifications that its subscription asked for when it was first notified; later
changes of the subscription do not apply.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

EMITTED, REMOVED, FINALIZED = "e", "r", "f"
"""The notifications that an endpoint asked for, one letter each."""
FINALIZED_SENT = "F"
"""Replaces FINALIZED once that notification is sent."""
DEFAULT_NOTIFY = EMITTED + REMOVED
"""Stored as an absent field."""


class NotifiedEndpoint(NamedTuple):
    """An endpoint, its subscription, and the one-character codes of its notifications."""

    endpoint: str
    subscription: str
    notify: str = DEFAULT_NOTIFY

    @property
    def was_notified(self) -> bool:
        """Whether a notification of the log was sent, so that its removal must be sent, too."""
        return EMITTED in self.notify or FINALIZED_SENT in self.notify


def encode_notify(notify: Sequence[str]) -> str:
    """Return a subscription's `notify` as the codes that are stored with its endpoint."""
    return "".join(word[0] for word in notify)


@dataclass(frozen=True)
class History:
    """One log's history as it is stored. `entry` is the newest entry that was applied to it."""

    entry: str
    is_on_chain: bool
    generation: int
    receivers: tuple[NotifiedEndpoint, ...]

    def encode(self) -> str:
        sign = "+" if self.is_on_chain else "-"
        return " ".join([self.entry, sign, str(self.generation), *map(_encode_receiver, self.receivers)])

    @classmethod
    def decode(cls, stored: str) -> "History | None":
        """Return None for the empty string: no history yet."""
        if not stored:
            return None
        entry, sign, generation, *receivers = stored.split(" ")
        return cls(entry, sign == "+", int(generation), tuple(map(_decode_receiver, receivers)))

    @property
    def awaits_finality(self) -> bool:
        """Whether a `finalized` notification is still to be sent."""
        return FINALIZED in "".join([receiver.notify for receiver in self.receivers])

    def is_newer_than(self, entry: str) -> bool:
        return _entry_number(self.entry) >= _entry_number(entry)


@dataclass(frozen=True)
class Transition:
    """The effect of an entry or of finality on a log: its new history and the endpoints to notify.

    `after` None = unchanged. `generation` is that of the log that is emitted, removed or final.
    """

    after: History | None
    generation: int
    emit: tuple[NotifiedEndpoint, ...] = ()
    retract: tuple[NotifiedEndpoint, ...] = ()
    finalize: tuple[NotifiedEndpoint, ...] = ()


def on_emitted(entry: str, before: History | None, wanted: Iterable[NotifiedEndpoint]) -> Transition:
    """Return the transition of a log that is on the chain: notifies endpoints that were not notified yet."""
    receivers = tuple(wanted)
    if before is None or not before.is_on_chain:
        if before is not None and before.is_newer_than(entry):
            return Transition(None, before.generation)
        generation = 0 if before is None else before.generation
        after = History(entry, True, generation, receivers) if receivers or before else None
        return Transition(after, generation, _asking_for(EMITTED, receivers))
    known = {receiver.endpoint for receiver in before.receivers}
    new = tuple(receiver for receiver in receivers if receiver.endpoint not in known)
    newest = before.entry if before.is_newer_than(entry) else entry
    after = History(newest, True, before.generation, before.receivers + new)
    return Transition(after, before.generation, _asking_for(EMITTED, new))


def on_removed(entry: str, before: History | None) -> Transition:
    """Return the transition of a removed log: notifies every endpoint that was notified of it.

    It notifies none of finality, and no endpoint at all if the removal is handled after the log's return.
    """
    if before is None:
        return Transition(History(entry, False, 0, ()), 0)
    if before.is_newer_than(entry):
        return Transition(None, before.generation)
    if not before.is_on_chain:
        return Transition(replace(before, entry=entry), before.generation)
    after = History(entry, False, before.generation + 1, ())
    return Transition(after, before.generation, retract=tuple(r for r in before.receivers if r.was_notified))


def on_finalized(before: History) -> Transition:
    """Return the transition of a final log: notifies every endpoint that asked for it, once."""
    due = _asking_for(FINALIZED, before.receivers)
    sent = tuple(r._replace(notify=r.notify.replace(FINALIZED, FINALIZED_SENT)) for r in before.receivers)
    return Transition(replace(before, receivers=sent), before.generation, finalize=due)


def _asking_for(letter: str, receivers: Iterable[NotifiedEndpoint]) -> tuple[NotifiedEndpoint, ...]:
    return tuple([receiver for receiver in receivers if letter in receiver.notify])


def _encode_receiver(receiver: NotifiedEndpoint) -> str:
    endpoint, subscription, notify = receiver
    return f"{endpoint}:{subscription}" if notify == DEFAULT_NOTIFY else f"{endpoint}:{subscription}:{notify}"


def _decode_receiver(stored: str) -> NotifiedEndpoint:
    """Parse from the right: the id of an endpoint that was stored by other software may contain a colon."""
    head, _, last = stored.rpartition(":")
    if last.startswith("sub_"):
        return NotifiedEndpoint(head, last)
    endpoint, _, subscription = head.rpartition(":")
    return NotifiedEndpoint(endpoint, subscription, last)


def _entry_number(entry: str) -> tuple[int, int]:
    milliseconds, _, rest = entry.partition("-")
    return int(milliseconds), int(rest)
