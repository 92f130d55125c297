"""The records that cross process borders, checked where they come in.

`parse_*` take what somebody sent (JSON already decoded) and return a checked record, or raise InvalidInput
that names the field. The forms are the contract's; hexadecimal is lower case inside hookfarm, whatever came.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NotRequired, TypedDict

from hookfarm.errors import InvalidInput

MAX_UINT64 = 2**64 - 1
MAX_TIMEOUT_SECONDS = 60.0
DEFAULT_TIMEOUT_SECONDS = 15.0
MAX_IN_FLIGHT = 10_000
LOWEST_RATE, HIGHEST_RATE = 0.01, 100_000.0
MAX_SUBSCRIPTIONS = 100
MAX_ADDRESSES = 100_000

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_WORD = re.compile(r"0x[0-9a-f]{64}")
_DATA = re.compile(r"0x(?:[0-9a-f]{2})*")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
"""What Python makes of bytes on the command line that are no UTF-8; no record can hold it."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]{0,2048}")
_RESERVED_HEADERS = {
    *("host", "content-length", "content-type", "transfer-encoding", "connection", "user-agent"),
    *("accept-encoding", "expect", "te", "trailer", "upgrade"),
}
_ENDPOINT_FIELDS = {
    *("url", "description", "subscriptions", "headers", "timeout_seconds"),
    *("max_in_flight", "rate_limit_per_second", "ordered", "enabled"),
}


class Event(TypedDict):
    """One log of a chain. Identity: chain_id, block_hash, log_index."""

    chain_id: int
    block_number: int
    block_hash: str
    block_timestamp: int
    transaction_hash: str
    transaction_index: int
    log_index: int
    address: str
    topics: list[str]
    data: str
    removed: NotRequired[bool]


TopicFilter = tuple[str, ...] | None
"""One position of a topics filter: None = any, else one of these."""


@dataclass(frozen=True)
class Subscription:
    """Which events an endpoint wants.

    Either `event` (a human signature) or `topics` (positional, as in `eth_getLogs`) or neither = any log.
    """

    id: str
    chain_id: int
    addresses: tuple[str, ...] = ()
    event: str | None = None
    topics: tuple[TopicFilter, ...] | None = None


@dataclass(frozen=True)
class Endpoint:
    """A customer's URL, what it subscribes to, and how it is signed and sent to.

    `max_in_flight`: attempts at once at most, None = as many as there are workers. `rate_limit_per_second`:
    attempts, over any ten seconds. `ordered`: one at a time in the order of events, retries included.
    `secrets` are the signing secrets in force, the newest first: two while one is being rotated out, the
    older with the time (Unix seconds) until which it still signs.
    """

    id: str
    url: str
    description: str = ""
    subscriptions: tuple[Subscription, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    max_in_flight: int | None = None
    rate_limit_per_second: float | None = None
    ordered: bool = False
    enabled: bool = True
    disabled_reason: str | None = None
    secrets: tuple[tuple[str, float | None], ...] = ()

    def signing_secrets(self, now: float) -> tuple[str, ...]:
        """The secrets that sign at `now` (Unix seconds)."""
        return tuple(s for s, expires in self.secrets if expires is None or expires > now)

    def public(self) -> dict[str, Any]:
        """The form the contract shows: everything but the secrets."""
        return {
            "id": self.id,
            "url": self.url,
            "description": self.description,
            "subscriptions": [subscription_json(s) for s in self.subscriptions],
            "headers": dict(self.headers),
            "timeout_seconds": self.timeout_seconds,
            "max_in_flight": self.max_in_flight,
            "rate_limit_per_second": self.rate_limit_per_second,
            "ordered": self.ordered,
            "enabled": self.enabled,
            "disabled_reason": self.disabled_reason,
        }

    def stored(self) -> dict[str, Any]:
        """The form the registry keeps, secrets included."""
        return {**self.public(), "secrets": [list(pair) for pair in self.secrets]}


def new_endpoint_id() -> str:
    return f"ep_{secrets.token_hex(12)}"


def new_subscription_id() -> str:
    return f"sub_{secrets.token_hex(12)}"


def subscription_json(subscription: Subscription) -> dict[str, Any]:
    """The contract's form of a subscription."""
    topics = subscription.topics
    shown = None if topics is None else [None if t is None else list(t) for t in topics]
    return {**asdict(subscription), "topics": shown, "where": None, "confirmations": 0}


def parse_event(raw: object) -> Event:
    """A checked Event with lower-case hexadecimal and no other fields; InvalidInput names the bad one."""
    record = _mapping(raw, "event")
    topics = record.get("topics")
    if not isinstance(topics, list) or len(topics) > 4:
        raise InvalidInput("topics", f"{_short(topics)} is not a list of at most 4 topics")
    if record.get("removed", False) is not False:
        raise InvalidInput("removed", f"{_short(record['removed'])} is not allowed here; it must be false")
    return {
        "chain_id": _count(record, "chain_id", low=1),
        "block_number": _count(record, "block_number"),
        "block_hash": _hex(record, "block_hash", _WORD, "32 bytes"),
        "block_timestamp": _count(record, "block_timestamp"),
        "transaction_hash": _hex(record, "transaction_hash", _WORD, "32 bytes"),
        "transaction_index": _count(record, "transaction_index"),
        "log_index": _count(record, "log_index"),
        "address": _hex(record, "address", _ADDRESS, "20 bytes"),
        "topics": [_hex_value(t, f"topics[{i}]", _WORD, "32 bytes") for i, t in enumerate(topics)],
        "data": _hex(record, "data", _DATA, "whole bytes"),
        "removed": False,
    }


def parse_endpoint(raw: object, check_url: Callable[[str], str], base: Endpoint | None = None) -> Endpoint:
    """A checked endpoint: `raw` over `base` (an update) or over the defaults (a creation, `url` required).

    `check_url` returns the URL or raises InvalidInput. Ids and secrets are not taken from `raw`.
    """
    record = _mapping(raw, "endpoint")
    _refuse_unknown(record, _ENDPOINT_FIELDS)
    endpoint = base or Endpoint(id=new_endpoint_id(), url="")
    if base is None or "url" in record:
        endpoint = replace(endpoint, url=check_url(_text(record, "url", 2048)))
    changes: dict[str, Any] = {}
    if "description" in record:
        changes["description"] = _text(record, "description", 500)
    if "subscriptions" in record:
        changes["subscriptions"] = _subscriptions(record["subscriptions"])
    if "headers" in record:
        changes["headers"] = _headers(record["headers"])
    if "timeout_seconds" in record:
        changes["timeout_seconds"] = _timeout(record["timeout_seconds"])
    if "max_in_flight" in record:
        changes["max_in_flight"] = _max_in_flight(record["max_in_flight"])
    if "rate_limit_per_second" in record:
        changes["rate_limit_per_second"] = _rate_limit(record["rate_limit_per_second"])
    if "ordered" in record:
        changes["ordered"] = _boolean(record, "ordered")
    if "enabled" in record:
        changes["enabled"] = _boolean(record, "enabled")
        changes["disabled_reason"] = None if record["enabled"] else "disabled by its owner"
    return replace(endpoint, **changes)


def endpoint_from_stored(raw: Mapping[str, Any]) -> Endpoint:
    """The endpoint that `Endpoint.stored` wrote; no checks beyond its shape."""
    return Endpoint(
        id=raw["id"],
        url=raw["url"],
        description=raw["description"],
        subscriptions=tuple(_stored_subscription(s) for s in raw["subscriptions"]),
        headers=tuple(raw["headers"].items()),
        timeout_seconds=raw["timeout_seconds"],
        max_in_flight=raw["max_in_flight"],
        rate_limit_per_second=raw["rate_limit_per_second"],
        ordered=raw["ordered"],
        enabled=raw["enabled"],
        disabled_reason=raw["disabled_reason"],
        secrets=tuple((secret, expires) for secret, expires in raw["secrets"]),
    )


def _stored_subscription(raw: Mapping[str, Any]) -> Subscription:
    topics = raw["topics"]
    kept = None if topics is None else tuple(None if t is None else tuple(t) for t in topics)
    return Subscription(raw["id"], raw["chain_id"], tuple(raw["addresses"]), raw["event"], kept)


def parse_subscription(raw: object) -> Subscription:
    """A checked subscription; a missing id is made. The signature's grammar is the matcher's to check."""
    record = _mapping(raw, "subscription")
    known = {"id", "chain_id", "addresses", "event", "topics", "where", "confirmations"}
    _refuse_unknown(record, known)
    _refuse_later(record, {"where": None, "confirmations": 0})
    event = None if record.get("event") is None else _text(record, "event", 4096)
    topics = None if record.get("topics") is None else _topic_filters(record["topics"])
    if event is not None and topics is not None:
        raise InvalidInput("topics", "give either event or topics, not both")
    identity = new_subscription_id() if record.get("id") is None else _text(record, "id", 64)
    if not re.fullmatch(r"sub_[0-9A-Za-z_-]{1,60}", identity):
        raise InvalidInput("id", f"{_short(identity)} is not a subscription id; write sub_… or leave it out")
    return Subscription(identity, _count(record, "chain_id", low=1), _addresses(record), event, topics)


def _subscriptions(raw: object) -> tuple[Subscription, ...]:
    if not isinstance(raw, list) or len(raw) > MAX_SUBSCRIPTIONS:
        problem = f"{_short(raw)} is not a list of at most {MAX_SUBSCRIPTIONS} subscriptions"
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


def _addresses(record: Mapping[str, Any]) -> tuple[str, ...]:
    raw = [] if record.get("addresses") is None else record["addresses"]
    if not isinstance(raw, list) or len(raw) > MAX_ADDRESSES:
        raise InvalidInput("addresses", f"{_short(raw)} is not a list of at most {MAX_ADDRESSES} addresses")
    checked = [_hex_value(a, f"addresses[{i}]", _ADDRESS, "20 bytes") for i, a in enumerate(raw)]
    return tuple(dict.fromkeys(checked))


def _topic_filters(raw: object) -> tuple[TopicFilter, ...]:
    if not isinstance(raw, list) or len(raw) > 4:
        raise InvalidInput("topics", f"{_short(raw)} is not a list of at most 4 positions")
    return tuple(_topic_filter(item, f"topics[{i}]") for i, item in enumerate(raw))


def _topic_filter(raw: object, field: str) -> TopicFilter:
    if raw is None or raw == []:
        return None
    if isinstance(raw, list):
        choices = [_hex_value(t, f"{field}[{i}]", _WORD, "32 bytes") for i, t in enumerate(raw)]
        return tuple(dict.fromkeys(choices))
    return (_hex_value(raw, field, _WORD, "32 bytes, null or a list"),)


def _headers(raw: object) -> tuple[tuple[str, str], ...]:
    record = _mapping(raw, "headers")
    if len(record) > 32:
        raise InvalidInput("headers", f"{len(record)} headers; at most 32 are allowed")
    for name, value in record.items():
        field = f"headers.{_short(name)}"
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise InvalidInput(field, "is not a header name (RFC 9110 token)")
        if name.lower() in _RESERVED_HEADERS or name.lower().startswith("webhook-"):
            raise InvalidInput(field, "is reserved for hookfarm")
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise InvalidInput(field, "the value must be printable ASCII of at most 2048 characters")
    return tuple(record.items())


def _timeout(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0.1 <= raw <= MAX_TIMEOUT_SECONDS:
        allowed = f"allowed are 0.1 to {MAX_TIMEOUT_SECONDS:g} seconds"
        raise InvalidInput("timeout_seconds", f"{_short(raw)} is not allowed; {allowed}")
    return float(raw)


def _max_in_flight(raw: object) -> int | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= MAX_IN_FLIGHT:
        raise InvalidInput(
            "max_in_flight", f"{_short(raw)} is not null or a whole number from 1 to {MAX_IN_FLIGHT}"
        )
    return raw


def _rate_limit(raw: object) -> float | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not LOWEST_RATE <= raw <= HIGHEST_RATE:
        allowed = f"null or a number from {LOWEST_RATE:g} to {HIGHEST_RATE:.0f}"
        raise InvalidInput("rate_limit_per_second", f"{_short(raw)} is not {allowed}")
    return float(raw)


def _mapping(raw: object, what: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise InvalidInput(what, f"{_short(raw)} is not a JSON object")
    return raw


def _refuse_unknown(record: Mapping[str, Any], known: set[str]) -> None:
    for name in record:
        if name not in known:
            raise InvalidInput(_short(name).strip("'\""), f"no such field; known: {', '.join(sorted(known))}")


def _refuse_later(record: Mapping[str, Any], defaults: Mapping[str, object]) -> None:
    for name, default in defaults.items():
        if name in record and (record[name] != default or isinstance(record[name], bool) != (default is False)):
            raise InvalidInput(name, f"only {default!r} is supported by this version".replace("None", "null"))


def _text(record: Mapping[str, Any], field: str, longest: int) -> str:
    value = record.get(field)
    if not isinstance(value, str) or len(value) > longest:
        raise InvalidInput(field, f"{_short(value)} is not a text of at most {longest} characters")
    if _SURROGATE.search(value):
        raise InvalidInput(field, f"{_short(value)} is not UTF-8")
    return value


def _boolean(record: Mapping[str, Any], field: str) -> bool:
    value = record.get(field)
    if not isinstance(value, bool):
        raise InvalidInput(field, f"{_short(value)} is not true or false")
    return value


def _count(record: Mapping[str, Any], field: str, low: int = 0) -> int:
    value = record.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= MAX_UINT64:
        raise InvalidInput(field, f"{_short(value)} is not a whole number from {low}")
    return value


def _hex(record: Mapping[str, Any], field: str, pattern: re.Pattern[str], what: str) -> str:
    return _hex_value(record.get(field), field, pattern, what)


def _hex_value(value: object, field: str, pattern: re.Pattern[str], what: str) -> str:
    lowered = value.lower() if isinstance(value, str) else ""
    if not pattern.fullmatch(lowered):
        raise InvalidInput(field, f"{_short(value)} is not 0x… hexadecimal of {what}")
    return lowered


def _short(value: object) -> str:
    """A value as an error shows it: recognisable, never long."""
    try:
        shown = repr(value)
    except RecursionError:
        shown = f"a deeply nested {type(value).__name__}"
    return shown if len(shown) <= 80 else f"{shown[:77]}…"
