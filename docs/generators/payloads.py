"""The page of webhook bodies, and their JSON Schemas in docs/reference/schemas/."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from generators.markdown import code, codes, json_fence, paragraphs, plain, table
from hookfarm.abi import signature
from hookfarm.matching import decoder, payload
from hookfarm.records import CONFIRMATION_TAGS, Event, Transfer, operational

_TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
_FROM, _TO = "a0" * 20, "b0" * 20
_LOG: Event = {
    "chain_id": 1,
    "block_number": 23_456_789,
    "block_hash": "0x" + "b1" * 32,
    "block_timestamp": 1_795_370_400,
    "transaction_hash": "0x" + "c2" * 32,
    "transaction_index": 4,
    "log_index": 7,
    "address": "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
    "topics": [str(signature.parse(_TRANSFER).topic0), f"0x{_FROM:0>64}", f"0x{_TO:0>64}"],
    "data": f"0x{10**18:064x}",
    "removed": False,
}
_NATIVE: Transfer = {
    "kind": "transfer",
    "chain_id": 1,
    "block_number": 23_456_789,
    "block_hash": "0x" + "b1" * 32,
    "block_timestamp": 1_795_370_400,
    "transaction_hash": "0x" + "c2" * 32,
    "transaction_index": 4,
    "from": f"0x{_FROM}",
    "to": f"0x{_TO}",
    "value": str(10**18),
    "removed": False,
}
_SUBSCRIPTION, _ORIGINAL = "sub_6f0e7c2f9a4b4b0f8f0d9c11", "msg_9b6b57a580791a414efc596b165cb6ced2f2a511"
_OPERATIONAL: Mapping[str, dict[str, Any]] = {
    operational.DELIVERY_DEAD: {
        "endpoint": "ep_0123456789abcdef01234567",
        "delivery": _ORIGINAL,
        "reason": "exhausted",
        "attempts": 9,
        "last_attempt": {
            "at": "2026-11-22T18:00:00.500Z",
            "duration_ms": 7,
            "status": 500,
            "error": None,
            "detail": "busy",
        },
    },
    operational.ENDPOINT_DISABLED: {
        "endpoint": "ep_0123456789abcdef01234567",
        "reason": "the endpoint answered 410 Gone",
    },
    operational.CIRCUIT_OPENED: {"endpoint": "ep_0123456789abcdef01234567", "failures": 5},
    operational.CIRCUIT_CLOSED: {"endpoint": "ep_0123456789abcdef01234567"},
    operational.CHAIN_STALLED: {"chain_id": 1, "reason": "chain 1: wss://node.example: does not answer"},
    operational.REORG_INCOMPLETE: {
        "chain_id": 1,
        "fork_point": 23_000_010,
        "events_not_withdrawn": 2,
        "blocks": [
            {"from_block": 23_000_020, "to_block": 23_000_020, "block_hash": "0x" + "ab" * 32, "events": 2}
        ],
    },
    operational.CHAIN_BLOCK_ACCEPTED: {
        "chain_id": 1,
        "block_number": 21500001,
        "block_hash": "0x" + "5e" * 32,
        "logs": 212,
        "reason": "wss://node.example: block 21500001: log indices are not 0 to 211",
        "accepted_by": "operator@host",
        "accepted_at": "2026-11-22T18:00:00.500Z",
    },
}

_WORD = {"type": "string", "pattern": "^0x[0-9a-f]{64}$"}
_ADDRESS = {"type": "string", "pattern": "^0x[0-9a-f]{40}$"}
_COUNT = {"$ref": "#/$defs/count"}
_DEFINITIONS = {
    "count": {
        "description": f"A whole number; above {decoder.MAX_EXACT_INTEGER} its decimal digits as a string.",
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": decoder.MAX_EXACT_INTEGER},
            {"type": "string", "pattern": "^[1-9][0-9]{15,19}$"},
        ],
    },
    "argument": {
        "description": "A decoded value: see Decoded arguments on the page of payloads.",
        "anyOf": [
            {"type": "integer", "minimum": -decoder.MAX_EXACT_INTEGER, "maximum": decoder.MAX_EXACT_INTEGER},
            {"type": "boolean"},
            {"type": "string"},
            {"type": "array", "items": {"$ref": "#/$defs/argument"}},
            {"type": "object", "additionalProperties": {"$ref": "#/$defs/argument"}},
        ],
    },
}
_BLOCK = {
    "chain_id": {**_COUNT, "description": "The chain's id."},
    "block_number": _COUNT,
    "block_hash": _WORD,
    "block_timestamp": {**_COUNT, "description": "Unix time of the block, in seconds."},
    "transaction_hash": _WORD,
    "transaction_index": _COUNT,
}
_OF_A_LOG = {
    **_BLOCK,
    "log_index": {**_COUNT, "description": "The position of the log in its block."},
    "address": {**_ADDRESS, "description": "The contract that emitted the log."},
    "topics": {"type": "array", "items": _WORD, "maxItems": 4},
    "data": {"type": "string", "pattern": "^0x([0-9a-f]{2})*$"},
}
_OF_A_TRANSFER = {
    "kind": {"const": "transfer"},
    **_BLOCK,
    "from": _ADDRESS,
    "to": {**_ADDRESS, "description": "The recipient; of a creation the new contract."},
    "value": {
        "type": "string",
        "pattern": "^(0|[1-9][0-9]*)$",
        "description": "In the smallest unit of the currency.",
    },
}
_EVENT = {
    "description": "The decoded log; null if the subscription has no `event`, or the log does not fit it.",
    "anyOf": [
        {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "args": {"type": "object", "additionalProperties": {"$ref": "#/$defs/argument"}},
            },
            "required": ["name", "args"],
            "additionalProperties": False,
        },
        {"type": "null"},
    ],
}
_CONFIRMATIONS = {
    "description": "The depth for which the webhook has waited.",
    "anyOf": [{"type": "integer", "minimum": 0}, {"enum": list(CONFIRMATION_TAGS)}],
}
_ID = {"type": "string", "pattern": "^msg_[0-9a-f]{40}$"}
_SUBSCRIPTION_ID = {"type": "string", "description": "The id of the subscription that matched."}
_ATTEMPT = {
    "type": ["object", "null"],
    "properties": {
        "at": {"type": ["string", "null"], "format": "date-time"},
        "duration_ms": {"type": ["integer", "null"]},
        "status": {"type": ["integer", "null"], "description": "The HTTP status."},
        "error": {"type": ["string", "null"], "description": "The kind of the error, instead of a status."},
        "detail": {
            "type": ["string", "null"],
            "description": "The beginning of the reply, or the error in words.",
        },
    },
}
_DETAILS: Mapping[str, dict[str, Any]] = {
    "endpoint": {"type": "string", "pattern": "^ep_"},
    "delivery": {"type": "string", "description": "The webhook-id of the dead delivery."},
    "reason": {"type": ["string", "null"]},
    "attempts": {"type": ["integer", "null"]},
    "last_attempt": _ATTEMPT,
    "failures": {"type": "integer", "description": "Failures in a row."},
    "chain_id": {"type": "integer"},
    "fork_point": {"type": "integer", "description": "The last block of the replaced branch that is canonical."},
    "events_not_withdrawn": {
        "type": "integer",
        "description": "Events that were sent, or may have been sent, and whose removal is not sent.",
    },
    "blocks": {
        "type": "array",
        "description": "The blocks of these events; `block_hash` is null for a range of several blocks.",
        "items": {"type": "object"},
    },
    "block_number": {"type": "integer"},
    "block_hash": _WORD,
    "logs": {"type": "integer", "description": "Logs that the node gave of the block."},
    "accepted_by": {"type": "string", "description": "User and host of the command, or `api`."},
    "accepted_at": {"type": "string", "format": "date-time"},
}
_OPTIONAL = ("last_attempt",)


def parts() -> dict[str, str]:
    return {
        "types": table(
            ("Type", "Sent when", "Schema"),
            ((f"[`{t}`](#{t.replace('.', '')})", _MEANINGS[t], f"[{t}.json](schemas/{t}.json)") for t in TYPES),
        ),
        "sections": paragraphs(*map(_section, TYPES)),
        "max_exact": f"{decoder.MAX_EXACT_INTEGER:,}",
    }


def schema_files() -> dict[str, str]:
    """Return the content of each schema file by name."""
    return {f"{kind}.json": f"{json.dumps(schema(kind), indent=2)}\n" for kind in TYPES}


def _section(kind: str) -> str:
    data = schema(kind)["properties"]["data"]
    shown = data["anyOf"][0] if "anyOf" in data else data
    required = shown["required"]
    rows = [
        (code(name), _value(field), "yes" if name in required else "", plain(field.get("description", "")))
        for name, field in shown["properties"].items()
    ]
    return paragraphs(
        f"### {kind}",
        _MEANINGS[kind],
        json_fence(example(kind)),
        "Fields of `data`:",
        table(("Field", "Value", "Required", "Meaning"), rows),
    )


def _value(field: Mapping[str, Any]) -> str:
    if field.get("pattern") == _WORD["pattern"]:
        return "`0x` and 64 hexadecimal digits"
    if field.get("pattern") == _ADDRESS["pattern"]:
        return "`0x` and 40 hexadecimal digits"
    if "$ref" in field:
        return "number or decimal string"
    if "const" in field:
        return code(json.dumps(field["const"]))
    if "enum" in field:
        return codes(field["enum"])
    if "anyOf" in field:
        return " or ".join(_value(each) for each in field["anyOf"])
    kind = field["type"]
    return " or ".join(kind) if isinstance(kind, list) else "list of strings" if kind == "array" else str(kind)


def example(kind: str) -> Any:
    """Return a body of this type, made by the code that makes them all."""
    if kind in _OPERATIONAL:
        data = {**_OPERATIONAL[kind], "subscription": _SUBSCRIPTION}
        return {"type": kind, "timestamp": "2026-11-22T18:00:00.500Z", "data": data}
    source, _, name = kind.partition(".")
    event: Any = {**(_NATIVE if source == "transfer" else _LOG), "removed": name == "removed"}
    decoded = decoder.decode(signature.parse(_TRANSFER), _LOG["topics"], _LOG["data"]) if source == "log" else None
    bodies: Mapping[str, Callable[[], bytes]] = {
        "emitted": lambda: payload.emitted_body(event, decoded, _SUBSCRIPTION),
        "removed": lambda: payload.removed_body(event, decoded, _SUBSCRIPTION, _ORIGINAL),
        "finalized": lambda: payload.finalized_body(event, decoded, _SUBSCRIPTION, _ORIGINAL),
    }
    return json.loads(bodies[name]())


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of the bodies of this type."""
    data = _operational_data(kind) if kind in _OPERATIONAL else _chain_data(kind)
    original = {} if "original" not in data.get("properties", {}) else {"original": data["properties"]["original"]}
    fields = {
        "type": {"const": kind},
        "timestamp": {"type": "string", "format": "date-time"},
        **original,
        "data": data,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind,
        "description": _MEANINGS[kind],
        **_closed(fields),
        **({} if kind in _OPERATIONAL else {"$defs": _DEFINITIONS}),
    }


def _closed(fields: Mapping[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    required = [name for name in fields if name not in optional]
    return {"type": "object", "properties": dict(fields), "required": required, "additionalProperties": False}


def _chain_data(kind: str) -> dict[str, Any]:
    source, _, name = kind.partition(".")
    fields: dict[str, Any] = {
        **(_OF_A_TRANSFER if source == "transfer" else _OF_A_LOG),
        "removed": {"const": name == "removed"},
        "event": {"type": "null"} if source == "transfer" else _EVENT,
        "confirmations": _CONFIRMATIONS
        if name == "emitted"
        else {"const": 0 if name == "removed" else "finalized"},
        "subscription": _SUBSCRIPTION_ID,
    }
    if name == "removed":
        fields["original"] = {**_ID, "description": "The webhook-id of the webhook that is withdrawn."}
    if name == "finalized":
        text = "The webhook-id of the webhook that emitted it; null if none did."
        fields["original"] = {**_ID, "type": ["string", "null"], "description": text}
    return _closed(fields)


def _operational_data(kind: str) -> dict[str, Any]:
    fields = {name: _DETAILS[name] for name in _OPERATIONAL[kind]}
    test = {"test": {"const": True, "description": "A sample of `endpoints test`."}}
    subscription = {"subscription": _SUBSCRIPTION_ID}
    return {"anyOf": [_closed({**fields, **subscription}, _OPTIONAL), _closed({**test, **subscription})]}


_MEANINGS: Mapping[str, str] = {
    "log.emitted": "A log matches a subscription and is as deep as the subscription asks.",
    "log.removed": "A reorg has removed a log that the endpoint was sent.",
    "log.finalized": "The block of a log is final. Only with `notify: finalized`.",
    "transfer.emitted": "A native transfer matches a subscription and is as deep as the subscription asks.",
    "transfer.removed": "A reorg has removed a transfer that the endpoint was sent.",
    "transfer.finalized": "The block of a transfer is final. Only with `notify: finalized`.",
    operational.DELIVERY_DEAD: "A delivery has become a dead letter.",
    operational.ENDPOINT_DISABLED: "An endpoint has been disabled.",
    operational.CIRCUIT_OPENED: "The circuit breaker of an endpoint has opened.",
    operational.CIRCUIT_CLOSED: "The circuit breaker of an endpoint has closed.",
    operational.CHAIN_STALLED: "None of a chain's nodes can be used.",
    operational.REORG_INCOMPLETE: "Events of blocks that a reorg replaced could not be withdrawn.",
    operational.CHAIN_BLOCK_ACCEPTED: "An operator has accepted a block whose logs are not proven.",
}
TYPES = tuple(_MEANINGS)
