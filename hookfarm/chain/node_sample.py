"""Judgement of what a node sends: a sample of its blocks, an announced head, ranges, speed. Pure functions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from hookfarm.abi import bloom
from hookfarm.chain.block import Header, parse_header, parse_logs
from hookfarm.chain.completeness import in_order
from hookfarm.chain.head_signal import NOT_YET
from hookfarm.records import Event

OK, NOTE, PROBLEM = "ok", "note", "problem"
GOOD_RANGE = 1_000
_NO_PROOF = "proves nothing; log indices and, in doubt, receipts are the proof"


class Finding(NamedTuple):
    """One line of a report; `level` is OK, NOTE or PROBLEM. A problem means that the node does not fit."""

    level: str
    name: str
    found: str
    meaning: str


@dataclass
class NodeReport:
    """The findings about a node. `verify` is the setting that fits; None = the default."""

    chain_id: int | None = None
    verify: str | None = None
    requests: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def fits(self) -> bool:
        return all(finding.level != PROBLEM for finding in self.findings)


class BlockSample(NamedTuple):
    """A block with its logs from both sources, None = not served, and the hashes of the receipts' transactions."""

    header: Header
    transactions: frozenset[str]
    indices: Sequence[tuple[int, int]]
    """Transaction index and log index of each log, as the node sent them."""
    logs: list[Event] | None
    of_receipts: list[Event] | None
    with_receipt: frozenset[str]

    @property
    def events(self) -> list[Event]:
        return self.logs or self.of_receipts or []

    @property
    def has_repeated_indices(self) -> bool:
        return len({event["log_index"] for event in self.events}) < len(self.events)

    @property
    def bloom(self) -> int:
        """The header's bloom, 0 = none."""
        return int(self.header.logs_bloom or "0x0", 16)

    @property
    def bloom_of_logs(self) -> int:
        return bloom.of_values(value for event in self.events for value in (event["address"], *event["topics"]))


def sample_of(chain_id: int, raw: Any, logs: list[Any] | None, receipts: list[Any] | None) -> BlockSample:
    """Return a block as a sample. Raises ChainUnavailable, KeyError or TypeError for malformed parts."""
    header = parse_header(raw)
    events = None if logs is None else parse_logs(chain_id, header, logs)
    of_receipts, known = None, dict[str, Any]()
    if receipts is not None:
        known = {receipt["transactionHash"].lower(): receipt for receipt in receipts}
        found = [log for receipt in known.values() for log in receipt["logs"]]
        of_receipts = parse_logs(chain_id, header, found)
    sent = events if events is not None else of_receipts or []
    indices = [(event["transaction_index"], event["log_index"]) for event in sent]
    return BlockSample(
        header,
        frozenset(each.lower() for each in raw["transactions"]),
        sorted(indices),
        None if events is None else in_order(events)[0],
        None if of_receipts is None else in_order(of_receipts)[0],
        frozenset(known),
    )


def judge(samples: Sequence[BlockSample]) -> Iterator[Finding]:
    """Yield what the blocks show, ascending and at least one."""
    yield _links(samples)
    yield _bloom(samples)
    yield _indices(samples)
    yield from _sources(samples)
    yield from _system(samples)


def _links(samples: Sequence[BlockSample]) -> Finding:
    for before, after in pairwise(sample.header for sample in samples):
        if after.parent_hash != before.block_hash:
            found = f"block {after.number} does not name block {before.number} as its parent"
            return Finding(NOTE, "links", found, "a reorg during the check; if it stays, hookfarm waits there")
    return Finding(OK, "links", "each block names its parent", "gaps and reorgs are found")


def _bloom(samples: Sequence[BlockSample]) -> Finding:
    blooms = {sample.bloom for sample in samples}
    outside = sum(bool(sample.bloom_of_logs & ~sample.bloom) for sample in samples)
    more = sum(bool(sample.bloom & ~sample.bloom_of_logs) for sample in samples)
    if len(blooms) == 1 and len(samples) > 1 and blooms != {0}:
        return Finding(NOTE, "bloom", "the same in every header", _NO_PROOF)
    if more:
        found = f"{more} of {len(samples)} blooms name logs that the node does not return"
        return Finding(NOTE, "bloom", found, "incomplete results, or blooms with bits of reverted logs")
    if not any(sample.events for sample in samples):
        return Finding(NOTE, "bloom", "no logs in the sample", "unknown; --blocks takes a larger sample")
    if blooms == {0}:
        return Finding(NOTE, "bloom", "none, or zeros in every header", _NO_PROOF)
    if outside:
        found = f"omits logs of {outside} of {len(samples)} blocks"
        return Finding(NOTE, "bloom", found, "system logs: accepted where eth_getLogs and receipts agree")
    return Finding(OK, "bloom", f"fits the logs of {len(samples)} blocks", "proves that no log is missing")


def _indices(samples: Sequence[BlockSample]) -> Finding:
    wrong = [sample for sample in samples if not _contiguous(sample.indices)]
    if not wrong:
        return Finding(OK, "log indices", "0 to n", "a gap shows a missing log")
    if all(_contiguous(list(logs)) for sample in wrong for _, logs in groupby(sample.indices, itemgetter(0))):
        meaning = "hookfarm counts by position in the block"
        return Finding(NOTE, "log indices", "counted per transaction", meaning)
    found = f"not 0 to n in {len(wrong)} of {len(samples)} blocks"
    return Finding(NOTE, "log indices", found, "these blocks need both sources to agree, or an acceptance")


def _sources(samples: Sequence[BlockSample]) -> Iterator[Finding]:
    both = [sample for sample in samples if sample.logs is not None and sample.of_receipts is not None]
    differing = sum(sample.logs != sample.of_receipts for sample in both)
    if differing:
        found = f"differ in {differing} of {len(both)} blocks"
        yield Finding(NOTE, "logs and receipts", found, "the source that is proven complete is taken")
    elif both:
        yield Finding(OK, "logs and receipts", f"agree in {len(both)} blocks", "one can repair the other")


def _system(samples: Sequence[BlockSample]) -> Iterator[Finding]:
    """Yield what is outside the blocks' transactions, as that of the system is on some chains."""
    listed = [(sample, sample.transactions) for sample in samples]
    without = sum(bool(known - sample.with_receipt) for sample, known in listed if sample.of_receipts is not None)
    if without:
        found = f"missing for transactions of {without} of {len(samples)} blocks"
        yield Finding(NOTE, "receipts", found, "these blocks are proven by eth_getLogs and the bloom")
    logs = sum(any(event["transaction_hash"] not in known for event in sample.events) for sample, known in listed)
    if logs:
        found = f"of no listed transaction in {logs} of {len(samples)} blocks"
        yield Finding(NOTE, "logs", found, "system transactions: their logs are delivered like others")


def judge_proof(facts: Sequence[str], repaired: int, verify: str | None, doubt: str) -> Finding:
    """Judge the proof of a sample by `verify`; `doubt`: why a stronger value does not fit."""
    found = ", ".join([*facts, f"{repaired} repaired"] if repaired else facts)
    if verify in ("contiguous", "none"):
        found = f"{found}, only with verify={verify}: {doubt}"
        return Finding(NOTE, "proof", found, "a missing log may stay unseen")
    return Finding(OK, "proof", found, "no block is published with a log missing")


def judge_tag(tag: str, answer: Any, head: int) -> Finding:
    """Judge the result of the call for a tagged block, a refusal as a value."""
    if isinstance(answer, dict):
        below = max(0, head - parse_header(answer).number)
        return Finding(OK, tag, f"{below:,} blocks below the head", f"confirmations may be {tag}")
    young = answer is None or NOT_YET in str(answer)
    found = "no such block yet, or never" if young else f"not supported: {answer}"
    return Finding(NOTE, tag, found, f"for {tag}, deliveries wait for a number of blocks instead")


def judge_head(block: Any, announced: Any) -> Finding:
    """Compare an announced head with the block of its number."""
    names = ("hash", "parentHash", "logsBloom")
    other = [name for name in names if isinstance(block, dict) and block.get(name) != announced.get(name)]
    if other:
        found = f"announced with another {', '.join(other)} than the block's"
        return Finding(NOTE, "heads", found, "harmless: only the number of an announced head is used")
    return Finding(OK, "heads", "announced", "each block is read as soon as it is announced")


def judge_ranges(blocks: int, refusal: str, capped: int) -> Finding:
    """Judge the widest range of eth_getLogs that was served; `capped`: its logs if they look truncated."""
    if not blocks and not refusal:
        return Finding(NOTE, "ranges", "not tried: a short chain, or many logs", "unknown")
    found = f"{blocks:,} blocks served" + (f"; {refusal}" if refusal else "")
    if capped:
        found = f"{found}; exactly {capped:,} logs in one"
        return Finding(NOTE, "ranges", found, "probably truncated: smaller ranges are read")
    if refusal and blocks < GOOD_RANGE:
        return Finding(NOTE, "ranges", found, "a catch-up or backfill takes many requests")
    return Finding(OK, "ranges", found, "a catch-up reads many blocks at once")


def judge_speed(seconds: float, block_seconds: float, is_rate_limited: bool) -> Iterator[Finding]:
    """Judge the median time of a request by the time between blocks, and whether the rate limit was reached."""
    pace = f"a block every {block_seconds:,.1f} s" if block_seconds else "block time unknown"
    found = f"{seconds * 1000:,.0f} ms per request, {pace}"
    if seconds > block_seconds > 0:
        yield Finding(NOTE, "latency", found, "slower than the chain: hookfarm may fall behind")
    else:
        yield Finding(OK, "latency", found, "the least delay of an event")
    if is_rate_limited:
        yield Finding(
            NOTE, "rate limit", "reached during the check", "set requests_per_second to what the provider allows"
        )


def _contiguous(indices: Sequence[tuple[int, int]]) -> bool:
    return [index for _, index in indices] == list(range(len(indices)))
