"""The `devchain_*` methods, by which another process controls the chain.

They are exempt from all faults, so that a silent or failing node can be repaired. Logs are objects with `address`,
`topics` and `data` in hex. Numbers are JSON numbers, not quantities.
"""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from types import MappingProxyType
from typing import Any

from hookfarm.devchain.block import DevBlock
from hookfarm.devchain.node import DevNode
from hookfarm.devchain.rpc_errors import METHOD_NOT_FOUND, RpcError, invalid_params
from hookfarm.devchain.serializers import JsonObject, logs_json, native_transfers_json
from hookfarm.devchain.transaction import Call, Log, account, call_of_logs
from hookfarm.errors import InvalidInput

PREFIX = "devchain_"

LOG_FIELDS = frozenset({"address", "topics", "data"})
REORG_OPTIONS = frozenset({"length", "logs", "same_transactions"})


def call_control(node: DevNode, method: str, params: list[Any]) -> Any:
    """Return the result of one control method. Raises RpcError for an invalid method or parameters."""
    handler = CONTROLS.get(method)
    if handler is None:
        raise RpcError(METHOD_NOT_FOUND, f"the method {method} does not exist/is not available")
    try:
        signature(handler).bind(node, *params)
    except TypeError as problem:
        raise invalid_params(f"{method}: {problem}") from problem
    try:
        return handler(node, *params)
    except InvalidInput as problem:
        raise invalid_params(f"{method}: {problem}") from problem


def calls_of(logs: Sequence[Log], per_transaction: int = 1) -> list[Call]:
    """Return calls that emit the logs in order, `per_transaction` in each (the last one may have fewer)."""
    if per_transaction < 1:
        raise InvalidInput("per_transaction", f"{per_transaction}; allowed is a number from 1")
    starts = range(0, len(logs), per_transaction)
    return [call_of_logs(logs[i : i + per_transaction], account(0)) for i in starts]


def _mine(node: DevNode, count: Any = 1) -> list[JsonObject]:
    return [_summary(block) for block in node.mine(_number("count", count))]


def _mine_logs(node: DevNode, logs: Any, per_transaction: Any = 1) -> JsonObject:
    calls = calls_of(_logs("logs", logs), _number("per_transaction", per_transaction))
    return _summary(node.mine_calls(calls))


def _reorg(node: DevNode, depth: Any, options: Any = None) -> JsonObject:
    options = _object("options", options)
    unknown = options.keys() - REORG_OPTIONS
    if unknown:
        raise InvalidInput("options", f"{min(unknown)} is unknown")
    length = options.get("length")
    blocks = _list("logs", options.get("logs", []))
    change = node.reorg(
        _number("depth", depth),
        length=None if length is None else _number("length", length),
        contents=[calls_of(_logs(f"logs[{i}]", logs)) for i, logs in enumerate(blocks)],
        same_transactions=bool(options.get("same_transactions", False)),
    )
    return {
        "removed": [_summary(block) for block in change.removed],
        "added": [_summary(block) for block in change.added],
    }


def _switch_to(node: DevNode, block_hash: Any) -> JsonObject:
    change = node.switch_to(str(block_hash))
    return {
        "removed": [_summary(block) for block in change.removed],
        "added": [_summary(block) for block in change.added],
    }


def _pause(node: DevNode) -> bool:
    node.paused = True
    return True


def _resume(node: DevNode) -> bool:
    node.paused = False
    return True


def _set_fault(node: DevNode, kind: Any, parameters: Any = None) -> list[dict[str, object]]:
    parameters = dict(_object("parameters", parameters))
    node.set_fault(kind, parameters.pop("count", None), **parameters)
    return node.faults.listing()


def _clear_faults(node: DevNode, kind: Any = None) -> list[dict[str, object]]:
    node.faults.clear(kind)
    return node.faults.listing()


def _drop_connections(node: DevNode) -> int:
    return node.drop_connections()


def _stats(node: DevNode) -> dict[str, Any]:
    return node.stats()


def _canonical_logs(node: DevNode) -> list[JsonObject]:
    return [log for block in node.chain.canonical_blocks() for log in logs_json(block)]


def _canonical_transfers(node: DevNode) -> list[JsonObject]:
    return [transfer for block in node.chain.canonical_blocks() for transfer in native_transfers_json(block)]


CONTROLS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "devchain_mine": _mine,
        "devchain_mineLogs": _mine_logs,
        "devchain_reorg": _reorg,
        "devchain_switchTo": _switch_to,
        "devchain_pause": _pause,
        "devchain_resume": _resume,
        "devchain_setFault": _set_fault,
        "devchain_clearFaults": _clear_faults,
        "devchain_dropConnections": _drop_connections,
        "devchain_canonicalLogs": _canonical_logs,
        "devchain_canonicalTransfers": _canonical_transfers,
        "devchain_stats": _stats,
    }
)


def _summary(block: DevBlock) -> JsonObject:
    return {"number": block.number, "hash": block.hash, "logs": block.log_count}


def _logs(field: str, value: Any) -> list[Log]:
    logs = []
    for index, entry in enumerate(_list(field, value)):
        try:
            logs.append(_log(entry))
        except InvalidInput as problem:
            raise problem.within(f"{field}[{index}]") from problem
    return logs


def _log(entry: Any) -> Log:
    entry = _object("log", entry)
    unknown = entry.keys() - LOG_FIELDS
    if unknown or "address" not in entry:
        raise InvalidInput("log", f"has {sorted(entry)}; allowed are address, topics and data")
    topics = _list("topics", entry.get("topics", []))
    return Log.parse(entry["address"], topics, entry.get("data", "0x"))


def _number(field: str, value: Any) -> int:
    if type(value) is not int:
        raise InvalidInput(field, f"{value!r}; allowed is a number")
    return value


def _list(field: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidInput(field, f"{value!r}; allowed is a list")
    return value


def _object(field: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(field, f"{value!r}; allowed is an object")
    return value
