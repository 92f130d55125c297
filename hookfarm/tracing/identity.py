"""Ids of traces and spans, derived from records that each process has anyway."""

import hashlib
from typing import NamedTuple

from hookfarm.event_stream.event_json import parse_body_origin


class SpanId(NamedTuple):
    """A trace and a span in it: 16 and 8 bytes, as numbers."""

    trace: int
    span: int


def block_span(block: str) -> SpanId:
    """`block` is `<chain>:<block hash>`."""
    digest = hashlib.sha256(block.encode()).digest()
    return SpanId(int.from_bytes(digest[:16]), int.from_bytes(digest[16:24]))


def match_span(block: str, position: int | str, is_removal: bool) -> SpanId:
    """`position`: a log's index in its block, or `t` and the index of a transfer's transaction."""
    kind = "removed" if is_removal else "emitted"
    digest = hashlib.sha256(f"{block}\n{position}\n{kind}".encode()).digest()
    return SpanId(block_span(block).trace, int.from_bytes(digest[:8]))


def parent_of_attempt(body: bytes) -> SpanId | None:
    """The span of the match that caused a webhook. Returns None unless its body is about a log or a transfer."""
    origin = parse_body_origin(body)
    return None if origin is None else match_span(origin.block, origin.position, origin.is_removal)


def foreign_trace(webhook_id: str) -> int:
    """The trace of a delivery that comes from no block: all its attempts are in it."""
    return int.from_bytes(hashlib.sha256(webhook_id.encode()).digest()[:16])
