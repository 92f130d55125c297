"""The endpoints in the order in which they were made, the newest first, a page at a time."""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import redis

from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint
from hookfarm.registry import registry
from hookfarm.store import keys

MOST_LOOKED_AT = 2000
"""Endpoints that one page reads through for those that it is asked for."""
_AT_ONCE = 500

_REMEMBERED = 1000
_SHORT = 4096
"""Bytes of an endpoint that is remembered."""

_Place = tuple[str, int]
"""An endpoint's id, and where it stands in the order: the microsecond in which it was made."""


@dataclass(frozen=True)
class Listed:
    """One endpoint and its place in the order."""

    endpoint: Endpoint
    place: int

    @property
    def created_ms(self) -> int:
        return self.place // 1000


@dataclass(frozen=True)
class Wanted:
    """Which endpoints: with a text in URL, description or id, in any case; enabled or not; of a circuit."""

    text: str | None = None
    enabled: bool | None = None
    closed: bool | None = None

    @property
    def everything(self) -> bool:
        return (self.text, self.enabled, self.closed) == (None, None, None)

    def fits(self, raw: Mapping[str, Any]) -> bool:
        """As far as the stored endpoint says."""
        if self.enabled is not None and raw["enabled"] is not self.enabled:
            return False
        words = self.text
        return words is None or any(words.lower() in raw[f].lower() for f in ("url", "description", "id"))


def page(client: "redis.Redis", wanted: Wanted, before: int | None, limit: int) -> tuple[list[Listed], int | None]:
    """At most `limit` endpoints behind the place `before`, and where to go on; None = there are no more.

    It may hold fewer, and none, although there are more. What is no endpoint is left out.
    """
    if wanted.closed:
        closed = _closed(client)
        if closed is not None:
            return _page_of(client, wanted, closed, before, limit)
    found: list[Listed] = []
    at_once = limit + 1 if wanted.everything else _AT_ONCE
    for _ in range(1 if wanted.everything else MOST_LOOKED_AT // _AT_ONCE):
        ids = _places(client, before, at_once)
        for listed in _fitting(client, wanted, ids[:limit] if wanted.everything else ids):
            if len(found) == limit:
                return found, found[-1].place
            found.append(listed)
        if len(ids) < at_once:
            return found, None
        before = ids[limit - 1 if wanted.everything else -1][1]
    return found, before


def _page_of(
    client: "redis.Redis", wanted: Wanted, places: Sequence[_Place], before: int | None, limit: int
) -> tuple[list[Listed], int | None]:
    """As `page`, of endpoints whose places are known."""
    behind = [(name, place) for name, place in places if before is None or place < before]
    parts = (behind[start : start + _AT_ONCE] for start in range(0, len(behind), _AT_ONCE))
    fitting = itertools.chain.from_iterable(_fitting(client, wanted, part) for part in parts)
    found = list(itertools.islice(fitting, limit + 1))
    return found[:limit], found[limit - 1].place if len(found) > limit else None


def get(client: "redis.Redis", endpoint_id: str) -> Listed:
    """NotFound where there is none."""
    endpoint = registry.Registry(client).get(endpoint_id)
    place = client.zscore(keys.REGISTRY_CREATED, endpoint_id)
    return Listed(endpoint, int(place or 0))


def _places(client: "redis.Redis", before: int | None, count: int) -> list[_Place]:
    newest = "+inf" if before is None else f"({before}"
    found: Any = client.zrange(
        keys.REGISTRY_CREATED, newest, "-inf", desc=True, byscore=True, offset=0, num=count, withscores=True
    )
    return [(_text(name), int(place)) for name, place in found]


def _closed(client: "redis.Redis") -> list[_Place] | None:
    """The endpoints whose circuit is open, in the order of the list; None where they are too many to look at."""
    if client.zcard(keys.OPEN_CIRCUITS) > MOST_LOOKED_AT:
        return None
    names: Any = client.zrange(keys.OPEN_CIRCUITS, 0, -1)
    places: Any = client.zmscore(keys.REGISTRY_CREATED, names) if names else []
    found = [
        (name, int(place)) for name, place in zip(map(_text, names), places, strict=True) if place is not None
    ]
    return sorted(found, key=lambda one: one[1], reverse=True)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _fitting(client: "redis.Redis", wanted: Wanted, places: Sequence[_Place]) -> Iterator[Listed]:
    if wanted.closed is not None and places:
        since: Any = client.zmscore(keys.OPEN_CIRCUITS, [endpoint_id for endpoint_id, _ in places])
        closed = [at is not None for at in since]
        places = [p for p, is_closed in zip(places, closed, strict=True) if is_closed is wanted.closed]
    stored = client.hmget(keys.ENDPOINTS, [endpoint_id for endpoint_id, _ in places]) if places else []
    for (_, place), text in zip(places, stored, strict=True):
        endpoint = None if text is None else _readable(wanted, text)
        if endpoint is not None:
            yield Listed(endpoint, place)


def _readable(wanted: Wanted, stored: str | bytes) -> Endpoint | None:
    """None where it is not wanted, or is none: the processors say what is wrong with it."""
    try:
        # The whole check costs ten times as much as a look.
        return _checked(stored) if wanted.everything or wanted.fits(orjson.loads(stored)) else None
    except (InvalidInput, ValueError, TypeError, KeyError, AttributeError):
        return None


def _checked(stored: str | bytes) -> Endpoint:
    """A page that somebody looks at is read again every other second: what has not changed since is remembered."""
    return _remembered(stored) if len(stored) <= _SHORT else registry.decode(stored)


@functools.lru_cache(maxsize=_REMEMBERED)
def _remembered(stored: str | bytes) -> Endpoint:
    return registry.decode(stored)
