"""Endpoints with their state, as the API and `endpoints show` return them."""

from collections.abc import Sequence
from typing import Any

import redis

from hookfarm.deliveries import endpoint_stats, state_index, windows
from hookfarm.deliveries.windows import Window
from hookfarm.records import Endpoint
from hookfarm.registry.listing import Listed
from hookfarm.timestamps import format_ms


def endpoint_views(client: redis.Redis, found: Sequence[Listed]) -> list[dict[str, Any]]:
    """Return the JSON of endpoints, each with its window and the statistics of its last 100 attempts."""
    ids = [listed.endpoint.id for listed in found]
    if not ids:
        return []
    found_windows = windows.read(client, ids)
    retries = state_index.count_retries(client, ids)
    recent = endpoint_stats.read(client, ids)
    return [
        {
            **listed.endpoint.public(),
            "created_at": format_ms(listed.created_ms),
            "window": _window(listed.endpoint, window, retry),
            "recent": attempts.public(),
        }
        for listed, window, retry, attempts in zip(found, found_windows, retries, recent, strict=True)
    ]


def _window(endpoint: Endpoint, window: Window, retry: int) -> dict[str, Any]:
    return {
        "open": window.open,
        "limit": window.limit,
        "parked": window.parked,
        "retry": retry,
        "circuit": "open" if window.closed else "closed",
        "failures": window.failures,
        "paused_reason": None if endpoint.enabled else endpoint.disabled_reason,
    }
