"""From which block on a change of an endpoint's subscriptions is in effect."""

from typing import Any

import redis

from hookfarm import keys
from hookfarm.records import Endpoint


def shown(client: "redis.Redis", endpoint: Endpoint, watched: set[int]) -> dict[str, Any]:
    """The endpoint's subscriptions, each with `effective_from_block`, and warnings of chains that nobody watches.

    null = nothing of that chain has been published yet, so that all that ever will be is matched.
    """
    from_block = {s.chain_id: _next_block(client, s.chain_id) for s in endpoint.subscriptions}
    subscriptions = [
        {**one, "effective_from_block": from_block[one["chain_id"]]} for one in endpoint.public()["subscriptions"]
    ]
    warnings = [
        f"subscriptions[{i}].chain_id: no ingestor has followed chain {s.chain_id} so far"
        for i, s in enumerate(endpoint.subscriptions)
        if s.chain_id not in watched and from_block[s.chain_id] is None
    ]
    return {"subscriptions": subscriptions, "warnings": warnings}


def _next_block(client: "redis.Redis", chain_id: int) -> int | None:
    checkpoint: Any = client.get(keys.checkpoint(chain_id))
    number = (checkpoint or b"").partition(b":")[0]
    return int(number) + 1 if number.isdigit() else None
