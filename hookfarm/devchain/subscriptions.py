"""`eth_subscribe` of one WebSocket: which heads and logs it wants, and how they are announced."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from hookfarm.devchain.block import Block
from hookfarm.devchain.chain import Reorg
from hookfarm.devchain.log_filter import LogFilter
from hookfarm.devchain.log_query import log_filter_argument
from hookfarm.devchain.rpc_errors import METHOD_NOT_FOUND, SERVER_ERROR, RpcError, invalid_argument
from hookfarm.devchain.serializers import JsonObject, header_json, logs_json, removed_logs_json

_ids = count(1)


class Subscriptions:
    """Give `announce` to the node as a listener; `send` gets each notification, `show` makes a head of a block."""

    def __init__(
        self, send: Callable[[JsonObject], None], show: Callable[[Block], JsonObject] = header_json
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

    def announce(self, heads: Sequence[Block], change: Reorg) -> None:
        """In geth's order: the logs taken back, the logs that came, the heads."""
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
