"""The endpoints that `hookfarm endpoints list` is asked for."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import redis

from hookfarm.cli import bars
from hookfarm.registry import listing
from hookfarm.registry.listing import Listed, Wanted
from hookfarm.timestamps import format_ms

_AT_ONCE = 500


def listed(client: "redis.Redis", wanted: Wanted, limit: int | None) -> list[Listed]:
    """All that are wanted, or the first `limit` of them; the newest first."""
    with bars.bar("reading"):
        return list(islice(_every(client, wanted), limit))


def public(listed: Listed) -> dict[str, Any]:
    """One as `--json` shows it."""
    created_ms = listed.created_ms
    return {**listed.endpoint.public(), "created_at": None if created_ms is None else format_ms(created_ms)}


def _every(client: "redis.Redis", wanted: Wanted) -> Iterator[Listed]:
    before: int | None = None
    while True:
        found, before = listing.page(client, wanted, before, _AT_ONCE)
        yield from found
        if before is None:
            return
