"""Endpoints as the API returns them."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import redis

from hookfarm.deliveries import endpoint_stats, state_index
from hookfarm.deliveries.endpoint_stats import Window
from hookfarm.records import Endpoint
from hookfarm.registry.listing import ListedEndpoint
from hookfarm.timestamps import format_ms


def endpoints(client: "redis.Redis", found: Sequence[ListedEndpoint]) -> list[dict[str, Any]]:
    """Each with how it is doing: its window, and its last 100 attempts."""
    ids = [listed.endpoint.id for listed in found]
    if not ids:
        return []
    windows = endpoint_stats.read_windows(client, ids)
    retries = state_index.count_retries(client, ids)
    stats = endpoint_stats.read_attempt_stats(client, ids)
    return [
        {
            **listed.endpoint.public(),
            "created_at": format_ms(listed.created_ms),
            "window": _window(listed.endpoint, window, retry),
            "recent": attempts.as_json(),
        }
        for listed, window, retry, attempts in zip(found, windows, retries, stats, strict=True)
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
        "circuit": window.circuit,
        "failures": window.failures,
        "paused_reason": None if endpoint.enabled else endpoint.disabled_reason,
    }


def effective_from(endpoint: Endpoint, watched: set[int]) -> dict[str, Any]:
    """The subscriptions of an endpoint that was just stored, each with `effective_from_block` (`Registry` tells
    what that promises), and warnings of chains that nobody watches.

    null = nothing of that chain has been published yet, so that all that ever will be is matched; or the endpoint
    is disabled.
    """
    from_block = endpoint.effective_from or {}
    unknown = {chain for chain, block in from_block.items() if block is None} - watched
    warnings = [
        f"subscriptions[{i}].chain_id: no ingestor has followed chain {s.chain_id} so far"
        for i, s in enumerate(endpoint.subscriptions)
        if s.chain_id in unknown
    ]
    subscriptions = replace(endpoint, effective_from=from_block).public()["subscriptions"]
    return {"subscriptions": subscriptions, "warnings": warnings}
