"""The webhook's body and its id (design: "Records")."""

import hashlib
import time
from typing import Any

import orjson

from hookfarm.message_processor.decoder import Decoded
from hookfarm.message_processor.json_numbers import json_integer
from hookfarm.records import Event

LOG_EMITTED = "log.emitted"
LOG_REMOVED = "log.removed"
LOG_FINALIZED = "log.finalized"
LAST_TIMESTAMP = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second that ISO 8601 writes with four digits of year."""


def webhook_id(event: Event, endpoint_id: str, kind: str, generation: int = 0) -> str:
    """`msg_` and 160 bits of a hash: the same for this log, endpoint and `kind` on every host and re-read.

    `generation`: how often the log was taken back before; a log that comes back is told of under another id.
    """
    parts = [event["chain_id"], event["block_hash"], event["log_index"], endpoint_id, kind]
    if generation:
        parts.append(generation)
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
    return f"msg_{digest[:40]}"


def iso_time(seconds: int) -> str:
    """`2026-11-22T18:00:00Z`; `seconds` at most LAST_TIMESTAMP."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def emitted(event: Event, decoded: Decoded | None, subscription_id: str, confirmations: int | str = 0) -> bytes:
    """The body that tells an endpoint of a log that `subscription_id` matched."""
    data = _data(event, decoded, subscription_id, confirmations)
    return orjson.dumps({"type": LOG_EMITTED, "timestamp": iso_time(event["block_timestamp"]), "data": data})


def removed(event: Event, decoded: Decoded | None, subscription_id: str, original: str) -> bytes:
    """The body that takes back the delivery `original`: its log is not on the chain any more."""
    data = {**_data(event, decoded, subscription_id, 0), "original": original}
    timestamp = iso_time(event["block_timestamp"])
    return orjson.dumps({"type": LOG_REMOVED, "timestamp": timestamp, "original": original, "data": data})


def finalized(event: Event, decoded: Decoded | None, subscription_id: str, original: str | None) -> bytes:
    """The body that says that a log is on the chain for good; `original` told of it, None where nothing did."""
    data = {**_data(event, decoded, subscription_id, "finalized"), "original": original}
    timestamp = iso_time(event["block_timestamp"])
    return orjson.dumps({"type": LOG_FINALIZED, "timestamp": timestamp, "original": original, "data": data})


def _data(event: Event, decoded: Decoded | None, subscription_id: str, confirmations: int | str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        name: json_integer(value) if type(value) is int else value for name, value in event.items()
    }
    return {**shown, "event": decoded, "confirmations": confirmations, "subscription": subscription_id}
