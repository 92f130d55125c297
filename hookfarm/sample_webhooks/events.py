"""Valid sample events with plausible arguments, which may contradict the subscription's condition."""

import math
import secrets
import time
from collections.abc import Sequence
from typing import Any

from eth_abi.abi import encode

from hookfarm.abi import signature
from hookfarm.abi.abi_types import TUPLE, AbiType, Parameter
from hookfarm.delivery_queue import operational
from hookfarm.matching import decoder, payload
from hookfarm.records import Event, Subscription, Transfer

_ADDRESS = "0x00000000000000000000000000000000c0ffee00"
_MAX_VALUES = 1000
_WORD_BYTES = 32


def body(subscription: Subscription | None) -> bytes:
    """Return the body of a sample webhook; `subscription` None = a log without a decoded event."""
    if subscription is not None and subscription.is_operational:
        return operational.example_body(subscription)
    if subscription is not None and subscription.kind == "transfer":
        return payload.emitted_body(_transfer(subscription), None, subscription.id, subscription.confirmations)
    event: Event = {
        "chain_id": subscription.chain_id if subscription else 1,
        "block_number": 0,
        "block_hash": _random_word(),
        "block_timestamp": int(time.time()),
        "transaction_hash": _random_word(),
        "transaction_index": 0,
        "log_index": 0,
        "address": subscription.addresses[0] if subscription and subscription.addresses else _ADDRESS,
        "topics": [],
        "data": "0x",
        "removed": False,
    }
    if subscription is None:
        return payload.emitted_body(event, None, "")
    decoded = None
    if subscription.event is not None:
        declared = signature.parse(subscription.event)
        own_topic = [declared.topic0] if declared.topic0 else []
        event["topics"] = own_topic + [_topic(p) for p in declared.parameters if p.indexed]
        event["data"] = _data([p.type for p in declared.parameters if not p.indexed])
        decoded = decoder.decode(declared, event["topics"], event["data"])
    elif subscription.topics is not None:
        event["topics"] = [choices[0] if choices else _random_word() for choices in subscription.topics]
    return payload.emitted_body(event, decoded, subscription.id, subscription.confirmations)


def _transfer(subscription: Subscription) -> Transfer:
    return {
        "kind": "transfer",
        "chain_id": subscription.chain_id,
        "block_number": 0,
        "block_hash": _random_word(),
        "block_timestamp": int(time.time()),
        "transaction_hash": _random_word(),
        "transaction_index": 0,
        "from": next(iter(subscription.senders), _ADDRESS),
        "to": next(iter(subscription.recipients), _ADDRESS),
        "value": str(10**18),
        "removed": False,
    }


def _random_word() -> str:
    return f"0x{secrets.token_hex(_WORD_BYTES)}"


def _topic(parameter: Parameter) -> str:
    kind = parameter.type
    return _random_word() if kind.is_hashed_in_topics else f"0x{encode([kind.canonical], [_value(kind)]).hex()}"


def _data(types: Sequence[AbiType]) -> str:
    """Return the encoded arguments; empty for more than _MAX_VALUES values."""
    if sum(map(_count, types)) > _MAX_VALUES:
        return "0x"
    return "0x" + encode([t.canonical for t in types], [_value(t) for t in types]).hex()


def _count(kind: AbiType) -> int:
    one = sum(_count(c.type) for c in kind.components) if kind.base == TUPLE else 1
    return one * math.prod(1 if size is None else size for size in kind.sizes)


def _value(kind: AbiType) -> Any:
    """Return a plausible value. Arrays of variable length have one member."""
    if kind.sizes:
        return [_value(kind.element)] * (kind.sizes[-1] or 1)
    if kind.base == TUPLE:
        return tuple(_value(c.type) for c in kind.components)
    if kind.base.startswith(("uint", "int")):
        bits = int(kind.base.lstrip("uint"))
        return 10**18 if bits > 64 else 42
    if kind.base == "function":
        return bytes(24)
    if kind.base.startswith("bytes"):
        return b"sample"[: int(kind.base[5:] or 6)]
    return {"string": "sample", "bool": True, "address": _ADDRESS}[kind.base]
