"""Queries of the chain: blocks by tag, number or hash, with lag and pruning; and `eth_getLogs`.

Log filters have geth's semantics. `address`: one address or a list (empty = any). `topics` by position: null or an
empty list = any, one topic, or a list of alternatives. A log with fewer topics than positions never matches, even
if the extra positions are null. Faults refuse or omit logs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hookfarm.devchain.block import DevBlock, forged
from hookfarm.devchain.encoding import parse_data, parse_quantity, to_data
from hookfarm.devchain.faults import Fault
from hookfarm.devchain.node import DevNode
from hookfarm.devchain.rpc_errors import (
    PRUNED_HISTORY,
    SERVER_ERROR,
    RpcError,
    invalid_argument,
    invalid_params,
    range_error,
)
from hookfarm.devchain.serializers import JsonObject, altered_logs, logs_of_block
from hookfarm.devchain.transaction import MAX_TOPICS

HASH_CHARACTERS = 66


@dataclass(frozen=True, slots=True)
class LaggedChain:
    """The chain for one call, up to a head that a lag may put below the real one."""

    node: DevNode
    head: int

    def by_hash(self, block_hash: str) -> DevBlock | None:
        """Return a canonical or replaced block; the hash is lower-case hex. None if unknown."""
        return self._visible(self.node.chain.block_by_hash(block_hash))

    def by_number(self, number: int) -> DevBlock | None:
        return self._visible(self.node.chain.block(number))

    def number_of(self, tag_or_number: object) -> int:
        """Return the number of a tag or quantity; `pending` = `latest`. Raises ValueError for other input."""
        options = self.node.options
        match tag_or_number:
            case "latest" | "pending":
                return self.head
            case "earliest":
                return 0
            case "safe":
                return self._behind("safe", options.safe_distance)
            case "finalized":
                return self._behind("finalized", options.finalized_distance)
        return parse_quantity(tag_or_number)

    def unsupported(self, tag: str) -> Fault | None:
        """Return the active fault that makes a tag unsupported; None without one."""
        fault = self.node.faults.active("unsupported_tags")
        return fault if fault and fault.text("tag") in ("", tag) else None

    def _behind(self, tag: str, distance: int) -> int:
        fault = self.unsupported(tag)
        if fault:
            self.node.faults.use(fault)
            raise RpcError(fault.number("code"), fault.text("message"))
        return self.node.chain.at_or_below(max(0, self.head - distance)).number

    def is_null_round(self, number: int) -> bool:
        return 0 <= number <= self.head and self.node.chain.block(number) is None

    def _visible(self, block: DevBlock | None) -> DevBlock | None:
        if block is None or block.number > self.head:
            return None
        chain = self.node.chain
        if 0 < block.number < chain.first_with_body and chain.is_canonical(block.hash):
            raise RpcError(PRUNED_HISTORY, "pruned history unavailable")
        return self._shown(block)

    def _shown(self, block: DevBlock) -> DevBlock:
        fault = self.node.faults.active("forged_blocks")
        if fault is None:
            return block
        return forged(block, fault.text("forgery"), fault.text("header"))

    def position(self, transaction_hash: bytes) -> tuple[DevBlock, int] | None:
        """Return the canonical block with the transaction, and the transaction's index; None if unknown."""
        found = self.node.chain.position(transaction_hash)
        if found is None or found[0].number > self.head:
            return None
        block = self._shown(found[0])
        return (block, found[1]) if found[1] < len(block.transactions) else None


def view_of(node: DevNode, lag: int) -> LaggedChain:
    """Return the chain for a call, `lag` blocks behind."""
    return LaggedChain(node, node.chain.at_or_below(max(0, node.chain.head.number - lag)).number)


def hash_argument(position: int, value: object) -> str:
    """Return a 32-byte hash in lower case. Raises RpcError for an invalid one."""
    try:
        return to_data(parse_data(value, 32))
    except ValueError as problem:
        raise invalid_argument(position, problem) from problem


def number_argument(view: LaggedChain, position: int, value: object) -> int:
    try:
        return view.number_of(value)
    except ValueError as problem:
        raise invalid_argument(position, problem) from problem


def any_block(view: LaggedChain, position: int, value: Any) -> DevBlock | None:
    """Return the block of a tag, a number, a hash, or an EIP-1898 object; None if unknown."""
    if isinstance(value, dict):
        value = value.get("blockHash", value.get("blockNumber"))
    if isinstance(value, str) and len(value) == HASH_CHARACTERS:
        return view.by_hash(hash_argument(position, value))
    return view.by_number(number_argument(view, position, value))


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Filter of logs by addresses and topics in lower-case hex; an empty set matches everything."""

    addresses: frozenset[str]
    topics: tuple[frozenset[str], ...]

    @property
    def matches_all(self) -> bool:
        return not self.addresses and not any(self.topics)

    def matches(self, log: JsonObject) -> bool:
        if self.addresses and log["address"] not in self.addresses:
            return False
        if len(log["topics"]) < len(self.topics):
            return False
        return all(
            not allowed or topic in allowed for allowed, topic in zip(self.topics, log["topics"], strict=False)
        )

    def select(self, logs: Iterable[JsonObject]) -> list[JsonObject]:
        return [log for log in logs if self.matches(log)]


def parse_log_filter(criteria: dict[str, Any]) -> LogFilter:
    """Parse the filter object of a request. Raises ValueError with the reason."""
    addresses = criteria.get("address")
    topics = criteria.get("topics") or []
    if not isinstance(topics, list):
        raise ValueError("invalid topics: not a list")
    if len(topics) > MAX_TOPICS:
        raise ValueError("exceed max topics")
    return LogFilter(
        _alternatives("address", addresses, 20),
        tuple(_alternatives(f"topic {i}", topic, 32) for i, topic in enumerate(topics)),
    )


def _alternatives(name: str, value: object, length: int) -> frozenset[str]:
    if value is None:
        return frozenset()
    members = value if isinstance(value, list) else [value]
    if None in members:
        return frozenset()
    try:
        return frozenset(to_data(parse_data(member, length)) for member in members)
    except ValueError as problem:
        raise ValueError(f"invalid {name}: {problem}") from problem


def get_logs(view: LaggedChain, criteria: object) -> list[JsonObject]:
    """Return the logs of a block by hash, even a replaced one, or of a range (default: the latest block)."""
    if not isinstance(criteria, dict):
        raise invalid_argument(0, "json: cannot unmarshal non-object into a filter")
    log_filter = log_filter_argument(0, criteria)
    _refuse_wide(view, log_filter)
    if criteria.get("blockHash") is not None:
        block = _block_of_hash(view, criteria)
        first = last = block.number
        logs = log_filter.select(_indexed_logs(view, block))
    else:
        first, last = _range(view, criteria)
        logs = _logs_of_range(view, first, last, log_filter)
    _refuse_many(view, logs, first, last)
    shown = altered_logs(view.node.faults, _cap(view, _omit(view, logs, log_filter)))
    view.node.logs_served += len(shown)
    return shown


def log_filter_argument(position: int, criteria: dict[str, Any]) -> LogFilter:
    try:
        return parse_log_filter(criteria)
    except ValueError as problem:
        raise invalid_argument(position, problem) from problem


def _block_of_hash(view: LaggedChain, criteria: dict[str, Any]) -> DevBlock:
    if criteria.get("fromBlock") is not None or criteria.get("toBlock") is not None:
        raise invalid_argument(0, "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other")
    block = view.by_hash(hash_argument(0, criteria["blockHash"]))
    if block is None:
        raise RpcError(SERVER_ERROR, "unknown block")
    return block


def _range(view: LaggedChain, criteria: dict[str, Any]) -> tuple[int, int]:
    first, last = (
        number_argument(view, 0, "latest" if criteria.get(end) is None else criteria[end])
        for end in ("fromBlock", "toBlock")
    )
    last = _within_head(view, last)
    if first > last:
        raise invalid_params("invalid block range params")
    _refuse_long(view, first, last)
    return first, last


def _logs_of_range(view: LaggedChain, first: int, last: int, log_filter: LogFilter) -> list[JsonObject]:
    logs: list[JsonObject] = []
    for number in range(first, last + 1):
        block = view.by_number(number)
        if block is not None:
            logs += log_filter.select(_indexed_logs(view, block))
    return logs


def _indexed_logs(view: LaggedChain, block: DevBlock) -> list[JsonObject]:
    """Return the logs of a block; an empty list while the node's index lags behind its blocks."""
    fault = view.node.faults.active("lagging_index")
    is_fresh = fault is not None and block.number > view.head - fault.number("blocks")
    if fault is not None and is_fresh and fault.count(block.hash) <= fault.number("calls"):
        return []
    return logs_of_block(view.node.faults, block)


def _within_head(view: LaggedChain, last: int) -> int:
    """Return the range's last block. Raises RpcError beyond the head (execution-apis), unless a fault clamps."""
    if last <= view.head:
        return last
    if view.node.faults.take("clamped_ranges"):
        return view.head
    raise invalid_params("block range extends beyond current head block")


def _refuse_long(view: LaggedChain, first: int, last: int) -> None:
    fault = view.node.faults.active("refused_ranges")
    if fault and last - first + 1 > fault.number("blocks"):
        view.node.faults.use(fault)
        raise _refusal(fault, first, last)


def _refuse_wide(view: LaggedChain, log_filter: LogFilter) -> None:
    fault = view.node.faults.active("refused_filters")
    if fault and max(map(len, (log_filter.addresses, *log_filter.topics))) > fault.number("values"):
        view.node.faults.use(fault)
        raise RpcError(fault.number("code"), fault.text("message"))


def _refuse_many(view: LaggedChain, logs: list[JsonObject], first: int, last: int) -> None:
    fault = view.node.faults.active("refused_results")
    if fault and len(logs) > fault.number("logs"):
        view.node.faults.use(fault)
        raise _refusal(fault, first, last)


def _refusal(fault: Fault, first: int, last: int) -> RpcError:
    return range_error(fault.text("provider"), fault.number("code"), fault.text("message"), first, last)


def _omit(view: LaggedChain, logs: list[JsonObject], log_filter: LogFilter) -> list[JsonObject]:
    fault = view.node.faults.active("omitted_logs") if logs else None
    if fault is None or (fault.text("answers") == "filtered" and log_filter.matches_all):
        return logs
    view.node.faults.use(fault)
    if fault.text("where") == "first":
        return logs[fault.number("logs") :]
    return logs[: max(0, len(logs) - fault.number("logs"))]


def _cap(view: LaggedChain, logs: list[JsonObject]) -> list[JsonObject]:
    fault = view.node.faults.active("capped_results")
    if fault is None or len(logs) <= fault.number("logs"):
        return logs
    view.node.faults.use(fault)
    return logs[: fault.number("logs")]
