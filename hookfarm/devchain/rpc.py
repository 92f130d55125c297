"""The JSON-RPC 2.0 envelope: messages, batches, notifications, errors, and the faults per call."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import orjson

from hookfarm.devchain.control import PREFIX, call_control
from hookfarm.devchain.faults import Fault
from hookfarm.devchain.methods import Subscriptions, call_method, reads_chain
from hookfarm.devchain.node import DevNode
from hookfarm.devchain.rpc_errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    RpcError,
)

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
