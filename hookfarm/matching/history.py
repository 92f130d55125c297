"""The history of a log: the endpoints that were notified of it, and the endpoints to notify next.

A removed log may return. Several processors, or a processor after a crash, may handle entries out of order. So a
history contains the id of its newest entry, and older entries change nothing. Each return of a log is a new
generation with new webhook ids; a receiver would drop the old ids as duplicates.

Each endpoint is stored with the notifications that its subscription requested at the first notification. Later
changes of the subscription do not apply.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

EMITTED, REMOVED, FINALIZED = "e", "r", "f"
"""Codes of the notifications that an endpoint requested."""
FINALIZED_SENT = "F"
"""Replaces FINALIZED after that notification."""
DEFAULT_NOTIFY = EMITTED + REMOVED
"""The default; not stored."""


class NotifiedEndpoint(NamedTuple):
    """An endpoint with its subscription and the codes of its notifications."""

    endpoint: str
    subscription: str
    notify: str = DEFAULT_NOTIFY

    @property
    def was_notified(self) -> bool:
        """Whether a notification of the log was sent, so that its removal must be sent too."""
        return EMITTED in self.notify or FINALIZED_SENT in self.notify


def encode_notify(notify: Sequence[str]) -> str:
    """Return a subscription's `notify` as codes."""
    return "".join(word[0] for word in notify)


@dataclass(frozen=True)
class History:
    """One log's history as it is stored. `entry` is the newest entry applied to it."""

    entry: str
    is_on_chain: bool
    generation: int
    receivers: tuple[NotifiedEndpoint, ...]

    def encode(self) -> str:
        sign = "+" if self.is_on_chain else "-"
        return " ".join([self.entry, sign, str(self.generation), *map(_encode_receiver, self.receivers)])

    @classmethod
    def decode(cls, stored: str) -> "History | None":
        """Parse a stored history. Returns None for an empty string: no history yet."""
        if not stored:
            return None
        entry, sign, generation, *receivers = stored.split(" ")
        return cls(entry, sign == "+", int(generation), tuple(map(_decode_receiver, receivers)))

    @property
    def awaits_finality(self) -> bool:
        """Whether a `finalized` notification is pending."""
        return FINALIZED in "".join([receiver.notify for receiver in self.receivers])

    def is_newer_than(self, entry: str) -> bool:
        return _entry_number(self.entry) >= _entry_number(entry)


@dataclass(frozen=True)
class Transition:
    """The effect of an entry, or of finality, on a log: its new history and the endpoints to notify.

    `after` None = unchanged. `generation` is that of the emitted, removed or final log.
    """

    after: History | None
    generation: int
    emit: tuple[NotifiedEndpoint, ...] = ()
    retract: tuple[NotifiedEndpoint, ...] = ()
    finalize: tuple[NotifiedEndpoint, ...] = ()


def on_emitted(entry: str, before: History | None, wanted: Iterable[NotifiedEndpoint]) -> Transition:
    """Return the transition of an emitted log: emit to matching endpoints without a notification yet."""
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
    """Return the transition of a removed log: retract from every endpoint that was notified of it.

    Pending `finalized` notifications are dropped. A removal older than the log's return has no effect.
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
    """Return the transition of a final log: one notification to every endpoint that requested it."""
    due = _asking_for(FINALIZED, before.receivers)
    sent = tuple(r._replace(notify=r.notify.replace(FINALIZED, FINALIZED_SENT)) for r in before.receivers)
    return Transition(replace(before, receivers=sent), before.generation, finalize=due)


def _asking_for(letter: str, receivers: Iterable[NotifiedEndpoint]) -> tuple[NotifiedEndpoint, ...]:
    return tuple([receiver for receiver in receivers if letter in receiver.notify])


def _encode_receiver(receiver: NotifiedEndpoint) -> str:
    endpoint, subscription, notify = receiver
    return f"{endpoint}:{subscription}" if notify == DEFAULT_NOTIFY else f"{endpoint}:{subscription}:{notify}"


def _decode_receiver(stored: str) -> NotifiedEndpoint:
    """Parse from the right, because ids of endpoints stored by other software may contain a colon."""
    head, _, last = stored.rpartition(":")
    if last.startswith("sub_"):
        return NotifiedEndpoint(head, last)
    endpoint, _, subscription = head.rpartition(":")
    return NotifiedEndpoint(endpoint, subscription, last)


def _entry_number(entry: str) -> tuple[int, int]:
    milliseconds, _, rest = entry.partition("-")
    return int(milliseconds), int(rest)
