"""The node: a chain with its faults, its counters and those who listen to its heads.

Everything here runs on one thread, the one of the server's event loop.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hookfarm.devchain.block import Block
from hookfarm.devchain.chain import MAX_BLOCKS_AT_ONCE, Chain, Reorg
from hookfarm.devchain.faults import Fault, Faults, Value
from hookfarm.devchain.options import DevchainOptions
from hookfarm.devchain.transaction import Call
from hookfarm.errors import InvalidInput

Listener = Callable[[Sequence[Block], Reorg], None]
"""Called with the heads to announce, and with what changed (`removed` is empty for a block)."""


class Node:
    """Its verbs are those that the control methods and the tests use."""

    def __init__(self, options: DevchainOptions, clock: Callable[[], float] = time.time) -> None:
        self.options = options
        self.chain = Chain(options)
        self.faults = Faults()
        self.paused = False
        self.requests_by_method: Counter[str] = Counter()
        self.transport_requests: Counter[str] = Counter()
        self.listeners: set[Listener] = set()
        self.connections: set[Callable[[], None]] = set()
        self._clock = clock

    def mine(self, count: int = 1) -> list[Block]:
        """`count` blocks of generated transfers, announced one by one."""
        if not 1 <= count <= MAX_BLOCKS_AT_ONCE:
            raise InvalidInput("count", f"{count}, allowed is 1 to {MAX_BLOCKS_AT_ONCE}")
        return [self._mine(None) for _ in range(count)]

    def mine_calls(self, calls: Sequence[Call]) -> Block:
        """One block with exactly these transactions."""
        return self._mine(calls)

    def reorg(
        self,
        depth: int,
        *,
        length: int | None = None,
        contents: Sequence[Sequence[Call]] = (),
        same_transactions: bool = False,
    ) -> Reorg:
        """As `Chain.reorg`; every added block is announced as a head, as geth does."""
        change = self.chain.reorg(
            depth,
            int(self._clock()),
            length=length,
            contents=contents,
            same_transactions=same_transactions,
        )
        self._announce(change)
        return change

    def set_fault(self, kind: str, /, count: int | None = None, **parameters: Value) -> Fault:
        """As `Faults.set`; a cut also drops the connections that are open."""
        fault = self.faults.set(kind, count, **parameters)
        if kind == "cut":
            self.drop_connections()
        return fault

    def drop_connections(self) -> int:
        """Resets every open WebSocket, without a close frame; the number of them."""
        open_ones = list(self.connections)
        for drop in open_ones:
            drop()
        return len(open_ones)

    def stats(self) -> dict[str, Any]:
        """`requests` counts HTTP requests and WebSocket messages, `methods` the calls in them.

        `transfers_emitted` counts every log mined, `transfers_canonical` without those that a reorg
        took back.
        """
        head = self.chain.head
        return {
            "chain_id": self.options.chain_id,
            "head": {"number": head.number, "hash": head.hash},
            "blocks": head.number,
            "transfers_emitted": self.chain.logs_mined,
            "transfers_canonical": self.chain.canonical_log_count,
            "paused": self.paused,
            "websockets": len(self.connections),
            "requests": dict(self.transport_requests),
            "methods": dict(self.requests_by_method),
            "faults": self.faults.listing(),
        }

    def _mine(self, calls: Sequence[Call] | None) -> Block:
        block = self.chain.mine(int(self._clock()), calls)
        self._announce(Reorg((), (block,)))
        return block

    def _announce(self, change: Reorg) -> None:
        heads = [block for block in change.added for _ in range(self._announcements())]
        if self.faults.active("silence"):
            return
        for listener in list(self.listeners):
            listener(heads, change)

    def _announcements(self) -> int:
        if self.faults.take("dropped_heads"):
            return 0
        return 2 if self.faults.take("duplicated_heads") else 1
