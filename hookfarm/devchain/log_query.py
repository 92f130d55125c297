"""`eth_getLogs`, with the refusals and omissions of the faults that concern it."""

from typing import Any

from hookfarm.devchain.block import Block
from hookfarm.devchain.block_access import View, hash_argument, number_argument
from hookfarm.devchain.faults import Fault
from hookfarm.devchain.log_filter import LogFilter, parse_log_filter
from hookfarm.devchain.quirks import disguised_logs
from hookfarm.devchain.refusals import refusal
from hookfarm.devchain.rpc_errors import SERVER_ERROR, RpcError, invalid_argument, invalid_params
from hookfarm.devchain.serializers import JsonObject, logs_json


def get_logs(view: View, criteria: object) -> list[JsonObject]:
    """A block by its hash, even an orphaned one, or a range whose ends default to latest."""
    if not isinstance(criteria, dict):
        raise invalid_argument(0, "json: cannot unmarshal non-object into a filter")
    log_filter = log_filter_argument(0, criteria)
    if criteria.get("blockHash") is not None:
        block = _block_of_hash(view, criteria)
        first = last = block.number
        logs = log_filter.select(logs_json(block))
    else:
        first, last = _range(view, criteria)
        logs = _logs_of_range(view, first, last, log_filter)
    _refuse_many(view, logs, first, last)
    return disguised_logs(view.node.faults, _cap(view, _omit(view, logs)))


def log_filter_argument(position: int, criteria: dict[str, Any]) -> LogFilter:
    try:
        return parse_log_filter(criteria)
    except ValueError as problem:
        raise invalid_argument(position, problem) from problem


def _block_of_hash(view: View, criteria: dict[str, Any]) -> Block:
    if criteria.get("fromBlock") is not None or criteria.get("toBlock") is not None:
        raise invalid_argument(0, "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other")
    block = view.by_hash(hash_argument(0, criteria["blockHash"]))
    if block is None:
        raise RpcError(SERVER_ERROR, "unknown block")
    return block


def _range(view: View, criteria: dict[str, Any]) -> tuple[int, int]:
    first, last = (
        number_argument(view, 0, "latest" if criteria.get(end) is None else criteria[end])
        for end in ("fromBlock", "toBlock")
    )
    last = _within_head(view, last)
    if first > last:
        raise invalid_params("invalid block range params")
    _refuse_long(view, first, last)
    return first, last


def _logs_of_range(view: View, first: int, last: int, log_filter: LogFilter) -> list[JsonObject]:
    logs: list[JsonObject] = []
    for number in range(first, last + 1):
        block = view.by_number(number)
        if block is not None:
            logs += log_filter.select(logs_json(block))
    return logs


def _within_head(view: View, last: int) -> int:
    """execution-apis: a range beyond the head is refused, never answered in part."""
    if last <= view.head:
        return last
    if view.node.faults.take("clamped_ranges"):
        return view.head
    raise invalid_params("block range extends beyond current head block")


def _refuse_long(view: View, first: int, last: int) -> None:
    fault = view.node.faults.active("refused_ranges")
    if fault and last - first + 1 > fault.number("blocks"):
        view.node.faults.use(fault)
        raise _refusal(fault, first, last)


def _refuse_many(view: View, logs: list[JsonObject], first: int, last: int) -> None:
    fault = view.node.faults.active("refused_results")
    if fault and len(logs) > fault.number("logs"):
        view.node.faults.use(fault)
        raise _refusal(fault, first, last)


def _refusal(fault: Fault, first: int, last: int) -> RpcError:
    return refusal(fault.text("words"), fault.number("code"), fault.text("message"), first, last)


def _omit(view: View, logs: list[JsonObject]) -> list[JsonObject]:
    fault = view.node.faults.take("omitted_logs") if logs else None
    if fault is None:
        return logs
    if fault.text("where") == "first":
        return logs[fault.number("logs") :]
    return logs[: max(0, len(logs) - fault.number("logs"))]


def _cap(view: View, logs: list[JsonObject]) -> list[JsonObject]:
    fault = view.node.faults.active("capped_results")
    if fault is None or len(logs) <= fault.number("logs"):
        return logs
    view.node.faults.use(fault)
    return logs[: fault.number("logs")]
