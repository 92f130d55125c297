"""The `eth_*`, `net_*` and `web3_*` methods, one row and one function each, and WebSocket subscriptions.

Arguments are checked as in geth: missing and extra ones are refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import Any

from hookfarm.devchain.block import DevBlock
from hookfarm.devchain.chain import Reorg
from hookfarm.devchain.encoding import to_quantity
from hookfarm.devchain.node import DevNode
from hookfarm.devchain.queries import (
    LaggedChain,
    LogFilter,
    any_block,
    get_logs,
    hash_argument,
    log_filter_argument,
    number_argument,
    view_of,
)
from hookfarm.devchain.rpc_errors import (
    METHOD_NOT_FOUND,
    NULL_ROUND,
    PRUNED_HISTORY,
    SERVER_ERROR,
    RpcError,
    invalid_argument,
    invalid_params,
)
from hookfarm.devchain.serializers import (
    JsonObject,
    altered_header,
    altered_logs,
    block_json,
    header_json,
    logs_json,
    receipts_json,
    removed_logs_json,
    system_transactions,
    transaction_json,
)
from hookfarm.devchain.transaction import BASE_FEE_PER_GAS

_ids = count(1)


class Subscriptions:
    """The subscriptions of one WebSocket.

    Register `announce` as a listener of the node. `send` gets each notification; `show` converts a block to a
    head.
    """

    def __init__(
        self, send: Callable[[JsonObject], None], show: Callable[[DevBlock], JsonObject] = header_json
    ) -> None:
        self._send = send
        self._show = show
        self._heads: set[str] = set()
        self._logs: dict[str, LogFilter] = {}

    def subscribe(self, kind: object, criteria: Any = None) -> str:
        subscription = f"0x{next(_ids):032x}"
        if kind == "newHeads":
            self._heads.add(subscription)
        elif kind == "logs":
            criteria = {} if criteria is None else criteria
            if not isinstance(criteria, dict):
                raise invalid_argument(1, "json: cannot unmarshal non-object into a filter")
            self._logs[subscription] = log_filter_argument(1, criteria)
        else:
            raise RpcError(METHOD_NOT_FOUND, f'no "{kind}" subscription in eth namespace')
        return subscription

    def unsubscribe(self, subscription: object) -> bool:
        if not isinstance(subscription, str):
            raise invalid_argument(0, "json: cannot unmarshal non-string into an ID")
        if subscription in self._heads:
            self._heads.remove(subscription)
        elif self._logs.pop(subscription, None) is None:
            raise RpcError(SERVER_ERROR, "subscription not found")
        return True

    def announce(self, heads: Sequence[DevBlock], change: Reorg) -> None:
        """Send notifications in geth's order: removed logs, added logs, heads."""
        for subscription, log_filter in self._logs.items():
            for log in log_filter.select(_changed_logs(change)):
                self._notify(subscription, log)
        for block in heads if self._heads else ():
            header = self._show(block)
            for subscription in self._heads:
                self._notify(subscription, header)

    def _notify(self, subscription: str, result: JsonObject) -> None:
        params = {"subscription": subscription, "result": result}
        self._send({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})


def _changed_logs(change: Reorg) -> list[JsonObject]:
    gone = [log for block in change.removed for log in removed_logs_json(block)]
    return gone + [log for block in change.added for log in logs_json(block)]


CLIENT_VERSION = "hookfarm-devchain/1"


@dataclass(frozen=True, slots=True)
class RpcMethod:
    """A JSON-RPC method: its handler and the number of its arguments.

    The handler takes a LaggedChain if `reads_chain`, else the DevNode, and then the arguments.
    """

    handler: Callable[..., Any]
    required: int = 0
    optional: int = 0
    reads_chain: bool = True


def reads_chain(method: object) -> bool:
    row = METHODS.get(method) if isinstance(method, str) else None
    return row is not None and row.reads_chain


def call_method(
    node: DevNode, method: str, params: list[Any], subscriptions: Subscriptions | None, lag: int = 0
) -> Any:
    """Return the result of one call; `subscriptions` is None for a transport without notifications."""
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


def _client_version(_node: DevNode) -> str:
    return CLIENT_VERSION


def _net_version(node: DevNode) -> str:
    return str(node.options.chain_id)


def _chain_id(node: DevNode) -> str:
    return to_quantity(node.options.chain_id)


def _syncing(_node: DevNode) -> bool:
    return False


def _accounts(_node: DevNode) -> list[str]:
    return []


def _gas_price(_node: DevNode) -> str:
    return to_quantity(BASE_FEE_PER_GAS)


def _block_number(view: LaggedChain) -> str:
    return to_quantity(view.head)


def _block_by_number(view: LaggedChain, number: Any, full: Any) -> JsonObject | None:
    fault = view.unsupported(number) if number in ("safe", "finalized") else None
    if fault and fault.text("shown") == "null":
        view.node.faults.use(fault)
        return None
    wanted = number_argument(view, 0, number)
    if number in ("0x0", "earliest"):
        wanted = _block_instead_of_0(view)
    fault = view.node.faults.active("pruned_history")
    if fault is not None and wanted < view.head - fault.number("blocks"):
        view.node.faults.use(fault)
        if fault.text("shown") == "error":
            raise RpcError(PRUNED_HISTORY, "pruned history unavailable")
        return None
    if view.is_null_round(wanted):
        raise RpcError(NULL_ROUND, f"requested epoch was a null round ({wanted})")
    return _shown_block(view.node, view.by_number(wanted), full)


def _block_instead_of_0(view: LaggedChain) -> int:
    fault = view.node.faults.take("no_block_0")
    if fault is None:
        return 0
    if fault.text("shown") == "pruned":
        raise RpcError(PRUNED_HISTORY, "pruned history unavailable")
    return 1 if fault.text("shown") == "block_1" else view.head


def _block_by_hash(view: LaggedChain, block_hash: Any, full: Any) -> JsonObject | None:
    return _shown_block(view.node, view.by_hash(hash_argument(0, block_hash)), full)


def _shown_block(node: DevNode, block: DevBlock | None, full: Any) -> JsonObject | None:
    full_transactions = _flag(1, full)
    if block is None:
        return None
    shown = block_json(block, node.options.chain_id, full_transactions=full_transactions)
    fault = node.faults.take("omitted_transactions") if full_transactions and block.transactions else None
    if fault:
        shown |= {"transactions": shown["transactions"][: -fault.number("transactions")]}
    system, how = system_transactions(node.faults, block)
    if how in ("unlisted", "block_hash"):
        shown |= {"transactions": shown["transactions"][:system]}
    return altered_header(node.faults, shown, block)


def _transaction_by_hash(view: LaggedChain, transaction_hash: Any) -> JsonObject | None:
    found = view.position(bytes.fromhex(hash_argument(0, transaction_hash)[2:]))
    if found is None:
        return None
    return transaction_json(*found, view.node.options.chain_id)


def _transaction_receipt(view: LaggedChain, transaction_hash: Any) -> JsonObject | None:
    found = view.position(bytes.fromhex(hash_argument(0, transaction_hash)[2:]))
    if found is None:
        return None
    block, index = found
    if index >= system_transactions(view.node.faults, block)[0] or _is_phantom(view.node, block, index):
        return None
    shown = _shown_receipt(view.node, receipts_json(view.node.faults, block)[index])
    view.node.logs_served += len(shown["logs"])
    return shown


def _is_phantom(node: DevNode, block: DevBlock, index: int) -> bool:
    """Return whether the transaction failed without a receipt."""
    fault = node.faults.active("leaked_logs")
    return bool(fault and fault.text("receipts") == "none" and block.transactions[index].call.fails)


def _block_receipts(view: LaggedChain, block_id: Any) -> list[JsonObject] | None:
    block = any_block(view, 0, block_id)
    if block is None:
        return None
    shown = [_shown_receipt(view.node, receipt) for receipt in _receipts(view.node, block)]
    view.node.logs_served += sum(len(receipt["logs"]) for receipt in shown)
    return shown


def _receipts(node: DevNode, block: DevBlock) -> list[JsonObject]:
    receipts = [
        receipt
        for index, receipt in enumerate(receipts_json(node.faults, block))
        if not _is_phantom(node, block, index)
    ]
    if receipts and node.faults.take("duplicate_receipts"):
        receipts.insert(0, receipts[0] | {"transactionIndex": to_quantity(len(block.transactions) + 1)})
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


def _shown_receipt(node: DevNode, receipt: JsonObject) -> JsonObject:
    return receipt | {"logs": altered_logs(node.faults, receipt["logs"])}


def _flag(position: int, value: Any) -> bool:
    if not isinstance(value, bool):
        raise invalid_argument(position, "json: cannot unmarshal non-boolean into a bool")
    return value


METHODS: Mapping[str, RpcMethod] = MappingProxyType(
    {
        "web3_clientVersion": RpcMethod(_client_version, reads_chain=False),
        "net_version": RpcMethod(_net_version, reads_chain=False),
        "eth_chainId": RpcMethod(_chain_id, reads_chain=False),
        "eth_syncing": RpcMethod(_syncing, reads_chain=False),
        "eth_accounts": RpcMethod(_accounts, reads_chain=False),
        "eth_gasPrice": RpcMethod(_gas_price, reads_chain=False),
        "eth_blockNumber": RpcMethod(_block_number),
        "eth_getBlockByNumber": RpcMethod(_block_by_number, required=2),
        "eth_getBlockByHash": RpcMethod(_block_by_hash, required=2),
        "eth_getTransactionByHash": RpcMethod(_transaction_by_hash, required=1),
        "eth_getTransactionReceipt": RpcMethod(_transaction_receipt, required=1),
        "eth_getBlockReceipts": RpcMethod(_block_receipts, required=1),
        "eth_getLogs": RpcMethod(get_logs, required=1),
    }
)
