"""Subscriptions: which events an endpoint wants."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hookfarm.errors import InvalidInput
from hookfarm.records import operational
from hookfarm.records.fields import ADDRESS, WORD, count, hex_value, mapping, refuse_unknown, short, text
from hookfarm.records.identifiers import new_subscription_id

MAX_SUBSCRIPTIONS = 100
MAX_CONFIRMATIONS = 10_000
CONFIRMATION_TAGS = ("safe", "finalized")
MAX_ADDRESSES = 100_000

TopicFilter = tuple[str, ...] | None
"""One position of a topics filter: None = any, else one of these."""


@dataclass(frozen=True)
class Subscription:
    """Which events an endpoint wants.

    Either `event` (a human signature) or `topics` (positional, as in `eth_getLogs`) or neither = any log.
    `where`: a condition on the arguments of `event` (its language: hookfarm.conditions). `confirmations`: how many
    blocks must stand on the log's, or the tag that must have reached it.
    """

    id: str
    chain_id: int
    addresses: tuple[str, ...] = ()
    event: str | None = None
    topics: tuple[TopicFilter, ...] | None = None
    where: str | None = None
    confirmations: int | str = 0
    events: tuple[str, ...] = ()
    """What happens in hookfarm itself, of an operational subscription, which has nothing else; its chain is 0."""

    @property
    def is_operational(self) -> bool:
        return bool(self.events)


def subscription_json(subscription: Subscription) -> dict[str, Any]:
    """The contract's form of a subscription."""
    if subscription.is_operational:
        return operational.shown(subscription.id, subscription.events)
    topics = subscription.topics
    shown = None if topics is None else [None if t is None else list(t) for t in topics]
    found = {**asdict(subscription), "topics": shown}
    del found["events"]
    return found


def stored_subscription(raw: Mapping[str, Any]) -> Subscription:
    if operational.is_operational(raw):
        return Subscription(raw["id"], 0, events=tuple(raw["events"]))
    topics = raw["topics"]
    kept = None if topics is None else tuple(None if t is None else tuple(t) for t in topics)
    addresses = tuple(raw["addresses"])
    return Subscription(
        raw["id"], raw["chain_id"], addresses, raw["event"], kept, raw["where"], raw["confirmations"]
    )


def parse_subscription(raw: object) -> Subscription:
    """A checked subscription, with its event signature and its condition; a missing id is made."""
    record = mapping(raw, "subscription")
    if operational.is_operational(record):
        identity, events = operational.parse(record)
        return Subscription(identity, 0, events=events)
    known = {"id", "chain_id", "addresses", "event", "topics", "where", "confirmations"}
    refuse_unknown(record, known)
    topics = None if record.get("topics") is None else _topic_filters(record["topics"])
    event, where = _event_and_where(record)
    if event is not None and topics is not None:
        raise InvalidInput("topics", "give either event or topics, not both")
    identity = new_subscription_id() if record.get("id") is None else text(record, "id", 64)
    if not re.fullmatch(r"sub_[0-9A-Za-z_-]{1,60}", identity):
        raise InvalidInput("id", f"{short(identity)} is not a subscription id; write sub_… or leave it out")
    chain_id = count(record, "chain_id", low=1)
    return Subscription(identity, chain_id, _addresses(record), event, topics, where, _confirmations(record))


def parse_subscriptions(raw: object) -> tuple[Subscription, ...]:
    if not isinstance(raw, list) or len(raw) > MAX_SUBSCRIPTIONS:
        problem = f"{short(raw)} is not a list of at most {MAX_SUBSCRIPTIONS} subscriptions"
        raise InvalidInput("subscriptions", problem)
    found: dict[str, Subscription] = {}
    for i, item in enumerate(raw):
        try:
            subscription = parse_subscription(item)
        except InvalidInput as error:
            raise error.within(f"subscriptions[{i}]") from error
        if subscription.id in found:
            raise InvalidInput(f"subscriptions[{i}].id", f"{subscription.id!r} is used twice")
        found[subscription.id] = subscription
    return tuple(found.values())


def _confirmations(record: Mapping[str, Any]) -> int | str:
    value = record.get("confirmations", 0)
    if isinstance(value, str) and value in CONFIRMATION_TAGS:
        return value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_CONFIRMATIONS:
        allowed = f"a whole number from 0 to {MAX_CONFIRMATIONS}, 'safe' or 'finalized'"
        raise InvalidInput("confirmations", f"{short(value)} is not {allowed}")
    return value


def _event_and_where(record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    # Here, not at the top: hashing signatures needs 4 MB that a delivery process, which only reads records,
    # would carry for nothing.
    from hookfarm.abi import signature
    from hookfarm.conditions import grammar, tokens

    event = None if record.get("event") is None else text(record, "event", signature.MAX_CHARACTERS)
    where = None if record.get("where") is None else text(record, "where", tokens.MAX_CHARACTERS)
    declared = None if event is None else signature.parse(event)
    if where is not None:
        if declared is None:
            raise InvalidInput("where", "needs event: without a signature nothing is decoded")
        grammar.parse(where, declared)
    return event, where


def _addresses(record: Mapping[str, Any]) -> tuple[str, ...]:
    raw = [] if record.get("addresses") is None else record["addresses"]
    if not isinstance(raw, list) or len(raw) > MAX_ADDRESSES:
        raise InvalidInput("addresses", f"{short(raw)} is not a list of at most {MAX_ADDRESSES} addresses")
    checked = [hex_value(a, f"addresses[{i}]", ADDRESS, "20 bytes") for i, a in enumerate(raw)]
    return tuple(dict.fromkeys(checked))


def _topic_filters(raw: object) -> tuple[TopicFilter, ...]:
    if not isinstance(raw, list) or len(raw) > 4:
        raise InvalidInput("topics", f"{short(raw)} is not a list of at most 4 positions")
    return tuple(_topic_filter(item, f"topics[{i}]") for i, item in enumerate(raw))


def _topic_filter(raw: object, field: str) -> TopicFilter:
    if raw is None or raw == []:
        return None
    if isinstance(raw, list):
        choices = [hex_value(t, f"{field}[{i}]", WORD, "32 bytes") for i, t in enumerate(raw)]
        return tuple(dict.fromkeys(choices))
    return (hex_value(raw, field, WORD, "32 bytes, null or a list"),)
