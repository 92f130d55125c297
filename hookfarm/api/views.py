"""Endpoints as the API returns them."""

import hashlib
from dataclasses import replace
from typing import Any

import orjson

from hookfarm.records import Endpoint


def etag(endpoint: Endpoint) -> str:
    """Return the ETag, which differs after every change, a rotated secret included."""
    seen = {**endpoint.public(), "secrets_until": [until for _, until in endpoint.secrets]}
    return f'"{hashlib.sha256(orjson.dumps(seen)).hexdigest()[:32]}"'


def effective_from(endpoint: Endpoint, watched: set[int]) -> dict[str, Any]:
    """Return the subscriptions of an endpoint that was just stored, each with `effective_from_block` (its promise
    is documented in `Registry`), and warnings of chains that no ingestor follows.

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
