"""Request and response bodies of the API as JSON Schema 2020-12."""

from typing import Any

from hookfarm.abi import signature
from hookfarm.conditions import literals
from hookfarm.records import (
    CONFIRMATION_TAGS,
    KINDS,
    MAX_ADDRESSES,
    MAX_CONFIRMATIONS,
    MAX_IN_FLIGHT,
    MAX_RATE,
    MAX_SUBSCRIPTIONS,
    MAX_TIMEOUT_SECONDS,
    MIN_RATE,
    NOTIFICATIONS,
    operational,
)


def object_schema(
    properties: dict[str, Any], required: tuple[str, ...] | None = None, **more: Any
) -> dict[str, Any]:
    """Return the schema of an object; all properties are required by default."""
    needed = list(properties) if required is None else list(required)
    return {"type": "object", "properties": properties, **({"required": needed} if needed else {}), **more}


def _nullable(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": [kind, "null"], **more}


def _page(row: str) -> dict[str, Any]:
    return object_schema(
        {
            "data": {"type": "array", "items": {"$ref": f"#/components/schemas/{row}"}},
            "next_cursor": _nullable("string"),
        }
    )


_ID = r"^[0-9A-Za-z_.:-]{0,128}$"
_WORD = r"^0[xX][0-9a-fA-F]{64}$"


def _with(properties: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    return object_schema({**base["properties"], **properties}, (*base["required"], *properties))


_WORDS = {"type": "string", "pattern": _WORD}
_ADDRESSES = _nullable(
    "array", items={"type": "string", "pattern": r"^0[xX][0-9a-fA-F]{40}$"}, maxItems=MAX_ADDRESSES
)
_OF_A_CHAIN: dict[str, Any] = {
    "id": _nullable("string", pattern=r"^sub_[0-9A-Za-z_-]{1,60}$"),
    "chain_id": {"type": "integer", "minimum": 1, "maximum": 2**64 - 1},
    "where": _nullable("string", maxLength=literals.MAX_CHARACTERS, description="Condition on the decoded event."),
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
        description="Webhooks to send. Default: emitted, removed.",
    ),
}
_LOGS_IN = object_schema(
    {
        **_OF_A_CHAIN,
        "kind": {"enum": ["log"]},
        "addresses": _ADDRESSES,
        "event": _nullable(
            "string",
            maxLength=signature.MAX_CHARACTERS,
            description="Signature such as `Transfer(address indexed from, …)`; without `topics` too: any log.",
        ),
        "topics": _nullable(
            "array",
            maxItems=4,
            items={"anyOf": [{"type": "null"}, _WORDS, {"type": "array", "items": _WORDS}]},
            description="Positional topics as in eth_getLogs, instead of `event`.",
        ),
    },
    ("chain_id",),
    additionalProperties=False,
)
_TRANSFERS_IN = object_schema(
    {**_OF_A_CHAIN, "kind": {"enum": ["transfer"]}, "from": _ADDRESSES, "to": _ADDRESSES},
    ("chain_id", "kind"),
    additionalProperties=False,
)
_OPERATIONAL_IN = object_schema(
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
        "description": "http or https URL of a public address.",
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
    "rate_limit_per_second": _nullable("number", minimum=MIN_RATE, maximum=MAX_RATE),
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
_EFFECTIVE_FROM = {"effective_from_block": _nullable("integer")}
_FACTS = object_schema({"id": {"type": "string"}, "kind": {"enum": [operational.KIND]}, "events": _TEXTS})
_SUBSCRIPTION = {"anyOf": [object_schema({**_WATCHED, **_EFFECTIVE_FROM}, tuple(_WATCHED)), _FACTS]}
_TIME = {"type": "string", "format": "date-time"}
_ENDPOINT = object_schema(
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
_SECRET = {
    "secret": {"type": "string", "pattern": "^whsec_", "description": "Signing secret; not returned again."}
}
_WARNINGS = {"warnings": {"type": "array", "items": {"type": "string"}}}
_RESULT = {
    "status": _nullable("integer", description="HTTP status; null without an HTTP reply."),
    "error": _nullable("string", description="Kind of the error; null with an HTTP reply."),
}
_ATTEMPT = object_schema(
    {
        "at": _nullable("string", format="date-time"),
        "duration_ms": _nullable("integer"),
        **_RESULT,
        "detail": _nullable("string", description="The first kB of the reply, or a description of the error."),
    }
)
_FILTER = object_schema(
    {
        "endpoint": {"type": "string", "pattern": _ID, "description": "Endpoint id; empty = invalid jobs."},
        "reason": {"type": "string", "minLength": 1, "maxLength": 500},
        "since": {"type": "string", "description": "Age such as `1h`, or ISO 8601 time."},
        "until": {"type": "string"},
        "cursor": {
            "type": "string",
            "pattern": "^[0-9A-Za-z_-]{1,1024}$",
            "description": "`next_cursor` of the previous response.",
        },
    },
    (),
    additionalProperties=False,
)
_REFUSED = {"type": "object", "additionalProperties": {"type": "string"}, "description": "Reason by delivery id."}

SCHEMAS: dict[str, Any] = {
    "Problem": object_schema(
        {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "field": {
                "type": "string",
                "description": "Path of the invalid field, such as `subscriptions[0].event`.",
            },
        },
        ("type", "title", "status"),
    ),
    "BlockToAccept": object_schema(
        {
            "block_number": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
            "block_hash": {"type": "string", "pattern": _WORD, "description": "Refused with 409 if it differs."},
        },
        ("block_number",),
        additionalProperties=False,
    ),
    "NewSubscription": _SUBSCRIPTION_IN,
    "Subscription": _SUBSCRIPTION,
    "NewEndpoint": object_schema(_GIVEN, ("url",), additionalProperties=False),
    "EndpointChange": object_schema(_GIVEN, (), additionalProperties=False),
    "Window": object_schema(
        {
            "open": {"type": "integer"},
            "limit": _nullable("integer", description="null = not limited yet."),
            "parked": {"type": "integer"},
            "retry": {"type": "integer"},
            "circuit": {"enum": ["closed", "open", "half_open"]},
            "failures": {"type": "integer", "description": "Failures in a row."},
            "paused_reason": _nullable("string"),
        }
    ),
    "Recent": object_schema(
        {
            "attempts": {"type": "integer"},
            "succeeded": {"type": "integer"},
            "p50_ms": _nullable("integer"),
            "p99_ms": _nullable("integer"),
        },
        description="Statistics of the last 100 attempts.",
    ),
    "Endpoint": _ENDPOINT,
    "EndpointPage": _page("Endpoint"),
    "CreatedEndpoint": _with({**_SECRET, **_WARNINGS}, _ENDPOINT),
    "ChangedEndpoint": object_schema({**_ENDPOINT["properties"], **_WARNINGS}, tuple(_ENDPOINT["required"])),
    "RotatedEndpoint": _with(_SECRET, _ENDPOINT),
    "Test": object_schema(
        {
            "subscription": {
                "type": "string",
                "pattern": r"^[0-9A-Za-z_-]{1,64}$",
                "description": "Only this subscription.",
            },
            "transaction_hash": {
                "type": "string",
                "pattern": _WORD,
                "description": "Send this transaction's matching logs instead of sample events.",
            },
        },
        (),
        additionalProperties=False,
    ),
    "TestReplies": object_schema({"data": {"type": "array", "items": {"$ref": "#/components/schemas/TestReply"}}}),
    "TestReply": object_schema(
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
    "AttemptRow": object_schema(
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
                "description": "Current state of the delivery; null = trimmed.",
            },
        }
    ),
    "AttemptPage": _page("AttemptRow"),
    "Attempt": _ATTEMPT,
    "Delivery": object_schema(
        {
            "id": {"type": "string"},
            "endpoint": {"type": "string"},
            "state": {"enum": ["open", "parked", "retry", "delivered", "dead"]},
            "attempts": {"type": "array", "items": {"$ref": "#/components/schemas/Attempt"}},
            "reason": _nullable("string"),
            "at": _nullable(
                "string",
                format="date-time",
                description="Time of the next attempt (retry), of death or of delivery.",
            ),
            "source": _nullable("string"),
            "payload": {},
        }
    ),
    "DeliveryPage": _page("Delivery"),
    "DeadLetterFilter": _FILTER,
    "Redriven": object_schema(
        {"redriven": {"type": "integer"}, "refused": _REFUSED, "next_cursor": _nullable("string")}
    ),
    "Purged": object_schema({"purged": {"type": "integer"}, "next_cursor": _nullable("string")}),
    "ChainPage": _page("ChainStatus"),
    "BackfillPage": _page("BackfillStatus"),
}
