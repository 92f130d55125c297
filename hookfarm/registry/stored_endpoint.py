"""Decode and check stored endpoints, at a tenth of the cost of the checks at creation.

A starting processor reads the whole registry. Most field values are shared by thousands of endpoints and
subscriptions, so `records` checks each combination once. Only individual fields are checked here. An endpoint that
fails these fast checks is checked by `records`, which reports the problem.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import orjson

from hookfarm.errors import InvalidInput
from hookfarm.records import (
    MAX_ADDRESSES,
    MAX_SUBSCRIPTIONS,
    Endpoint,
    Subscription,
    endpoint_from_stored,
    parse_endpoint,
    parse_subscription,
)
from hookfarm.records.endpoints import MAX_DESCRIPTION_LENGTH, MAX_URL_LENGTH
from hookfarm.records.fields import ADDRESS, BYTES32
from hookfarm.records.subscriptions import SUBSCRIPTION_ID, stored_subscription
from hookfarm.security.vault import SEALED

SECRET = re.compile(r"whsec_(?:[0-9A-Za-z+/]{4})*(?:[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)?")
_READ_ONLY = {"id", "disabled_reason"}
"""Read-only fields of the API."""
_MAX_ID_LENGTH = 100
_MAX_COMBINATIONS = 1024
_MAX_COMBINATION_BYTES = 2048
"""Larger combinations are not cached."""
_Record = TypeVar("_Record", Endpoint, Subscription)
_Pattern = tuple[bool, ...]
"""For lists of addresses or topics: whether each one has members."""


def decode(stored: bytes | str, subscriptions: bool = True) -> Endpoint:
    """Decode a stored endpoint. Raises InvalidInput unless this package could have stored it.

    `subscriptions` False skips their check, which needs 4 MB of grammar code.
    """
    try:
        plain = _decode_plain(orjson.loads(stored)) if subscriptions else None
        return plain or _decode_any(orjson.loads(stored), subscriptions)
    except InvalidInput:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidInput("endpoint", f"cannot be read ({type(error).__name__}: {error})") from error


class EndpointBatch(NamedTuple):
    """Endpoints by id; None = removed, or `unreadable` with the problem."""

    endpoints: dict[str, Endpoint | None]
    unreadable: dict[str, InvalidInput]


def decode_all(stored: Iterable[tuple[Any, Any]]) -> EndpointBatch:
    """Decode fields of the registry's hash, given as names and contents."""
    endpoints: dict[str, Endpoint | None] = {}
    unreadable: dict[str, InvalidInput] = {}
    for name, value in stored:
        endpoint_id = name.decode("utf-8", "backslashreplace")[:_MAX_ID_LENGTH]
        endpoints[endpoint_id] = None
        try:
            endpoint = None if value is None else decode(value)
            if endpoint is not None and endpoint.id != endpoint_id:
                raise InvalidInput("id", "differs from the key that it is stored under")
            endpoints[endpoint_id] = endpoint
        except InvalidInput as error:
            unreadable[endpoint_id] = error
    return EndpointBatch(endpoints, unreadable)


# Any content


def _decode_any(raw: Mapping[str, Any], subscriptions: bool) -> Endpoint:
    endpoint = endpoint_from_stored(raw)
    _check(endpoint, raw if subscriptions else {**raw, "subscriptions": []})
    return endpoint


def _check(endpoint: Endpoint, raw: Mapping[str, Any]) -> None:
    """Check all fields as at creation except the URL, which is checked before each attempt."""
    given = endpoint.public().keys() - _READ_ONLY
    shapes = {name: value for name, value in raw.items() if name in given}
    shapes["subscriptions"] = [_without_grammar(subscription) for subscription in raw["subscriptions"]]
    parse_endpoint(shapes, lambda url: url, endpoint)
    if not isinstance(endpoint.id, str) or not isinstance(endpoint.disabled_reason, str | None):
        raise InvalidInput("endpoint", "id and disabled_reason must be strings")
    for secret, expires in endpoint.secrets:
        known = SECRET.fullmatch(secret) or SEALED.fullmatch(secret)
        if not known or type(expires) not in (int, float, type(None)):
            raise InvalidInput("secrets", "must be pairs of whsec_… or sealed:… and the time it expires, or null")


def _without_grammar(subscription: Any) -> Any:
    """Return the subscription without event and condition; invalid ones are reported by the index."""
    for field in ("event", "where"):
        if not isinstance(subscription.get(field), str | None):
            raise InvalidInput(field, "must be a string")
    return {**subscription, "event": None, "where": None}


# Fast checks


def _decode_plain(raw: Any) -> Endpoint | None:
    """Return the endpoint; None if a fast check fails. Modifies `raw`."""
    try:
        identity, url, description = raw.pop("id"), raw.pop("url"), raw.pop("description")
        if not (type(identity) is type(url) is type(description) is str):
            return None
        if len(url) > MAX_URL_LENGTH or len(description) > MAX_DESCRIPTION_LENGTH:
            return None
        subscriptions = tuple([_subscription(each) for each in raw.pop("subscriptions")])
        if len(subscriptions) > 1 and not _are_distinct(subscriptions):
            return None
        secrets = tuple([_secret(*pair) for pair in raw.pop("secrets")])
        shared = _endpoint_fields(_combination(raw))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidInput):
        return None
    return _with_own(
        shared, id=identity, url=url, description=description, subscriptions=subscriptions, secrets=secrets
    )


def _with_own(shared: _Record, **own: Any) -> _Record:
    """Return a copy with other fields, already checked; six times as fast as `dataclasses.replace`."""
    made = object.__new__(type(shared))
    vars(made).update(vars(shared), **own)
    return made


def _combination(shared: Mapping[str, Any]) -> bytes:
    combination = orjson.dumps(shared)
    if len(combination) > _MAX_COMBINATION_BYTES:
        raise ValueError
    return combination


@lru_cache(_MAX_COMBINATIONS)
def _endpoint_fields(combination: bytes) -> Endpoint:
    """Return an endpoint with these fields. Raises an error if they are invalid."""
    own = {"id": "", "url": "", "description": "", "subscriptions": [], "secrets": []}
    return _decode_any({**orjson.loads(combination), **own}, subscriptions=True)


def _are_distinct(subscriptions: tuple[Subscription, ...]) -> bool:
    """Whether the ids are distinct and at most MAX_SUBSCRIPTIONS."""
    return len({each.id for each in subscriptions}) == len(subscriptions) <= MAX_SUBSCRIPTIONS


def _secret(secret: str, expires: float | None) -> tuple[str, float | None]:
    if not SECRET.fullmatch(secret) or type(expires) not in (int, float, type(None)):
        raise ValueError
    return secret, expires


def _subscription(raw: dict[str, Any]) -> Subscription:
    """Return a subscription. Raises an error if a fast check fails. Modifies `raw`."""
    identity, where = raw.pop("id"), raw.pop("where")
    if not SUBSCRIPTION_ID.fullmatch(identity) or type(where) not in (str, type(None)):
        raise ValueError
    addresses, topics = _all_fit(raw.pop("addresses"), ADDRESS), raw.pop("topics")
    senders, recipients = _all_fit(raw.pop("from"), ADDRESS), _all_fit(raw.pop("to"), ADDRESS)
    if topics is not None:
        topics = tuple([None if topic is None else _all_fit(topic, BYTES32) for topic in topics])
    pattern = None if topics is None else tuple(map(bool, topics))
    which = (bool(addresses), bool(senders), bool(recipients))
    shared = _subscription_fields(_combination(raw), which, pattern)
    return _with_own(
        shared,
        id=identity,
        addresses=addresses,
        topics=topics,
        where=where,
        senders=senders,
        recipients=recipients,
    )


def _all_fit(values: list[str], pattern: re.Pattern[str]) -> tuple[str, ...]:
    """Return the values as a tuple. Raises ValueError unless they are a list whose members match the pattern."""
    if values == []:
        return ()
    if type(values) is not list or len(values) > MAX_ADDRESSES or not all(map(pattern.fullmatch, values)):
        raise ValueError
    return tuple(values)


@lru_cache(_MAX_COMBINATIONS)
def _subscription_fields(combination: bytes, lists: _Pattern, topics: _Pattern | None) -> Subscription:
    """Return a subscription to logs or transfers with these fields. Raises an error if they are invalid.

    `lists`: whether addresses, from and to have members. `topics`: whether each position has topics.
    """
    addresses, senders, recipients = (["0x" + "00" * 20] if is_given else [] for is_given in lists)
    choices = None if topics is None else [["0x" + "00" * 32] if is_given else None for is_given in topics]
    own = {"id": "sub_0", "where": None, "addresses": addresses, "topics": choices}
    raw = {**orjson.loads(combination), **own, "from": senders, "to": recipients}
    parse_subscription(_without_grammar(raw))
    return stored_subscription(raw)
