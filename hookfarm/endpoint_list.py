"""The endpoints in the order in which they were made, the newest first, a page at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import redis

from hookfarm import keys, registry
from hookfarm.errors import InvalidInput
from hookfarm.lua import Script
from hookfarm.records import Endpoint

MOST_LOOKED_AT = 2000
"""Endpoints that one page reads through for those that it is asked for."""
_AT_ONCE = 500
_FIRST_KNOWN_US = 10**12
"""Smaller ones are the places of endpoints that were made before the order was kept."""

_INDEX = Script("index_endpoints")


@dataclass(frozen=True)
class Listed:
    """One endpoint and its place in the order."""

    endpoint: Endpoint
    place: int

    @property
    def created_ms(self) -> int | None:
        """None where nobody noted it."""
        return self.place // 1000 if self.place >= _FIRST_KNOWN_US else None


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
    _make_whole(client)
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


def get(client: "redis.Redis", endpoint_id: str) -> Listed:
    """NotFound where there is none."""
    endpoint = registry.Registry(client).get(endpoint_id)
    place = client.zscore(keys.REGISTRY_CREATED, endpoint_id)
    return Listed(endpoint, int(place or 0))


def _make_whole(client: "redis.Redis") -> None:
    """Endpoints that were stored before their order was kept, or past it, get their place."""
    with client.pipeline(transaction=True) as pipe:
        pipe.hlen(keys.ENDPOINTS)
        pipe.zcard(keys.REGISTRY_CREATED)
        there, ordered = pipe.execute()
    if there != ordered:
        _INDEX.call(client, (keys.ENDPOINTS, keys.REGISTRY_CREATED))


def _places(client: "redis.Redis", before: int | None, count: int) -> list[tuple[str, int]]:
    newest = "+inf" if before is None else f"({before}"
    found: Any = client.zrange(
        keys.REGISTRY_CREATED, newest, "-inf", desc=True, byscore=True, offset=0, num=count, withscores=True
    )
    return [(name.decode("utf-8", "backslashreplace"), int(place)) for name, place in found]


def _fitting(client: "redis.Redis", wanted: Wanted, places: Sequence[tuple[str, int]]) -> Iterator[Listed]:
    if wanted.closed is not None and places:
        since: Any = client.zmscore(keys.CIRCUITS, [endpoint_id for endpoint_id, _ in places])
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
        return registry.decode(stored) if wanted.everything or wanted.fits(orjson.loads(stored)) else None
    except (InvalidInput, ValueError, TypeError, KeyError, AttributeError):
        return None
