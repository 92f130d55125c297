"""The JSON-RPC 2.0 envelope: messages, batches, notifications, errors, and the faults per call."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson

from hookfarm.devchain.control import PREFIX, call_control
from hookfarm.devchain.encoding import to_quantity
from hookfarm.devchain.faults import Fault
from hookfarm.devchain.methods import Subscriptions, call_method, reads_chain
from hookfarm.devchain.node import DevNode

MAX_BATCH = 1_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RpcMessage:
    """The unchecked calls of one HTTP body or WebSocket message."""

    calls: list[Any]
    is_batch: bool

    def is_control(self) -> bool:
        """Return whether all calls are control methods, which are exempt from faults."""
        return all(_is_control(call) for call in self.calls)


def parse_message(raw: bytes | str) -> RpcMessage:
    """Parse a message. Raises RpcError for an invalid message."""
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError as problem:
        raise RpcError(PARSE_ERROR, "parse error") from problem
    if not isinstance(content, list):
        return RpcMessage([content], is_batch=False)
    if not content:
        raise RpcError(INVALID_REQUEST, "empty batch")
    if len(content) > MAX_BATCH:
        raise RpcError(INVALID_REQUEST, "batch too large")
    return RpcMessage(content, is_batch=True)


async def answer(node: DevNode, message: RpcMessage, subscriptions: Subscriptions | None) -> Any:
    """Return the JSON of the response; None if all calls are notifications."""
    lag = _lag(node, message)
    answers = [await _answer_call(node, call, subscriptions, lag) for call in _answered_calls(node, message)]
    wanted = [each for each in answers if each is not None]
    if message.is_batch:
        return wanted or None
    return wanted[0] if wanted else None


@dataclass(frozen=True, slots=True)
class BatchRefusal:
    """The refusal of a whole batch; `response` is the JSON-RPC error, for a `how` that sends one."""

    how: str
    response: dict[str, Any]


def batch_refusal(node: DevNode, message: RpcMessage) -> BatchRefusal | None:
    """Return the refusal of the message by an active fault; None without one."""
    fault = _batch_fault(node, message, "refused_batches")
    if fault is None:
        return None
    return BatchRefusal(fault.text("how"), RpcError(fault.number("code"), fault.text("message")).response(None))


def _answered_calls(node: DevNode, message: RpcMessage) -> list[Any]:
    fault = _batch_fault(node, message, "shortened_batches")
    return message.calls if fault is None else message.calls[: fault.number("calls")]


def _batch_fault(node: DevNode, message: RpcMessage, kind: str) -> Fault | None:
    """Use an active fault that concerns batches of this size; None without one."""
    fault = node.faults.active(kind)
    if fault is None or not message.is_batch or message.is_control():
        return None
    if len(message.calls) <= fault.number("calls"):
        return None
    node.faults.use(fault)
    return fault


def _lag(node: DevNode, message: RpcMessage) -> int:
    """Return the lag of the answering node in blocks; a load balancer sends a batch to one node."""
    if not any(isinstance(call, dict) and reads_chain(call.get("method")) for call in message.calls):
        return 0
    fault = node.faults.take_one_in("lag")
    return fault.number("blocks") if fault else 0


async def _answer_call(
    node: DevNode, call: Any, subscriptions: Subscriptions | None, lag: int
) -> dict[str, Any] | None:
    request_id = call.get("id") if isinstance(call, dict) else None
    try:
        method, params = _checked(call)
        result = await _result(node, method, params, subscriptions, lag)
        response = {"jsonrpc": "2.0", "id": request_id, "result": result}
    except RpcError as problem:
        response = problem.response(request_id)
    except Exception:
        logger.exception("a call failed: %s", call)
        response = RpcError(INTERNAL_ERROR, "internal error").response(request_id)
    return None if _is_notification(call) else response


def _checked(call: Any) -> tuple[str, list[Any]]:
    if not isinstance(call, dict) or call.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, "invalid request")
    method, params = call.get("method"), call.get("params")
    if not isinstance(method, str) or isinstance(call.get("id"), dict | list | bool):
        raise RpcError(INVALID_REQUEST, "invalid request")
    if params is None:
        return method, []
    if not isinstance(params, list):
        raise RpcError(INVALID_PARAMS, "non-array args")
    return method, params


async def _result(
    node: DevNode, method: str, params: list[Any], subscriptions: Subscriptions | None, lag: int
) -> Any:
    node.requests_by_method[method] += 1
    if method.startswith(PREFIX):
        return call_control(node, method, params)
    latency = node.faults.take("latency", method)
    if latency:
        await asyncio.sleep(latency.number("milliseconds") / 1000)
    error = node.faults.take("error", method)
    if error:
        raise RpcError(error.number("code"), error.text("message"))
    if node.faults.take("nulls", method):
        return None
    node.apply_reorg_faults(method)
    return call_method(node, method, params, subscriptions, lag)


def _is_control(call: Any) -> bool:
    return isinstance(call, dict) and str(call.get("method")).startswith(PREFIX)


def _is_notification(call: Any) -> bool:
    """Return whether a call gets no response: it is valid and has no id. An invalid call gets an error."""
    if not isinstance(call, dict) or "id" in call:
        return False
    return call.get("jsonrpc") == "2.0" and isinstance(call.get("method"), str)


PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000
PRUNED_HISTORY = 4444
NULL_ROUND = 12
"""Filecoin: no block has this number."""


class RpcError(Exception):
    """A JSON-RPC error for the client."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def response(self, request_id: Any) -> dict[str, Any]:
        error = {"code": self.code, "message": self.message}
        return {"jsonrpc": "2.0", "id": request_id, "error": error}


def invalid_params(message: str) -> RpcError:
    return RpcError(INVALID_PARAMS, message)


def invalid_argument(position: int, problem: object) -> RpcError:
    """Return geth's error for an invalid argument; positions count from 0."""
    return RpcError(INVALID_PARAMS, f"invalid argument {position}: {problem}")


TOO_LARGE = 413

PROVIDER_ERRORS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "infura": (-32005, "query returned more than 10000 results. Try with this block range [{first}, {last}]."),
        "alchemy": (
            -32602,
            "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no "
            "limit on the response size, or you can request any block range with a cap of 10K logs in the "
            "response. Based on your parameters, this block range should work: [{first}, {last}]",
        ),
        "quicknode": (-32614, "eth_getLogs is limited to a 10,000 range"),
        "ankr": (-32600, "block range is too wide"),
        "drpc": (35, "ranges over 10000 blocks are not supported on freetier"),
        "erigon": (-32000, "query timed out"),
        "gateway": (TOO_LARGE, "Request Entity Too Large"),
    }
)


def range_error(provider: str, code: int, message: str, first: int, last: int) -> RpcError:
    """Return the error for a range: the provider's if known, else this code and message."""
    code, message = PROVIDER_ERRORS.get(provider, (code, message))
    return RpcError(code, message.format(first=to_quantity(first), last=to_quantity(last)))
