"""Request and response bodies of the API as JSON Schema 2020-12."""

from typing import Any

from hookfarm.backfill.state import STATES
from hookfarm.records import (
    CONFIRMATION_TAGS,
    HIGHEST_RATE,
    KINDS,
    LOWEST_RATE,
    MAX_ADDRESSES,
    MAX_CONFIRMATIONS,
    MAX_IN_FLIGHT,
    MAX_SUBSCRIPTIONS,
    MAX_TIMEOUT_SECONDS,
    NOTIFICATIONS,
    operational,
)


def _object(properties: dict[str, Any], required: tuple[str, ...] | None = None, **more: Any) -> dict[str, Any]:
    """All of the properties are there unless said otherwise."""
    needed = list(properties) if required is None else list(required)
    return {"type": "object", "properties": properties, **({"required": needed} if needed else {}), **more}


def _nullable(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": [kind, "null"], **more}


def _page(row: str) -> dict[str, Any]:
    return _object(
        {
            "data": {"type": "array", "items": {"$ref": f"#/components/schemas/{row}"}},
            "next_cursor": _nullable("string"),
        }
    )


_NODE = _object(
    {
        "name": {"type": "string", "description": "Scheme, host and port; never the rest of its URL."},
        "kind": {"enum": ["ws", "http"]},
        "state": {
            "enum": ["active", "standby", "cooldown", "wrong_chain"],
            "description": "`cooldown`: not asked for a while after a failure.",
        },
        "cooldown_until": _nullable(
            "string", format="date-time", description="When it may be asked again; null = now."
        ),
        "last_error": {"type": "string"},
        "last_error_at": _nullable("string", format="date-time"),
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
_CATCH_UP = _object(
    {"blocks_per_second": {"type": "number"}, "seconds_left": {"type": "number"}},
    description="While the chain is far behind its head.",
)
_BACKFILL = _object(
    {
        "id": {"type": "string"},
        "endpoint": {"type": "string"},
        "chain_id": {"type": "integer"},
        "subscription": _nullable("string", description="null = all that the endpoint has of the chain."),
        "from_block": {"type": "integer"},
        "to_block": {"type": "integer"},
        "at_block": _nullable("integer", description="The last block handed over; null = none yet."),
        "state": {"enum": list(STATES)},
        "running": {"type": "boolean"},
        "done": {"type": "boolean"},
        "blocks": {"type": "integer", "description": "That are read, of `total`."},
        "total": {"type": "integer"},
        "blocks_per_second": _nullable("number"),
        "seconds_left": _nullable("number", description="null while that cannot be told."),
        "note": {"type": "string", "description": "What keeps it from getting on; empty = nothing does."},
        "events": {"type": "integer"},
        "added": {"type": "integer", "description": "Matches handed over."},
        "known": {"type": "integer", "description": "Matches delivered or queued before."},
        "waiting": {"type": "integer", "description": "Deliveries in its endpoint's lane."},
        "held_seconds": _nullable(
            "number",
            description="For so long it keeps an endpoint with an order to itself, unless it says so again.",
        ),
        "silent_seconds": {"type": "number", "description": "Since its last sign of life."},
        "started_at_ms": {"type": "integer"},
        "done_at_ms": _nullable("integer"),
    }
)

FARM_SCHEMAS: dict[str, Any] = {
    "Chain": _object(
        {
            "chain_id": {"type": "integer"},
            "head": _nullable("integer"),
            "checkpoint": _nullable("integer"),
            "lag_blocks": _nullable("integer"),
            "lag_seconds": _nullable("number"),
            "safe": _nullable("integer"),
            "finalized": _nullable("integer"),
            "ready": {"type": "boolean"},
            "reason": {"type": "string"},
            "rpc_requests_per_block": _nullable("number"),
            "events_published": _nullable("integer"),
            "nodes": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}},
            "catch_up": {"anyOf": [{"type": "null"}, _CATCH_UP]},
        }
    ),
    "Node": _NODE,
    "Chains": _page("Chain"),
    "Backfill": _BACKFILL,
    "BackfillPage": _page("Backfill"),
}


_ID = r"^[0-9A-Za-z_.:-]{0,128}$"
_WORD = r"^0[xX][0-9a-fA-F]{64}$"


def _with(properties: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    return _object({**base["properties"], **properties}, (*base["required"], *properties))


_WORDS = {"type": "string", "pattern": _WORD}
_ADDRESSES = _nullable(
    "array", items={"type": "string", "pattern": r"^0[xX][0-9a-fA-F]{40}$"}, maxItems=MAX_ADDRESSES
)
_OF_A_CHAIN: dict[str, Any] = {
    "id": _nullable("string", pattern=r"^sub_[0-9A-Za-z_-]{1,60}$"),
    "chain_id": {"type": "integer", "minimum": 1, "maximum": 2**64 - 1},
    "where": _nullable("string", maxLength=4096, description="A condition on what the event says."),
    "confirmations": {
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": MAX_CONFIRMATIONS},
            {"enum": list(CONFIRMATION_TAGS)},
        ]
    },
    "notify": _nullable(
        "array",
        items={"enum": list(NOTIFICATIONS)},
        minItems=1,
        description="What is told of it; emitted and removed unless said otherwise.",
    ),
}
_LOGS_IN = _object(
    {
        **_OF_A_CHAIN,
        "kind": {"enum": ["log"]},
        "addresses": _ADDRESSES,
        "event": _nullable(
            "string",
            maxLength=4096,
            description="`Transfer(address indexed from, …)`; without it and `topics`, any log.",
        ),
        "topics": _nullable(
            "array",
            maxItems=4,
            items={"anyOf": [{"type": "null"}, _WORDS, {"type": "array", "items": _WORDS}]},
            description="As in eth_getLogs; instead of `event`.",
        ),
    },
    ("chain_id",),
    additionalProperties=False,
)
_TRANSFERS_IN = _object(
    {**_OF_A_CHAIN, "kind": {"enum": ["transfer"]}, "from": _ADDRESSES, "to": _ADDRESSES},
    ("chain_id", "kind"),
    additionalProperties=False,
)
_OPERATIONAL_IN = _object(
    {
        "id": _OF_A_CHAIN["id"],
        "kind": {"enum": [operational.KIND]},
        "events": {"type": "array", "items": {"enum": list(operational.EVENTS)}, "minItems": 1},
    },
    ("kind", "events"),
    additionalProperties=False,
)
_SUBSCRIPTION_IN = {"anyOf": [_LOGS_IN, _TRANSFERS_IN, _OPERATIONAL_IN]}
_HEADERS = {
    "type": "object",
    "maxProperties": 32,
    "propertyNames": {"pattern": r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$"},
    "additionalProperties": {"type": "string", "pattern": r"^[\t\x20-\x7e]{0,2048}$"},
}
_GIVEN = {
    "url": {
        "type": "string",
        "maxLength": 2048,
        "pattern": r"^[hH][tT][tT][pP][sS]?://[!-~]+$",
        "description": "To a public address; http or https.",
    },
    "description": {"type": "string", "maxLength": 500},
    "subscriptions": {
        "type": "array",
        "items": {"$ref": "#/components/schemas/NewSubscription"},
        "maxItems": MAX_SUBSCRIPTIONS,
    },
    "headers": _HEADERS,
    "timeout_seconds": {"type": "number", "minimum": 0.1, "maximum": MAX_TIMEOUT_SECONDS},
    "max_in_flight": _nullable("integer", minimum=1, maximum=MAX_IN_FLIGHT),
    "rate_limit_per_second": _nullable("number", minimum=LOWEST_RATE, maximum=HIGHEST_RATE),
    "ordered": {"type": "boolean"},
    "enabled": {"type": "boolean"},
}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_WATCHED = {
    "id": {"type": "string"},
    "kind": {"enum": list(KINDS)},
    "chain_id": {"type": "integer"},
    "addresses": _TEXTS,
    "event": _nullable("string"),
    "topics": _nullable("array"),
    "from": _TEXTS,
    "to": _TEXTS,
    "where": _nullable("string"),
    "confirmations": {"type": ["integer", "string"]},
    "notify": _TEXTS,
}
_EFFECTIVE = {"effective_from_block": _nullable("integer")}
_FACTS = _object({"id": {"type": "string"}, "kind": {"enum": [operational.KIND]}, "events": _TEXTS})
_SUBSCRIPTION = {"anyOf": [_object({**_WATCHED, **_EFFECTIVE}, tuple(_WATCHED)), _FACTS]}
_TIME = {"type": "string", "format": "date-time"}
_ENDPOINT = _object(
    {
        "id": {"type": "string"},
        "url": {"type": "string"},
        "description": {"type": "string"},
        "subscriptions": {"type": "array", "items": {"$ref": "#/components/schemas/Subscription"}},
        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
        "timeout_seconds": {"type": "number"},
        "max_in_flight": _nullable("integer"),
        "rate_limit_per_second": _nullable("number"),
        "ordered": {"type": "boolean"},
        "enabled": {"type": "boolean"},
        "disabled_reason": _nullable("string"),
        "created_at": _TIME,
        "window": {"$ref": "#/components/schemas/Window"},
        "recent": {"$ref": "#/components/schemas/Recent"},
    }
)
_SECRET = {"secret": {"type": "string", "pattern": "^whsec_", "description": "Shown this once."}}
_EFFECTIVE = {"warnings": {"type": "array", "items": {"type": "string"}}}
_RESULT = {
    "status": _nullable("integer", description="HTTP status; null if there was no HTTP reply."),
    "error": _nullable("string", description="Kind of the error; null if there was an HTTP reply."),
}
_ATTEMPT = _object(
    {
        "at": _TIME,
        "duration_ms": _nullable("integer"),
        **_RESULT,
        "detail": _nullable("string", description="The first kB of the reply, or a description of the error."),
    }
)
_FILTER = _object(
    {
        "endpoint": {"type": "string", "pattern": _ID, "description": "Empty: what was no job."},
        "reason": {"type": "string", "minLength": 1, "maxLength": 500},
        "since": {"type": "string", "description": "`1h`, or a moment in ISO 8601."},
        "until": {"type": "string"},
        "cursor": {
            "type": "string",
            "pattern": "^[0-9A-Za-z_-]{1,1024}$",
            "description": "`next_cursor` of the answer before.",
        },
    },
    (),
    additionalProperties=False,
)
_REFUSED = {"type": "object", "additionalProperties": {"type": "string"}, "description": "Why, by id."}

SCHEMAS: dict[str, Any] = {
    "Problem": _object(
        {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "field": {"type": "string", "description": "`subscriptions[0].event`"},
        },
        ("type", "title", "status"),
    ),
    "NewSubscription": _SUBSCRIPTION_IN,
    "Subscription": _SUBSCRIPTION,
    "NewEndpoint": _object(_GIVEN, ("url",), additionalProperties=False),
    "EndpointChange": _object(_GIVEN, (), additionalProperties=False),
    "Window": _object(
        {
            "open": {"type": "integer"},
            "limit": _nullable("integer", description="null = not needed so far."),
            "parked": {"type": "integer"},
            "retry": {"type": "integer"},
            "circuit": {"enum": ["closed", "open", "half_open"]},
            "failures": {"type": "integer", "description": "In a row."},
            "paused_reason": _nullable("string"),
        }
    ),
    "Recent": _object(
        {
            "attempts": {"type": "integer"},
            "succeeded": {"type": "integer"},
            "p50_ms": _nullable("integer"),
            "p99_ms": _nullable("integer"),
        },
        description="Of the last 100 attempts.",
    ),
    "Endpoint": _ENDPOINT,
    "EndpointPage": _page("Endpoint"),
    "CreatedEndpoint": _with({**_SECRET, **_EFFECTIVE}, _ENDPOINT),
    "ChangedEndpoint": _object({**_ENDPOINT["properties"], **_EFFECTIVE}, tuple(_ENDPOINT["required"])),
    "RotatedEndpoint": _with(_SECRET, _ENDPOINT),
    "Test": _object(
        {
            "subscription": {
                "type": "string",
                "pattern": r"^[0-9A-Za-z_-]{1,64}$",
                "description": "Only this one.",
            },
            "transaction_hash": {
                "type": "string",
                "pattern": _WORD,
                "description": "Its logs that match, instead of made-up ones.",
            },
        },
        (),
        additionalProperties=False,
    ),
    "TestReplies": _object({"data": {"type": "array", "items": {"$ref": "#/components/schemas/TestReply"}}}),
    "TestReply": _object(
        {
            "subscription": _nullable("string"),
            "id": {"type": "string"},
            "delivered": {"type": "boolean"},
            **_RESULT,
            "headers": {"type": "object"},
            "detail": {"type": "string"},
            "duration_ms": {"type": "integer"},
        },
        ("subscription", "id", "delivered", "status", "error", "detail", "duration_ms"),
    ),
    "AttemptRow": _object(
        {
            "cursor": _nullable("string"),
            "at": _nullable("string", format="date-time"),
            "id": {"type": "string"},
            "endpoint": {"type": "string"},
            "attempt": {"type": "integer"},
            **_RESULT,
            "delivered": {"type": "boolean"},
            "duration_ms": _nullable("integer"),
            "state": {
                "enum": ["open", "parked", "retry", "delivered", "dead", None],
                "description": "null = forgotten.",
            },
        }
    ),
    "AttemptPage": _page("AttemptRow"),
    "Attempt": _ATTEMPT,
    "Delivery": _object(
        {
            "id": {"type": "string"},
            "endpoint": {"type": "string"},
            "state": {"enum": ["open", "parked", "retry", "delivered", "dead"]},
            "attempts": {"type": "array", "items": {"$ref": "#/components/schemas/Attempt"}},
            "reason": _nullable("string"),
            "at": _nullable(
                "string",
                format="date-time",
                description="When it is due again, died or was delivered.",
            ),
            "source": _nullable("string"),
            "payload": {},
        }
    ),
    "DeliveryPage": _page("Delivery"),
    "DeadLetterFilter": _FILTER,
    "Redriven": _object(
        {"redriven": {"type": "integer"}, "refused": _REFUSED, "next_cursor": _nullable("string")}
    ),
    "Purged": _object({"purged": {"type": "integer"}, "next_cursor": _nullable("string")}),
    **FARM_SCHEMAS,
}
