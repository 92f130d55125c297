"""The shapes of what the farm does: chains, their nodes, backfills."""

from typing import Any

from hookfarm.api.schema_parts import nullable, object_, page
from hookfarm.backfill.state import STATES

_NODE = object_(
    {
        "name": {"type": "string", "description": "Scheme, host and port; never the rest of its URL."},
        "kind": {"enum": ["ws", "http"]},
        "state": {
            "enum": ["active", "standby", "cooldown", "wrong_chain"],
            "description": "`cooldown`: not asked for a while after a failure.",
        },
        "cooldown_until": nullable(
            "string", format="date-time", description="When it may be asked again; null = now."
        ),
        "last_error": {"type": "string"},
        "last_error_at": nullable("string", format="date-time"),
        "requests": {"type": "integer", "description": "Since the farm started; a batch is one."},
        "calls": {"type": "integer", "description": "Likewise; each call of a batch is one."},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "description": "Calls that failed, by kind.",
        },
    },
    description="The preferred one comes first.",
)
_CATCH_UP = object_(
    {"blocks_per_second": {"type": "number"}, "seconds_left": {"type": "number"}},
    description="While the chain is far behind its head.",
)
_BACKFILL = object_(
    {
        "id": {"type": "string"},
        "endpoint": {"type": "string"},
        "chain_id": {"type": "integer"},
        "subscription": nullable("string", description="null = all that the endpoint has of the chain."),
        "from_block": {"type": "integer"},
        "to_block": {"type": "integer"},
        "at_block": nullable("integer", description="The last block handed over; null = none yet."),
        "state": {"enum": list(STATES)},
        "running": {"type": "boolean"},
        "done": {"type": "boolean"},
        "blocks": {"type": "integer", "description": "That are read, of `total`."},
        "total": {"type": "integer"},
        "blocks_per_second": nullable("number"),
        "seconds_left": nullable("number", description="null while that cannot be told."),
        "note": {"type": "string", "description": "What keeps it from getting on; empty = nothing does."},
        "events": {"type": "integer"},
        "added": {"type": "integer", "description": "Matches handed over."},
        "known": {"type": "integer", "description": "Matches delivered or queued before."},
        "waiting": {"type": "integer", "description": "Deliveries in its endpoint's lane."},
        "held_seconds": nullable(
            "number",
            description="For so long it keeps an endpoint with an order to itself, unless it says so again.",
        ),
        "silent_seconds": {"type": "number", "description": "Since its last sign of life."},
        "started_at_ms": {"type": "integer"},
        "done_at_ms": nullable("integer"),
    }
)

FARM_SCHEMAS: dict[str, Any] = {
    "Chain": object_(
        {
            "chain_id": {"type": "integer"},
            "head": nullable("integer"),
            "checkpoint": nullable("integer"),
            "lag_blocks": nullable("integer"),
            "lag_seconds": nullable("number"),
            "safe": nullable("integer"),
            "finalized": nullable("integer"),
            "ready": {"type": "boolean"},
            "reason": {"type": "string"},
            "rpc_requests_per_block": nullable("number"),
            "events_published": nullable("integer"),
            "nodes": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}},
            "catch_up": {"anyOf": [{"type": "null"}, _CATCH_UP]},
        }
    ),
    "Node": _NODE,
    "Chains": page("Chain"),
    "Backfill": _BACKFILL,
    "BackfillPage": page("Backfill"),
}
