"""Webhook bodies and ids."""

import hashlib
from typing import Any

import orjson

from hookfarm.matching.decoder import WebhookEventField, json_integer
from hookfarm.records import ChainEvent
from hookfarm.timestamps import format_whole_seconds

LOG_EMITTED = "log.emitted"
LOG_REMOVED = "log.removed"
LOG_FINALIZED = "log.finalized"
TRANSFER = "transfer"
"""Replaces `log` in the event type of a transfer."""


def event_type(event: ChainEvent, log_type: str) -> str:
    """Return `log_type`, or its counterpart `transfer.…` for a transfer."""
    return TRANSFER + log_type.removeprefix("log") if "kind" in event else log_type


def log_position(event: ChainEvent) -> int | str:
    """Return the position in the block, unique among logs and transfers: 7 for a log, t7 for a transfer."""
    return f"t{event['transaction_index']}" if "kind" in event else event["log_index"]


def webhook_id(event: ChainEvent, endpoint_id: str, log_type: str, generation: int = 0) -> str:
    """Return the webhook-id of a log or transfer for one endpoint and type; the same on every reading.

    `msg_` and 160 bits of SHA-256. `generation` counts earlier removals of the log, so that a log that returns has
    a new id.
    """
    position, kind = log_position(event), event_type(event, log_type)
    return notification_id(event["chain_id"], event["block_hash"], position, endpoint_id, kind, generation)


def notification_id(
    chain_id: int, block_hash: str, position: int | str, endpoint_id: str, kind: str, generation: int
) -> str:
    """Return the webhook-id for the log or transfer at `position` of a block; `kind` is the event type."""
    parts: list[object] = [chain_id, block_hash, position, endpoint_id, kind]
    if generation:
        parts.append(generation)
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
    return f"msg_{digest[:40]}"


def emitted_body(
    event: ChainEvent, decoded: WebhookEventField | None, subscription_id: str, confirmations: int | str = 0
) -> bytes:
    """Return the body for a log or transfer that `subscription_id` matched."""
    data = _data(event, decoded, subscription_id, confirmations)
    timestamp = format_whole_seconds(event["block_timestamp"])
    return orjson.dumps({"type": event_type(event, LOG_EMITTED), "timestamp": timestamp, "data": data})


def removed_body(
    event: ChainEvent, decoded: WebhookEventField | None, subscription_id: str, original: str
) -> bytes:
    """Return the body that withdraws the delivery `original`, whose log or transfer was removed."""
    data = {**_data(event, decoded, subscription_id, 0), "original": original}
    timestamp = format_whole_seconds(event["block_timestamp"])
    kind = event_type(event, LOG_REMOVED)
    return orjson.dumps({"type": kind, "timestamp": timestamp, "original": original, "data": data})


def finalized_body(
    event: ChainEvent, decoded: WebhookEventField | None, subscription_id: str, original: str | None
) -> bytes:
    """Return the body for a final log or transfer.

    `original` is the delivery that emitted it; None if there was none.
    """
    data = {**_data(event, decoded, subscription_id, "finalized"), "original": original}
    timestamp = format_whole_seconds(event["block_timestamp"])
    kind = event_type(event, LOG_FINALIZED)
    return orjson.dumps({"type": kind, "timestamp": timestamp, "original": original, "data": data})


def _data(
    event: ChainEvent, decoded: WebhookEventField | None, subscription_id: str, confirmations: int | str
) -> dict[str, Any]:
    """Return the event's fields in the order of the stream (`event_stream.event_json`), then those of matching."""
    fields: dict[str, Any] = {
        name: json_integer(value) if type(value) is int else value for name, value in event.items()
    }
    return {**fields, "event": decoded, "confirmations": confirmations, "subscription": subscription_id}
