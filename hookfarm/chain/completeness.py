"""Checks whether a node sent all logs of a block.

- Indices: the log indices of a block are contiguous from 0, so a log missing in the middle is detected.
- Bloom: the header's filter covers all addresses and topics. So a log missing at the end is detected, unless other
  logs set the same bits.

Together they miss only a final log whose address and topics occur elsewhere in the block.

Not every bloom proves that much. Some chains write the same bloom into all headers (zeros, or all ones), which
proves nothing. Some leave the logs of system transactions out of it: then it proves only that the other logs are
there. The chain's profile contains what is known; the rest is learned from headers.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from hookfarm.abi import bloom
from hookfarm.chain.block import Header
from hookfarm.chain.profiles import Bloom, Learned, profile_of
from hookfarm.records import Event

_ROUND = 500
_MIN_CAP = 1_000
SATURATED_BLOOM = "0x" + "ff" * 256
"""The bloom of every Filecoin block."""
SAME_BLOOMS = 4
"""Blocks with the same bloom, until a bloom that contradicts logs and receipts counts as constant."""

_place = itemgetter("transaction_index", "log_index")
_transaction = itemgetter("transaction_index")


class Completeness:
    """Judges the logs of one chain's blocks, and learns what its blooms prove; `verify` as in ChainConfig."""

    def __init__(self, chain_id: int, verify: str | None = None) -> None:
        self.constant_bloom: str | None = None
        """A bloom that is in every header, whatever the logs."""
        self._verify = verify or "bloom"
        self._profile = profile_of(chain_id)
        self._receipts_have_all = self._profile.receipts != "without system logs"
        self._has_blooms = False
        """True after the first header with a bloom that proves something."""

    @property
    def learned(self) -> Learned:
        """What was learned about the chain's blooms."""
        if self.constant_bloom is not None:
            return Learned.CONSTANT
        return Learned.USED if self._has_blooms else Learned.NOTHING

    def learn(self, headers: Sequence[Header]) -> None:
        """Learn from headers whether the chain has blooms."""
        self._has_blooms = self._has_blooms or any(
            self.uses_bloom(header) and bloom_has_logs(header) for header in headers
        )

    def uses_bloom(self, header: Header) -> bool:
        """Return whether a header's bloom is a proof.

        Some chains write zero blooms into every header. So a zero bloom proves that there are no logs only on a
        chain whose blooms are known to be whole.
        """
        bloom = self._bloom(header)
        if bloom is Bloom.WHOLE:
            return header.logs_bloom is not None
        return bloom is not Bloom.NONE and header.logs_bloom != self.constant_bloom and bloom_has_logs(header)

    def needs_block(self, header: Header) -> bool:
        """Return whether only the block itself shows that the node has it: without a bloom, `[]` does not."""
        return self._verify != "none" and not self.uses_bloom(header)

    def in_order(self, events: Sequence[Event]) -> list[Event]:
        """Return the events of one block in the order of the block; numbered by it if the indices are wrong."""
        if not self._profile.wrong_indices:
            return in_order(events)
        ordered = sorted(events, key=_transaction)
        for place, event in enumerate(ordered):
            event["log_index"] = place
        return ordered

    def reason(self, header: Header, events: Sequence[Event], *, may_be_capped: bool = True) -> str:
        """Return why the block's events may be incomplete; empty if they are complete.

        `may_be_capped` is False for logs from receipts, which nodes do not truncate. They are also believed under
        a zero bloom.
        """
        if self._verify == "none":
            return ""
        bloom = self._bloom(header)
        if bloom is Bloom.WHOLE and header.logs_bloom is None:
            return "the header lacks its bloom"
        beyond = bloom is Bloom.PARTIAL and not self._receipts_have_all
        if may_be_capped and events and self._proves_no_logs(header) and not beyond:
            return f"{len(events)} logs under a bloom of zeros"
        use_bloom = self.uses_bloom(header)
        return incompleteness_reason(
            header, events, use_bloom=use_bloom, may_be_capped=may_be_capped, beyond=beyond
        )

    def covers_bloom(self, header: Header, events: Sequence[Event]) -> bool:
        """Return whether events with distinct indices set all bits of a bloom, and perhaps others.

        False if the bloom proves nothing, or if it is whole and lacks bits. A zero bloom proves on a chain with
        blooms that no log is expected.
        """
        if not (self.uses_bloom(header) or (self._proves_no_logs(header) and header.bloom_is_zero)):
            return False
        distinct = len({event["log_index"] for event in events}) == len(events)
        expected, found = int(header.logs_bloom or "0x0", 16), _bloom_of(events)
        return distinct and (expected == found if self._is_whole(header) else not expected & ~found)

    def may_be_constant(self, header: Header) -> bool:
        """Return whether a bloom that contradicts logs and receipts may be one that proves nothing."""
        return self.uses_bloom(header) and not self._is_whole(header)

    def _proves_no_logs(self, header: Header) -> bool:
        """Return whether no logs are expected, because the chain has blooms and this one is zero or missing."""
        bloom = self._bloom(header)
        has_blooms = bloom in (Bloom.WHOLE, Bloom.PARTIAL) or (bloom is Bloom.UNKNOWN and self._has_blooms)
        return has_blooms and not bloom_has_logs(header)

    def _is_whole(self, header: Header) -> bool:
        return self._bloom(header) is Bloom.WHOLE

    def _bloom(self, header: Header) -> Bloom:
        """Return what the header's bloom is known to prove; nothing if `verify` ignores it."""
        uses = self._verify in ("bloom", "receipts")
        return self._profile.bloom_at(header.number) if uses else Bloom.NONE


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
    return all(event["log_index"] == place for place, event in enumerate(events))


def _contiguous_per_transaction(events: Sequence[Event]) -> bool:
    return all(_contiguous(list(logs)) for _, logs in groupby(events, key=_transaction))
