"""Subscriptions: filters of an endpoint's events."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hookfarm.errors import InvalidInput
from hookfarm.records import operational
from hookfarm.records.events import KINDS
from hookfarm.records.fields import (
    ADDRESS,
    BYTES32,
    count,
    hex_value,
    mapping,
    new_subscription_id,
    refuse_unknown,
    shorten,
    text,
)

SUBSCRIPTION_ID = re.compile(r"sub_[0-9A-Za-z_-]{1,60}")
MAX_SUBSCRIPTIONS = 100
MAX_CONFIRMATIONS = 10_000
CONFIRMATION_TAGS = ("safe", "finalized")
NOTIFICATIONS = ("emitted", "removed", "finalized")
DEFAULT_NOTIFY = ("emitted", "removed")
MAX_ADDRESSES = 100_000

_OF_LOGS = ("addresses", "event", "topics")
_OF_TRANSFERS = ("from", "to")
"""Fields of only one kind of subscription."""

TopicFilter = tuple[str, ...] | None
"""One position of a topics filter: None = any, else one of these values."""


@dataclass(frozen=True)
class Subscription:
    """A subscription: selects logs or transfers for an endpoint.

    `kind`: `log`, or `transfer` for transactions that move the chain's own currency. Logs are selected by
    `addresses` and either `event` (a human-readable signature) or `topics` (positional, as in `eth_getLogs`).
    Transfers are selected by `senders` and `recipients` (`from` and `to` in JSON); empty = any. If both are given,
    both must match.
    `where`: a condition on the arguments of `event`, or on a transfer's `from`, `to` and `value` (see
    hookfarm.conditions). `confirmations`: the number of following blocks, or the tag that must reach the block,
    before `emitted` is sent. `notify`: the notifications to send, in the order of NOTIFICATIONS.
    """

    id: str
    chain_id: int
    addresses: tuple[str, ...] = ()
    event: str | None = None
    topics: tuple[TopicFilter, ...] | None = None
    where: str | None = None
    confirmations: int | str = 0
    notify: tuple[str, ...] = DEFAULT_NOTIFY
    kind: str = "log"
    senders: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    """Operational events. An operational subscription has no other field; its chain is 0."""

    @property
    def is_operational(self) -> bool:
        return bool(self.events)


def subscription_json(subscription: Subscription) -> dict[str, Any]:
    """Return the JSON of a subscription; logs and transfers have the fields of both kinds."""
    if subscription.is_operational:
        return operational.as_json(subscription.id, subscription.events)
    topics = subscription.topics
    # asdict would copy each address; there may be 100,000.
    shown = {**vars(subscription), "notify": list(subscription.notify)}
    shown["topics"] = None if topics is None else [None if t is None else list(t) for t in topics]
    shown["from"], shown["to"] = shown.pop("senders"), shown.pop("recipients")
    del shown["events"]
    return shown


def stored_subscription(raw: Mapping[str, Any]) -> Subscription:
    if operational.is_operational(raw):
        return Subscription(raw["id"], 0, kind=operational.KIND, events=tuple(raw["events"]))
    topics = raw["topics"]
    kept = None if topics is None else tuple(None if t is None else tuple(t) for t in topics)
    addresses = tuple(raw["addresses"])
    notify = tuple(raw["notify"])
    return Subscription(
        raw["id"],
        raw["chain_id"],
        addresses,
        raw["event"],
        kept,
        raw["where"],
        raw["confirmations"],
        notify,
        kind=raw["kind"],
        senders=tuple(raw["from"]),
        recipients=tuple(raw["to"]),
    )


def parse_subscription(raw: object) -> Subscription:
    """Return a checked subscription; a missing id becomes a random one. Raises InvalidInput.

    `effective_from_block` is ignored, so that clients may send a response of the API back unchanged.
    """
    record = mapping(raw, "subscription")
    if operational.is_operational(record):
        identity, events = operational.parse(record)
        return Subscription(identity, 0, kind=operational.KIND, events=events)
    known = {"id", "chain_id", "where", "confirmations", "notify", "kind", *_OF_LOGS, *_OF_TRANSFERS}
    refuse_unknown(record, known | {"effective_from_block"})
    kind = _kind(record)
    topics = None if record.get("topics") is None else _topic_filters(record["topics"])
    event, where = _event_and_where(record, kind)
    if event is not None and topics is not None:
        raise InvalidInput("topics", "give either event or topics, not both")
    identity = new_subscription_id() if record.get("id") is None else text(record, "id", 64)
    if not SUBSCRIPTION_ID.fullmatch(identity):
        raise InvalidInput("id", f"{shorten(identity)} is not a subscription id; write sub_… or leave it out")
    chain_id = count(record, "chain_id", low=1)
    return Subscription(
        identity,
        chain_id,
        _addresses(record, "addresses"),
        event,
        topics,
        where,
        _confirmations(record),
        _notify(record),
        kind=kind,
        senders=_addresses(record, "from"),
        recipients=_addresses(record, "to"),
    )


def parse_subscriptions(raw: object) -> tuple[Subscription, ...]:
    if not isinstance(raw, list) or len(raw) > MAX_SUBSCRIPTIONS:
        problem = f"{shorten(raw)} is not a list of at most {MAX_SUBSCRIPTIONS} subscriptions"
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


def _kind(record: Mapping[str, Any]) -> str:
    """Return `kind`. Raises InvalidInput for a field of the other kind."""
    kind = "log" if record.get("kind") is None else record["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidInput("kind", f"{shorten(kind)} is not {' or '.join(map(repr, KINDS))}")
    foreign, what = (_OF_LOGS, "transfers") if kind == "transfer" else (_OF_TRANSFERS, "logs")
    for field in foreign:
        if record.get(field) not in (None, []):
            known = ", ".join(_OF_TRANSFERS if kind == "transfer" else _OF_LOGS)
            raise InvalidInput(field, f"does not apply to {what}; allowed are {known}")
    return kind


def _confirmations(record: Mapping[str, Any]) -> int | str:
    value = record.get("confirmations", 0)
    if isinstance(value, str) and value in CONFIRMATION_TAGS:
        return value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_CONFIRMATIONS:
        allowed = f"a whole number from 0 to {MAX_CONFIRMATIONS}, 'safe' or 'finalized'"
        raise InvalidInput("confirmations", f"{shorten(value)} is not {allowed}")
    return value


def _notify(record: Mapping[str, Any]) -> tuple[str, ...]:
    given = list(DEFAULT_NOTIFY) if record.get("notify") is None else record["notify"]
    if not isinstance(given, list) or not given or any(kind not in NOTIFICATIONS for kind in given):
        allowed = "a list of one or more of 'emitted', 'removed' and 'finalized'"
        raise InvalidInput("notify", f"{shorten(given)} is not {allowed}")
    if set(given) == {"removed"}:
        problem = "removed alone is never sent: it retracts an earlier webhook; add emitted or finalized"
        raise InvalidInput("notify", problem)
    return tuple(kind for kind in NOTIFICATIONS if kind in given)


def _event_and_where(record: Mapping[str, Any], kind: str) -> tuple[str | None, str | None]:
    # Imported here: hashing signatures takes 4 MB, and delivery processes only read records.
    from hookfarm.abi import signature
    from hookfarm.abi.abi_types import NATIVE_TRANSFER
    from hookfarm.conditions import grammar, literals

    event = None if record.get("event") is None else text(record, "event", signature.MAX_CHARACTERS)
    where = None if record.get("where") is None else text(record, "where", literals.MAX_CHARACTERS)
    declared = None if event is None else signature.parse(event)
    if kind == "transfer":
        declared = NATIVE_TRANSFER
    if where is not None:
        if declared is None:
            raise InvalidInput("where", "requires event, whose signature decodes the arguments")
        grammar.check(where, declared)
    return event, where


def _addresses(record: Mapping[str, Any], field: str) -> tuple[str, ...]:
    raw = [] if record.get(field) is None else record[field]
    if not isinstance(raw, list) or len(raw) > MAX_ADDRESSES:
        raise InvalidInput(field, f"{shorten(raw)} is not a list of at most {MAX_ADDRESSES} addresses")
    checked = [hex_value(a, f"{field}[{i}]", ADDRESS, "20 bytes") for i, a in enumerate(raw)]
    return tuple(dict.fromkeys(checked))


def _topic_filters(raw: object) -> tuple[TopicFilter, ...]:
    if not isinstance(raw, list) or len(raw) > 4:
        raise InvalidInput("topics", f"{shorten(raw)} is not a list of at most 4 positions")
    return tuple(_topic_filter(item, f"topics[{i}]") for i, item in enumerate(raw))


def _topic_filter(raw: object, field: str) -> TopicFilter:
    if raw is None or raw == []:
        return None
    if isinstance(raw, list):
        choices = [hex_value(t, f"{field}[{i}]", BYTES32, "32 bytes") for i, t in enumerate(raw)]
        return tuple(dict.fromkeys(choices))
    return (hex_value(raw, field, BYTES32, "32 bytes, null or a list"),)
