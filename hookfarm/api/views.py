"""Endpoints as the API shows them."""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
import redis

from hookfarm.deliveries import endpoint_stats, state_index, windows
from hookfarm.deliveries.windows import Window
from hookfarm.records import Endpoint
from hookfarm.registry.listing import Listed
from hookfarm.timestamps import format_ms


def endpoints(client: "redis.Redis", found: Sequence[Listed]) -> list[dict[str, Any]]:
    """Each with how it is doing: its window, and its last 100 attempts."""
    ids = [listed.endpoint.id for listed in found]
    if not ids:
        return []
    standing = windows.read(client, ids)
    retries = state_index.count_retries(client, ids)
    recent = endpoint_stats.read(client, ids)
    return [
        {
            **listed.endpoint.public(),
            "created_at": None if listed.created_ms is None else format_ms(listed.created_ms),
            "window": _window(listed.endpoint, window, retry),
            "recent": attempts.public(),
        }
        for listed, window, retry, attempts in zip(found, standing, retries, recent, strict=True)
    ]


def etag(endpoint: Endpoint) -> str:
    """Another one after every change; a new secret shows in the time until which the old one signs."""
    seen = {**endpoint.public(), "secrets_until": [until for _, until in endpoint.secrets]}
    return f'"{hashlib.sha256(orjson.dumps(seen)).hexdigest()[:32]}"'


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
