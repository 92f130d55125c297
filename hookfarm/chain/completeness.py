"""Checks whether a node sent all logs of a block.

- Indices: the log indices of a block are contiguous from 0, so a log missing in the middle is detected.
- Bloom: the header's filter covers all addresses and topics. So a log missing at the end is detected, unless other
  logs set the same bits.

Together they miss only a final log whose address and topics occur elsewhere in the block.

Not every bloom proves that much. Some chains write the same bloom into all headers (zeros, or all ones), which
proves nothing. Some leave the logs of system transactions out of it: then it proves only that the other logs are
there. Some have bits of reverted logs in it: then it proves only that no other logs are there. The chain's profile
contains what is known; the rest is learned from headers.

A node may answer `[]` for a fresh block because its index lags. If no bloom disproves that, the block's receipts
do, unless it has no transactions.

Not all nodes count the logs of a block from 0. Indices are kept if they are distinct and both sources have them;
duplicate ones would give two events one identity, so they are replaced by the places in the block's receipts.
"""

from collections.abc import Callable, Sequence
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

_content = itemgetter("transaction_hash", "address", "data", "topics")
_index = itemgetter("log_index")
_place = itemgetter("transaction_index", "log_index")
_transaction = itemgetter("transaction_index")


class Completeness:
    """Judges the logs of one chain's blocks, and learns what its blooms prove; `verify` as in ChainConfig."""

    def __init__(self, chain_id: int, verify: str | None = None) -> None:
        self.constant_bloom: str | None = None
        """A bloom that is in every header, whatever the logs."""
        self.omits_logs = False
        """True if logs have been found outside the bloom; a bloom of zeros then proves nothing."""
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

    def may_be_constant(self, header: Header) -> bool:
        """Return whether a bloom that contradicts logs and receipts may be one that proves nothing."""
        return self.uses_bloom(header) and self._bloom(header) is not Bloom.WHOLE

    def needs_block(self, header: Header) -> bool:
        """Return whether only the block itself shows that the node has it: without a bloom, `[]` does not."""
        return self._verify != "none" and not self.uses_bloom(header)

    def needs_receipts(self, header: Header) -> bool:
        """Return whether only the receipts prove that a fresh block has no logs.

        The index of a node may lag behind its blocks. It then answers `[]`.
        """
        if self._verify == "none" or header.is_empty or self.uses_bloom(header):
            return False
        has_whole_blooms = self._contains_all(header) and self._has_blooms and not self.omits_logs
        return not (has_whole_blooms and header.bloom_is_zero)

    def in_order(self, events: Sequence[Event]) -> tuple[list[Event], bool]:
        """Return the events of one block in its order, and whether they got new indices."""
        if not self._profile.wrong_indices:
            return in_order(events)
        ordered = sorted(events, key=_transaction)
        return (ordered, False) if _contiguous(ordered) else (numbered(ordered), True)

    def reason(self, header: Header, events: Sequence[Event], *, may_be_capped: bool = True) -> str:
        """Return why the block's events may be incomplete; empty if they are complete.

        `may_be_capped` is False for logs from receipts, which nodes do not truncate. They are also believed under
        a zero bloom.
        """
        if self._verify == "none":
            return "" if _are_distinct(events) else "log indices are not distinct"
        bloom = self._bloom(header)
        if bloom is Bloom.WHOLE and header.logs_bloom is None:
            return "the header lacks its bloom"
        beyond = bloom is Bloom.PARTIAL and not self._receipts_have_all
        if may_be_capped and events and self._expects_no_logs(header) and not beyond:
            return f"{len(events)} logs under a bloom of zeros"
        use_bloom = self.uses_bloom(header)
        return incompleteness_reason(
            header, events, use_bloom=use_bloom, may_be_capped=may_be_capped, beyond=beyond
        )

    def covers_bloom(self, header: Header, events: Sequence[Event]) -> bool:
        """Return whether events set all bits of a bloom, and perhaps others.

        False if the bloom proves nothing, or if it is whole and lacks bits. A zero bloom proves on a chain with
        blooms that no log is expected.
        """
        if not (self.uses_bloom(header) or (self._expects_no_logs(header) and header.bloom_is_zero)):
            return False
        expected, found = _bits(header), _bloom_of(events)
        return expected == found if self._bloom(header) is Bloom.WHOLE else not expected & ~found

    def goes_beyond_bloom(self, header: Header, events: Sequence[Event]) -> bool:
        """Return whether events cover a bloom, and set bits that it lacks."""
        return self.covers_bloom(header, events) and _bits(header) != _bloom_of(events)

    def accepts_agreed(
        self, header: Header, events: Sequence[Event], *, has_absent: bool, has_reverts: bool
    ) -> bool:
        """Return whether events on which both sources agree are complete, as far as the bloom shows.

        `has_absent`: transactions lack a receipt, which only a bloom can replace. `has_reverts`: transactions have
        failed or lack a receipt. Without a bloom, an index beyond the number of logs shows that some are missing.
        """
        if self.covers_bloom(header, events):
            return not (has_absent and self.goes_beyond_bloom(header, events))
        bloom = self._bloom(header)
        if bloom is Bloom.SUPERSET and header.logs_bloom is not None:
            return has_reverts and not _bloom_of(events) & ~_bits(header)
        if bloom is Bloom.WHOLE or has_absent or self.uses_bloom(header):
            return False
        return self._verify == "none" or all(event["log_index"] < len(events) for event in events)

    def without_logs_of(self, headers: Sequence[Header], may_have: Callable[[int], bool]) -> frozenset[int]:
        """Return the numbers of the blocks whose bloom proves that they have no log of a filter.

        `may_have` returns whether a bloom allows such logs. Equal blooms may be constant, so that two different
        ones are needed. A bloom of zeros is a proof only above a block with another bloom: some chains have blooms
        only since a certain block. That lowest block is never in the result, so its logs show what blooms contain.
        """
        containing = [each for each in headers if self._contains_all(each)]
        proving = [each for each in containing if self.uses_bloom(each) and bloom_has_logs(each)]
        if self._verify != "bloom" or len({each.logs_bloom for each in proving}) < 2:
            return frozenset()
        candidates = [each for each in containing if each.number > proving[0].number]
        usable = [each for each in candidates if each.bloom_is_zero or self.uses_bloom(each)]
        return frozenset(each.number for each in usable if not may_have(_bits(each)))

    def _contains_all(self, header: Header) -> bool:
        """Return whether the bloom contains all logs, as far as known."""
        return self._bloom(header) not in (Bloom.PARTIAL, Bloom.NONE)

    def _expects_no_logs(self, header: Header) -> bool:
        """Return whether no logs are expected, because the chain has blooms and this one is zero or missing."""
        bloom = self._bloom(header)
        has_blooms = bloom in (Bloom.WHOLE, Bloom.PARTIAL) or (bloom is not Bloom.NONE and self._has_blooms)
        return has_blooms and not bloom_has_logs(header)

    def _bloom(self, header: Header) -> Bloom:
        """Return what the header's bloom is known to prove; nothing if `verify` ignores it."""
        uses = self._verify in ("bloom", "receipts")
        return self._profile.bloom_at(header.number) if uses else Bloom.NONE


def in_order(events: Sequence[Event]) -> tuple[list[Event], bool]:
    """Return the events of one block in its order, and whether they got new indices.

    Some chains count logs per transaction (Stable). Duplicate indices would give two events one identity, so
    `log_index` becomes the place in the block. Events with other wrong indices are returned as they are.
    """
    ordered = sorted(events, key=_place)
    if _contiguous(ordered):
        return ordered, False
    if _contiguous_per_transaction(ordered):
        return numbered(ordered), True
    return list(events), False


def numbered(events: list[Event]) -> list[Event]:
    """Set the indices of one block's events to their places in the list, and return it."""
    for place, event in enumerate(events):
        event["log_index"] = place
    return events


def identified(logs: Sequence[Event], receipts: Sequence[Event]) -> list[Event]:
    """Return the events of a block's receipts in order, with indices that identify them.

    `logs` are the same ones from `eth_getLogs`.
    """
    own = sorted(receipts, key=_index)
    if _are_distinct(own) and own == sorted(logs, key=_index):
        return own
    return numbered([{**event} for event in receipts])


def same_indices(events: Sequence[Event], others: Sequence[Event]) -> bool:
    return sorted(map(_index, events)) == sorted(map(_index, others))


def same_logs(events: Sequence[Event], others: Sequence[Event]) -> bool:
    """Return whether both have the same logs, whatever their order and indices."""
    return len(events) == len(others) and sorted(map(_content, events)) == sorted(map(_content, others))


def _contiguous(events: Sequence[Event]) -> bool:
    return [event["log_index"] for event in events] == list(range(len(events)))


def distinct(events: Sequence[Event]) -> list[Event]:
    """Return the events of a block that is accepted without a proof, each with an identity of its own.

    Repeated logs are removed. If different logs have one index, `log_index` becomes the position in the block.
    """
    found: list[Event] = []
    for event in sorted(events, key=_place):
        if event not in found[-1:]:
            found.append(event)
    return found if _are_distinct(found) else numbered(found)


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
        return _bloom_mismatch(_bits(header), events, beyond)
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


def _bits(header: Header) -> int:
    return int(header.logs_bloom or "0x0", 16)


def _are_distinct(events: Sequence[Event]) -> bool:
    return len({event["log_index"] for event in events}) == len(events)


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


def _contiguous_per_transaction(events: Sequence[Event]) -> bool:
    return all(_contiguous(list(logs)) for _, logs in groupby(events, key=_transaction))
