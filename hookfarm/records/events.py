"""Records from the ingestor to the processor: Event (a log of a chain) or Transfer."""

import re
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict, final

from hookfarm.errors import InvalidInput
from hookfarm.records.fields import ADDRESS, BYTES32, DATA, boolean, count, hex_text, hex_value, mapping, shorten

MAX_TOPICS = 4
MAX_TIMESTAMP = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second that ISO 8601 writes with a four-digit year."""
KINDS = ("log", "transfer")
"""Kinds of subscriptions. A Transfer has the field `kind`, an Event does not."""

_VALUE = re.compile(r"[1-9][0-9]{0,77}")
_MAX_VALUE = 2**256 - 1


@final
class Event(TypedDict):
    """A log of a chain. Identity: chain_id, block_hash, log_index."""

    chain_id: int
    block_number: int
    block_hash: str
    block_timestamp: int
    transaction_hash: str
    transaction_index: int
    log_index: int
    address: str
    topics: list[str]
    data: str
    removed: NotRequired[bool]


_Sender = TypedDict("_Sender", {"from": str})
"""The functional form, because `from` is a keyword of Python."""


class Transfer(_Sender):
    """A successful transaction that moved value. Identity: chain_id, block_hash, transaction_index.

    `value`: decimal digits in the smallest unit (wei). `to`: for a contract creation, the new contract. Internal
    transfers (value moved by contract calls) are not detected.
    """

    kind: Literal["transfer"]
    chain_id: int
    block_number: int
    block_hash: str
    block_timestamp: int
    transaction_hash: str
    transaction_index: int
    to: str
    value: str
    removed: NotRequired[bool]


ChainEvent = Event | Transfer
"""Distinguished by the key `kind`, which only a Transfer has."""


def parse_chain_event(raw: object) -> ChainEvent:
    """Return a checked Transfer or Event, by `kind`. Raises InvalidInput with the field."""
    kind = raw.get("kind", "log") if isinstance(raw, dict) else "log"
    if kind not in KINDS:
        raise InvalidInput("kind", f"{shorten(kind)} is not {' or '.join(KINDS)}")
    return parse_transfer(mapping(raw, "event")) if kind == "transfer" else parse_event(raw)


def parse_event(raw: object) -> Event:
    """Return a checked Event with lower-case hexadecimal and no other fields. Raises InvalidInput."""
    record = mapping(raw, "event")
    topics = record.get("topics")
    if not isinstance(topics, list) or len(topics) > MAX_TOPICS:
        raise InvalidInput("topics", f"{shorten(topics)} is not a list of at most {MAX_TOPICS} topics")
    return {
        "chain_id": count(record, "chain_id", low=1),
        "block_number": count(record, "block_number"),
        "block_hash": hex_text(record, "block_hash", BYTES32, "32 bytes"),
        "block_timestamp": count(record, "block_timestamp"),
        "transaction_hash": hex_text(record, "transaction_hash", BYTES32, "32 bytes"),
        "transaction_index": count(record, "transaction_index"),
        "log_index": count(record, "log_index"),
        "address": hex_text(record, "address", ADDRESS, "20 bytes"),
        "topics": [hex_value(t, f"topics[{i}]", BYTES32, "32 bytes") for i, t in enumerate(topics)],
        "data": hex_text(record, "data", DATA, "whole bytes"),
        "removed": "removed" in record and boolean(record, "removed"),
    }


def parse_transfer(record: Mapping[str, Any]) -> Transfer:
    """Return a checked Transfer with lower-case hexadecimal and no other fields. Raises InvalidInput."""
    return {
        "kind": "transfer",
        "chain_id": count(record, "chain_id", low=1),
        "block_number": count(record, "block_number"),
        "block_hash": hex_text(record, "block_hash", BYTES32, "32 bytes"),
        "block_timestamp": count(record, "block_timestamp"),
        "transaction_hash": hex_text(record, "transaction_hash", BYTES32, "32 bytes"),
        "transaction_index": count(record, "transaction_index"),
        "from": hex_text(record, "from", ADDRESS, "20 bytes"),
        "to": hex_text(record, "to", ADDRESS, "20 bytes"),
        "value": _value(record.get("value")),
        "removed": "removed" in record and boolean(record, "removed"),
    }


def _value(raw: object) -> str:
    if not isinstance(raw, str) or not _VALUE.fullmatch(raw) or int(raw) > _MAX_VALUE:
        raise InvalidInput("value", f"{shorten(raw)} is not a string of decimal digits from 1 to 2^256 - 1")
    return raw
