"""Lists of endpoints, newest first, a page at a time."""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import redis

from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint
from hookfarm.registry import store as registry_store
from hookfarm.store import keys

MAX_SCANNED = 2000
"""Max endpoints read for one page."""
_BATCH_SIZE = 500
_CACHE_SIZE = 1000
_MAX_CACHED_BYTES = 4096

_Rank = tuple[str, int]
"""An endpoint's id and its creation time in microseconds, by which the list is ordered."""


@dataclass(frozen=True)
class ListedEndpoint:
    """An endpoint and its creation time in microseconds."""

    endpoint: Endpoint
    created_us: int

    @property
    def created_ms(self) -> int:
        return self.created_us // 1000


@dataclass(frozen=True)
class ListingFilter:
    """A filter of endpoints: a text in URL, description or id; enabled; circuit open.

    A half-open circuit counts as open.
    """

    text: str | None = None
    enabled: bool | None = None
    circuit_open: bool | None = None

    @property
    def is_empty(self) -> bool:
        return (self.text, self.enabled, self.circuit_open) == (None, None, None)

    def matches(self, raw: Mapping[str, Any]) -> bool:
        """Compare everything but the circuit, which is not stored with the endpoint."""
        if self.enabled is not None and raw["enabled"] is not self.enabled:
            return False
        words = self.text
        return words is None or any(words.lower() in raw[f].lower() for f in ("url", "description", "id"))


def page(
    client: redis.Redis, where: ListingFilter, before: int | None, limit: int
) -> tuple[list[ListedEndpoint], int | None]:
    """Return at most `limit` endpoints created before `before` (µs), and the next page's `before` or None.

    A page may hold fewer endpoints than `limit` although more exist. Invalid endpoints are omitted.
    """
    if where.circuit_open:
        circuit_open = _with_open_circuit(client)
        if circuit_open is not None:
            return _page_of(client, where, circuit_open, before, limit)
    found: list[ListedEndpoint] = []
    batch_size = limit + 1 if where.is_empty else _BATCH_SIZE
    for _ in range(1 if where.is_empty else MAX_SCANNED // _BATCH_SIZE):
        ids = _ranks(client, before, batch_size)
        for listed in _filter(client, where, ids[:limit] if where.is_empty else ids):
            if len(found) == limit:
                return found, found[-1].created_us
            found.append(listed)
        if len(ids) < batch_size:
            return found, None
        before = ids[limit - 1 if where.is_empty else -1][1]
    return found, before


def _page_of(
    client: redis.Redis, where: ListingFilter, ranks: Sequence[_Rank], before: int | None, limit: int
) -> tuple[list[ListedEndpoint], int | None]:
    """Return a page of the ranked endpoints."""
    behind = [(name, created_us) for name, created_us in ranks if before is None or created_us < before]
    parts = (behind[start : start + _BATCH_SIZE] for start in range(0, len(behind), _BATCH_SIZE))
    matching = itertools.chain.from_iterable(_filter(client, where, part) for part in parts)
    found = list(itertools.islice(matching, limit + 1))
    return found[:limit], found[limit - 1].created_us if len(found) > limit else None


def get(client: redis.Redis, endpoint_id: str) -> ListedEndpoint:
    """Return one endpoint. Raises NotFound."""
    endpoint = registry_store.Registry(client).get(endpoint_id)
    created_us = client.zscore(keys.REGISTRY_CREATED, endpoint_id)
    return ListedEndpoint(endpoint, int(created_us or 0))


def _ranks(client: redis.Redis, before: int | None, count: int) -> list[_Rank]:
    newest = "+inf" if before is None else f"({before}"
    found: Any = client.zrange(
        keys.REGISTRY_CREATED, newest, "-inf", desc=True, byscore=True, offset=0, num=count, withscores=True
    )
    return [(_text(name), int(created_us)) for name, created_us in found]


def _with_open_circuit(client: redis.Redis) -> list[_Rank] | None:
    """Return the endpoints with an open circuit, in list order; None for more than MAX_SCANNED."""
    if client.zcard(keys.OPEN_CIRCUITS) > MAX_SCANNED:
        return None
    names: Any = client.zrange(keys.OPEN_CIRCUITS, 0, -1)
    created: Any = client.zmscore(keys.REGISTRY_CREATED, names) if names else []
    found = [
        (name, int(created_us))
        for name, created_us in zip(map(_text, names), created, strict=True)
        if created_us is not None
    ]
    return sorted(found, key=lambda one: one[1], reverse=True)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _filter(client: redis.Redis, where: ListingFilter, ranks: Sequence[_Rank]) -> Iterator[ListedEndpoint]:
    if where.circuit_open is not None and ranks:
        since: Any = client.zmscore(keys.OPEN_CIRCUITS, [endpoint_id for endpoint_id, _ in ranks])
        ranks = [
            rank
            for rank, opened_at in zip(ranks, since, strict=True)
            if (opened_at is not None) is where.circuit_open
        ]
    stored = client.hmget(keys.ENDPOINTS, [endpoint_id for endpoint_id, _ in ranks]) if ranks else []
    for (_, created_us), text in zip(ranks, stored, strict=True):
        endpoint = None if text is None else _readable(where, text)
        if endpoint is not None:
            yield ListedEndpoint(endpoint, created_us)


def _readable(where: ListingFilter, stored: str | bytes) -> Endpoint | None:
    """Return the endpoint if it matches; None also for an invalid one, which the processors report."""
    try:
        # The filter first: the complete check costs ten times as much.
        return _checked(stored) if where.is_empty or where.matches(orjson.loads(stored)) else None
    except (InvalidInput, ValueError, TypeError, KeyError, AttributeError):
        return None


def _checked(stored: str | bytes) -> Endpoint:
    """Decode with a cache, because the dashboard reads the same page every two seconds."""
    return _decode_cached(stored) if len(stored) <= _MAX_CACHED_BYTES else registry_store.decode(stored)


@functools.lru_cache(maxsize=_CACHE_SIZE)
def _decode_cached(stored: str | bytes) -> Endpoint:
    return registry_store.decode(stored)
