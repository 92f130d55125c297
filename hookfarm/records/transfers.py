"""Transfers: movements of the chain's own currency, one per transaction."""

import re
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from hookfarm.errors import InvalidInput
from hookfarm.records.fields import ADDRESS, BYTES32, boolean, count, hex_text, shorten

_VALUE = re.compile(r"[1-9][0-9]{0,77}")
_MAX_VALUE = 2**256 - 1

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
