"""Proofs that a node sent all logs of a block. Pure functions.

- Indices: the log indices of a block are contiguous from 0, so a log missing in the middle is detected.
- Bloom: the header's filter covers all addresses and topics. So a log missing at the end is detected, unless other
  logs set the same bits.

Together they miss only a final log whose address and topics occur elsewhere in the block.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from hookfarm.abi import bloom
from hookfarm.chain.block import Header
from hookfarm.records import Event

_ROUND = 500
_MIN_CAP = 1_000

_place = itemgetter("transaction_index", "log_index")
_transaction = itemgetter("transaction_index")


def in_order(events: Sequence[Event]) -> list[Event]:
    """Return the events of one block in the order of the block.

    Some chains count logs per transaction. Duplicate indices would give two events one identity, so `log_index`
    becomes the position in the block.
    """
    ordered = sorted(events, key=_place)
    if not _contiguous(ordered) and _contiguous_per_transaction(ordered):
        for place, event in enumerate(ordered):
            event["log_index"] = place
    return ordered


def incompleteness_reason(
    header: Header, events: Sequence[Event], *, use_bloom: bool, may_be_capped: bool = True
) -> str:
    """Return why the block's events may be incomplete; empty if they are complete.

    `may_be_capped` is False for logs from receipts, which nodes do not truncate.
    """
    if not _contiguous(events):
        return f"log indices are not 0 to {len(events) - 1}"
    if use_bloom and header.logs_bloom is not None:
        return _bloom_mismatch(int(header.logs_bloom, 16), events)
    if may_be_capped and looks_capped(len(events)):
        return f"exactly {len(events)} logs, probably truncated"
    return ""


def looks_capped(logs: int) -> bool:
    """Return whether nodes silently truncate results at this count: 1,000, 2,000, 5,000, 10,000 …"""
    return logs >= _MIN_CAP and logs % _ROUND == 0


def bloom_has_logs(header: Header) -> bool:
    """Return whether the bloom proves that the block has logs; a missing or zero bloom proves nothing."""
    return header.logs_bloom is not None and not header.bloom_is_zero


def _bloom_mismatch(expected: int, events: Sequence[Event]) -> str:
    values = {event["address"] for event in events}
    for event in events:
        values.update(event["topics"])
    found = bloom.of_values(values)
    if found == expected:
        return ""
    if expected & ~found:
        return f"{len(events)} logs do not make the header's bloom: some are missing"
    return f"{len(events)} logs set bits that the header's bloom lacks"


def _contiguous(events: Sequence[Event]) -> bool:
    return all(event["log_index"] == place for place, event in enumerate(events))


def _contiguous_per_transaction(events: Sequence[Event]) -> bool:
    return all(_contiguous(list(logs)) for _, logs in groupby(events, key=_transaction))
