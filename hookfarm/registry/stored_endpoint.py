"""From the JSON of a stored endpoint to the record, checked as on creation, at a tenth of the cost.

A processor reads the whole registry when it starts. Most fields of an endpoint and of a subscription have values
that thousands share: each combination of these is checked once, by `records`, and only what is an endpoint's own
is checked here. Whatever is not plainly valid goes through `records` alone, which names the problem.
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
"""Larger ones are not remembered."""
_Record = TypeVar("_Record", Endpoint, Subscription)
_Pattern = tuple[bool, ...]
"""Of lists of addresses or topics: which of them are not empty."""


def decode(stored: bytes | str, subscriptions: bool = True) -> Endpoint:
    """Return a stored endpoint. Raises InvalidInput unless this package could have stored it.

    Callers that do not need subscriptions skip their check with `subscriptions`: their grammar is 4 MB of code.
    """
    try:
        plain = _decode_plain(orjson.loads(stored)) if subscriptions else None
        return plain or _decode_any(orjson.loads(stored), subscriptions)
    except InvalidInput:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidInput("endpoint", f"cannot be read ({type(error).__name__}: {error})") from error


class EndpointBatch(NamedTuple):
    """Endpoints by id; None = it was removed, or is `unreadable`."""

    endpoints: dict[str, Endpoint | None]
    unreadable: dict[str, InvalidInput]


def decode_all(stored: Iterable[tuple[Any, Any]]) -> EndpointBatch:
    """Decode fields of the registry's hash: names and contents."""
    endpoints: dict[str, Endpoint | None] = {}
    unreadable: dict[str, InvalidInput] = {}
    for name, value in stored:
        endpoint_id = name.decode("utf-8", "backslashreplace")[:_MAX_ID_LENGTH]
        endpoints[endpoint_id] = None
        try:
            endpoint = None if value is None else decode(value)
            if endpoint is not None and endpoint.id != endpoint_id:
                raise InvalidInput("id", "is not the one that it is stored under")
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
    """Check all fields as on creation, but not the URL, which is checked before each attempt."""
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
    """Return the subscription without event and condition: if they are invalid, it is not matched."""
    for field in ("event", "where"):
        if not isinstance(subscription.get(field), str | None):
            raise InvalidInput(field, "must be a string")
    return {**subscription, "event": None, "where": None}


# Plainly valid content


def _decode_plain(raw: Any) -> Endpoint | None:
    """Return None unless it is plainly valid. Takes `raw` apart."""
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
    """As `dataclasses.replace`, at a sixth of its cost: the fields are checked, and frozen as before."""
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
    """Return an endpoint of these fields. Raises if they are not valid."""
    own = {"id": "", "url": "", "description": "", "subscriptions": [], "secrets": []}
    return _decode_any({**orjson.loads(combination), **own}, subscriptions=True)


def _are_distinct(subscriptions: tuple[Subscription, ...]) -> bool:
    """Whether there are not too many, and no two of one id."""
    return len({each.id for each in subscriptions}) == len(subscriptions) <= MAX_SUBSCRIPTIONS


def _secret(secret: str, expires: float | None) -> tuple[str, float | None]:
    if not SECRET.fullmatch(secret) or type(expires) not in (int, float, type(None)):
        raise ValueError
    return secret, expires


def _subscription(raw: dict[str, Any]) -> Subscription:
    """Raises unless it is plainly valid. Takes `raw` apart."""
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
    """Raises unless it is a list whose members fit the pattern."""
    if values == []:
        return ()
    if type(values) is not list or len(values) > MAX_ADDRESSES or not all(map(pattern.fullmatch, values)):
        raise ValueError
    return tuple(values)


@lru_cache(_MAX_COMBINATIONS)
def _subscription_fields(combination: bytes, lists: _Pattern, topics: _Pattern | None) -> Subscription:
    """Return a subscription to logs or transfers of these fields. Raises if they are not valid.

    `lists`: which of addresses, from and to have members. `topics`: which positions have.
    """
    addresses, senders, recipients = (["0x" + "00" * 20] if is_given else [] for is_given in lists)
    choices = None if topics is None else [["0x" + "00" * 32] if is_given else None for is_given in topics]
    own = {"id": "sub_0", "where": None, "addresses": addresses, "topics": choices}
    raw = {**orjson.loads(combination), **own, "from": senders, "to": recipients}
    parse_subscription(_without_grammar(raw))
    return stored_subscription(raw)
