"""The endpoints that `hookfarm endpoints list` is asked for."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import redis

from hookfarm.cli import bars
from hookfarm.registry import listing
from hookfarm.registry.listing import ListedEndpoint, ListingFilter
from hookfarm.timestamps import format_ms

_AT_ONCE = 500


def listed(client: "redis.Redis", where: ListingFilter, limit: int | None) -> list[ListedEndpoint]:
    """All that are wanted, or the first `limit` of them; the newest first."""
    with bars.bar("reading"):
        return list(islice(_every(client, where), limit))


def public(listed: ListedEndpoint) -> dict[str, Any]:
    """One as `--json` shows it."""
    return {**listed.endpoint.public(), "created_at": format_ms(listed.created_ms)}


def _every(client: "redis.Redis", where: ListingFilter) -> Iterator[ListedEndpoint]:
    before: int | None = None
    while True:
        found, before = listing.page(client, where, before, _AT_ONCE)
        yield from found
        if before is None:
            return
