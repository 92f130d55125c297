"""The `eth_*`, `net_*` and `web3_*` methods: one row each, one function each.

Arguments are checked the way geth checks them: too many and missing ones are refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hookfarm.devchain.block import Block
from hookfarm.devchain.block_access import (
    View,
    any_block,
    hash_argument,
    number_argument,
    view_of,
)
from hookfarm.devchain.header import BASE_FEE_PER_GAS
from hookfarm.devchain.hex_values import quantity
from hookfarm.devchain.log_query import get_logs
from hookfarm.devchain.node import Node
from hookfarm.devchain.quirks import disguised_header, disguised_logs
from hookfarm.devchain.rpc_errors import (
    METHOD_NOT_FOUND,
    RpcError,
    invalid_argument,
    invalid_params,
)
from hookfarm.devchain.serializers import JsonObject, block_json, receipt_json, transaction_json
from hookfarm.devchain.subscriptions import Subscriptions

CLIENT_VERSION = "hookfarm-devchain/1"


@dataclass(frozen=True, slots=True)
class Method:
    """The handler gets a View where `reads_chain`, else the Node, and then the arguments."""

    handler: Callable[..., Any]
    required: int = 0
    optional: int = 0
    reads_chain: bool = True


def reads_chain(method: object) -> bool:
    row = METHODS.get(method) if isinstance(method, str) else None
    return row is not None and row.reads_chain


def call_method(
    node: Node, method: str, params: list[Any], subscriptions: Subscriptions | None, lag: int = 0
) -> Any:
    """The result of one call; `subscriptions` is None where the transport cannot carry them."""
    if method in ("eth_subscribe", "eth_unsubscribe"):
        return _call_subscription(method, params, subscriptions)
    row = METHODS.get(method)
    if row is None:
        raise RpcError(METHOD_NOT_FOUND, f"the method {method} does not exist/is not available")
    _check_count(params, row.required, row.optional)
    return row.handler(view_of(node, lag) if row.reads_chain else node, *params)


def _call_subscription(method: str, params: list[Any], subscriptions: Subscriptions | None) -> Any:
    if subscriptions is None:
        raise RpcError(METHOD_NOT_FOUND, "notifications not supported")
    if method == "eth_subscribe":
        _check_count(params, 1, 1)
        return subscriptions.subscribe(*params)
    _check_count(params, 1, 0)
    return subscriptions.unsubscribe(params[0])


def _check_count(params: list[Any], required: int, optional: int) -> None:
    if len(params) < required:
        raise invalid_params(f"missing value for required argument {len(params)}")
    if len(params) > required + optional:
        raise invalid_params(f"too many arguments, want at most {required + optional}")


def _client_version(_node: Node) -> str:
    return CLIENT_VERSION


def _net_version(node: Node) -> str:
    return str(node.options.chain_id)


def _chain_id(node: Node) -> str:
    return quantity(node.options.chain_id)


def _syncing(_node: Node) -> bool:
    return False


def _accounts(_node: Node) -> list[str]:
    return []


def _gas_price(_node: Node) -> str:
    return quantity(BASE_FEE_PER_GAS)


def _block_number(view: View) -> str:
    return quantity(view.head)


def _block_by_number(view: View, number: Any, full: Any) -> JsonObject | None:
    return _shown_block(view.node, view.by_number(number_argument(view, 0, number)), full)


def _block_by_hash(view: View, block_hash: Any, full: Any) -> JsonObject | None:
    return _shown_block(view.node, view.by_hash(hash_argument(0, block_hash)), full)


def _shown_block(node: Node, block: Block | None, full: Any) -> JsonObject | None:
    full_transactions = _flag(1, full)
    if block is None:
        return None
    shown = block_json(block, node.options.chain_id, full_transactions=full_transactions)
    fault = node.faults.take("omitted_transactions") if full_transactions and block.transactions else None
    if fault:
        shown |= {"transactions": shown["transactions"][: -fault.number("transactions")]}
    return disguised_header(node.faults, shown)


def _transaction_by_hash(view: View, transaction_hash: Any) -> JsonObject | None:
    place = view.node.chain.position(bytes.fromhex(hash_argument(0, transaction_hash)[2:]))
    if place is None or place[0].number > view.head:
        return None
    return transaction_json(*place, view.node.options.chain_id)


def _transaction_receipt(view: View, transaction_hash: Any) -> JsonObject | None:
    place = view.node.chain.position(bytes.fromhex(hash_argument(0, transaction_hash)[2:]))
    if place is None or place[0].number > view.head:
        return None
    return receipt_json(*place)


def _block_receipts(view: View, block_id: Any) -> list[JsonObject] | None:
    block = any_block(view, 0, block_id)
    if block is None:
        return None
    return [_shown_receipt(view.node, receipt) for receipt in _receipts(view.node, block)]


def _receipts(node: Node, block: Block) -> list[JsonObject]:
    receipts = [receipt_json(block, index) for index in range(len(block.transactions))]
    omitted = node.faults.take("omitted_receipts") if receipts else None
    if omitted:
        del receipts[-omitted.number("receipts") :]
    fault = node.faults.take("omitted_receipt_logs") if block.log_count else None
    left_out = fault.number("logs") if fault else 0
    for index in reversed(range(len(receipts))):
        logs = receipts[index]["logs"]
        kept = logs[: max(0, len(logs) - left_out)]
        left_out -= len(logs) - len(kept)
        receipts[index] = receipts[index] | {"logs": kept}
    return receipts


def _shown_receipt(node: Node, receipt: JsonObject) -> JsonObject:
    return receipt | {"logs": disguised_logs(node.faults, receipt["logs"])}


def _flag(position: int, value: Any) -> bool:
    if not isinstance(value, bool):
        raise invalid_argument(position, "json: cannot unmarshal non-boolean into a bool")
    return value


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "web3_clientVersion": Method(_client_version, reads_chain=False),
        "net_version": Method(_net_version, reads_chain=False),
        "eth_chainId": Method(_chain_id, reads_chain=False),
        "eth_syncing": Method(_syncing, reads_chain=False),
        "eth_accounts": Method(_accounts, reads_chain=False),
        "eth_gasPrice": Method(_gas_price, reads_chain=False),
        "eth_blockNumber": Method(_block_number),
        "eth_getBlockByNumber": Method(_block_by_number, required=2),
        "eth_getBlockByHash": Method(_block_by_hash, required=2),
        "eth_getTransactionByHash": Method(_transaction_by_hash, required=1),
        "eth_getTransactionReceipt": Method(_transaction_receipt, required=1),
        "eth_getBlockReceipts": Method(_block_receipts, required=1),
        "eth_getLogs": Method(get_logs, required=1),
    }
)
