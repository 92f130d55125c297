"""The webhook's body and its id (design: "Records")."""

import hashlib
from typing import Any

import orjson

from hookfarm.matching.decoder import Decoded
from hookfarm.matching.json_numbers import json_integer
from hookfarm.records import ChainEvent
from hookfarm.timestamps import format_whole_seconds

LOG_EMITTED = "log.emitted"
LOG_REMOVED = "log.removed"
LOG_FINALIZED = "log.finalized"
TRANSFER = "transfer"
"""What stands for `log` in the type of what is told of a transfer."""
LAST_TIMESTAMP = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second that ISO 8601 writes with four digits of year."""


def type_of(event: ChainEvent, kind: str) -> str:
    """`kind` is what is told of a log; a transfer's has the same name behind `transfer.`."""
    return TRANSFER + kind.removeprefix("log") if "kind" in event else kind


def place(event: ChainEvent) -> int | str:
    """Where in its block it stands, so that no log and no transfer have the same place: 7, t7."""
    return f"t{event['transaction_index']}" if "kind" in event else event["log_index"]


def webhook_id(event: ChainEvent, endpoint_id: str, kind: str, generation: int = 0) -> str:
    """`msg_` and 160 bits of a hash: the same for this log (or transfer), endpoint and `kind` wherever it is read.

    `generation`: how often the log was taken back before; a log that comes back is told of under another id.
    """
    parts = [event["chain_id"], event["block_hash"], place(event), endpoint_id, type_of(event, kind)]
    if generation:
        parts.append(generation)
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
    return f"msg_{digest[:40]}"


def emitted(
    event: ChainEvent, decoded: Decoded | None, subscription_id: str, confirmations: int | str = 0
) -> bytes:
    """The body that tells an endpoint of a log or a transfer that `subscription_id` matched."""
    data = _data(event, decoded, subscription_id, confirmations)
    timestamp = format_whole_seconds(event["block_timestamp"])
    return orjson.dumps({"type": type_of(event, LOG_EMITTED), "timestamp": timestamp, "data": data})


def removed(event: ChainEvent, decoded: Decoded | None, subscription_id: str, original: str) -> bytes:
    """The body that takes back the delivery `original`: its log or transfer is not on the chain any more."""
    data = {**_data(event, decoded, subscription_id, 0), "original": original}
    timestamp = format_whole_seconds(event["block_timestamp"])
    kind = type_of(event, LOG_REMOVED)
    return orjson.dumps({"type": kind, "timestamp": timestamp, "original": original, "data": data})


def finalized(event: ChainEvent, decoded: Decoded | None, subscription_id: str, original: str | None) -> bytes:
    """The body that says that a log or a transfer is on the chain for good; `original` told of it, None where
    nothing did.
    """
    data = {**_data(event, decoded, subscription_id, "finalized"), "original": original}
    timestamp = format_whole_seconds(event["block_timestamp"])
    kind = type_of(event, LOG_FINALIZED)
    return orjson.dumps({"type": kind, "timestamp": timestamp, "original": original, "data": data})


def _data(
    event: ChainEvent, decoded: Decoded | None, subscription_id: str, confirmations: int | str
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        name: json_integer(value) if type(value) is int else value for name, value in event.items()
    }
    return {**shown, "event": decoded, "confirmations": confirmations, "subscription": subscription_id}
