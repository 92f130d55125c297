"""Ids of traces and spans, derived from records that each process has anyway."""

import hashlib
import re
from typing import NamedTuple

_BODY = re.compile(
    rb'\{"type":"(?:log|transfer)\.(emitted|removed|finalized)","timestamp":"[^"]{1,40}",'
    rb'(?:"original":(?:null|"[^"]{1,128}"),)?"data":\{(?:"kind":"(transfer)",)?'
    rb'"chain_id":"?([0-9]{1,20})"?,"block_number":"?[0-9]{1,20}"?,"block_hash":"(0x[0-9a-f]{64})",'
    rb'"block_timestamp":"?[0-9]{1,20}"?,"transaction_hash":"0x[0-9a-f]{64}","transaction_index":"?([0-9]{1,20})"?'
    rb'(?:,"log_index":"?([0-9]{1,20})"?)?'
)
"""The beginning of each webhook body about a log or a transfer, as matching/payload.py writes it."""


class SpanId(NamedTuple):
    """A trace and a span in it: 16 and 8 bytes, as numbers."""

    trace: int
    span: int


def block_span(block: str) -> SpanId:
    """`block` is `<chain>:<block hash>`."""
    digest = hashlib.sha256(block.encode()).digest()
    return SpanId(int.from_bytes(digest[:16]), int.from_bytes(digest[16:24]))


def match_span(block: str, place: int | str, removed: bool) -> SpanId:
    """`place`: a log's index in its block, or `t` and a transfer's transaction; `removed`: it was taken back."""
    kind = "removed" if removed else "emitted"
    digest = hashlib.sha256(f"{block}\n{place}\n{kind}".encode()).digest()
    return SpanId(block_span(block).trace, int.from_bytes(digest[:8]))


def parent_of_attempt(body: bytes) -> SpanId | None:
    """The span of the match that caused a webhook. Returns None unless its body is about a log or a transfer."""
    found = _BODY.match(body)
    if found is None:
        return None
    kind, transfer, chain_id, block_hash, transaction, log = found.groups()
    if (transfer is None) != (log is not None):
        return None
    place = f"t{transaction.decode()}" if log is None else log.decode()
    return match_span(f"{chain_id.decode()}:{block_hash.decode()}", place, kind == b"removed")


def foreign_trace(webhook_id: str) -> int:
    """The trace of a delivery that comes from no block: all its attempts are in it."""
    return int.from_bytes(hashlib.sha256(webhook_id.encode()).digest()[:16])
