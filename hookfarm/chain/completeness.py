"""Checks whether a node sent all logs of a block.

- Indices: the log indices of a block are contiguous from 0, so a log missing in the middle is detected.
- Bloom: the header's filter covers all addresses and topics. So a log missing at the end is detected, unless other
  logs set the same bits.

Together they miss only a final log whose address and topics occur elsewhere in the block.

Not every bloom proves that much. Some chains write the same bloom into all headers (zeros, or all ones), which
proves nothing. Some leave the logs of system transactions out of it: then it proves only that the other logs are
there.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from hookfarm.abi import bloom
from hookfarm.chain.block import Header
from hookfarm.records import Event

_ROUND = 500
_MIN_CAP = 1_000
SATURATED_BLOOM = "0x" + "ff" * 256
"""The bloom of every Filecoin block."""
SAME_BLOOMS = 4
"""Blocks with the same bloom, until a bloom that contradicts logs and receipts counts as constant."""
WHOLE_BLOOM_SINCE: Mapping[int, int] = {137: 80_084_800}
"""Polygon: below this block, blooms omit the logs of state syncs (PIP-74)."""

_place = itemgetter("transaction_index", "log_index")
_transaction = itemgetter("transaction_index")


class Completeness:
    """Judges the logs of one chain's blocks, and learns what its blooms prove; `verify` as in ChainConfig."""

    def __init__(self, chain_id: int, verify: str | None = None) -> None:
        self.constant_bloom: str | None = None
        """A bloom that is in every header, whatever the logs."""
        self._verify = verify or "bloom"
        self._whole_since = 0 if verify else WHOLE_BLOOM_SINCE.get(chain_id, 0)
        self._has_blooms = False
        """True after the first header with a bloom that proves something."""

    def learn(self, headers: Sequence[Header]) -> None:
        """Learn from headers whether the chain has blooms."""
        self._has_blooms = self._has_blooms or any(map(self.uses_bloom, headers))

    def uses_bloom(self, header: Header) -> bool:
        """Return whether a header's bloom is a proof; a zero bloom is not.

        Some chains write zero blooms into every header. If a zero bloom is right, there are no logs to prove.
        """
        return (
            self._verify in ("bloom", "receipts")
            and header.logs_bloom != self.constant_bloom
            and bloom_has_logs(header)
        )

    def needs_block(self, header: Header) -> bool:
        """Return whether only the block itself shows that the node has it: without a bloom, `[]` does not."""
        return self._verify != "none" and not self.uses_bloom(header)

    def reason(self, header: Header, events: Sequence[Event], *, may_be_capped: bool = True) -> str:
        """Return why the block's events may be incomplete; empty if they are complete.

        `may_be_capped` is False for logs from receipts, which nodes do not truncate. They are also believed under
        a zero bloom.
        """
        if self._verify == "none":
            return ""
        beyond = header.number < self._whole_since
        if may_be_capped and events and self._has_blooms and not bloom_has_logs(header) and not beyond:
            return f"{len(events)} logs under a bloom of zeros"
        use_bloom = self.uses_bloom(header)
        return incompleteness_reason(
            header, events, use_bloom=use_bloom, may_be_capped=may_be_capped, beyond=beyond
        )

    def covers_bloom(self, header: Header, events: Sequence[Event]) -> bool:
        """Return whether events with distinct indices set all bits of a bloom, and perhaps others.

        False if the bloom proves nothing. A zero bloom proves on a chain with blooms that no log is expected.
        """
        if not (self.uses_bloom(header) or (self._has_blooms and header.bloom_is_zero)):
            return False
        distinct = len({event["log_index"] for event in events}) == len(events)
        return distinct and not int(header.logs_bloom or "0x0", 16) & ~_bloom_of(events)


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
    header: Header,
    events: Sequence[Event],
    *,
    use_bloom: bool,
    may_be_capped: bool = True,
    beyond: bool = False,
) -> str:
    """Return why the block's events may be incomplete; empty if they are complete.

    `may_be_capped` as in Completeness. `beyond` allows logs that the bloom omits.
    """
    if not _contiguous(events):
        return f"log indices are not 0 to {len(events) - 1}"
    if use_bloom and header.logs_bloom is not None:
        return _bloom_mismatch(int(header.logs_bloom, 16), events, beyond)
    if may_be_capped and looks_capped(len(events)):
        return f"exactly {len(events)} logs, probably truncated"
    return ""


def looks_capped(logs: int) -> bool:
    """Return whether nodes silently truncate results at this count: 1,000, 2,000, 5,000, 10,000 …"""
    return logs >= _MIN_CAP and logs % _ROUND == 0


def bloom_has_logs(header: Header) -> bool:
    """Return whether the bloom proves that the block has logs; a missing or zero bloom proves nothing."""
    return header.logs_bloom is not None and not header.bloom_is_zero


def is_constant_bloom(header: Header, others: Sequence[Header]) -> bool:
    """Return whether a header's bloom is that of all `others`, and they are enough to call it constant."""
    enough = 1 if header.logs_bloom == SATURATED_BLOOM else SAME_BLOOMS
    return len(others) >= enough and {other.logs_bloom for other in others} == {header.logs_bloom}


def _bloom_of(events: Sequence[Event]) -> int:
    values = {event["address"] for event in events}
    for event in events:
        values.update(event["topics"])
    return bloom.of_values(values)


def _bloom_mismatch(expected: int, events: Sequence[Event], beyond: bool) -> str:
    found = _bloom_of(events)
    if found == expected:
        return ""
    if expected & ~found:
        return f"{len(events)} logs do not make the header's bloom: some are missing"
    return "" if beyond else f"{len(events)} logs set bits that the header's bloom lacks"


def _contiguous(events: Sequence[Event]) -> bool:
    return [event["log_index"] for event in events] == list(range(len(events)))


def _contiguous_per_transaction(events: Sequence[Event]) -> bool:
    return all(_contiguous(list(logs)) for _, logs in groupby(events, key=_transaction))
