"""From which block on a change of an endpoint's subscriptions is in effect."""

from dataclasses import replace
from typing import Any

from hookfarm.records import Endpoint


def shown(endpoint: Endpoint, watched: set[int]) -> dict[str, Any]:
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
