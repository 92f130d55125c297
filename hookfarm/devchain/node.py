"""The node: a chain with its faults, its counters and those who listen to its heads.

Everything here runs on one thread, the one of the server's event loop.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hookfarm.devchain.block import Block
from hookfarm.devchain.chain import MAX_BLOCKS_AT_ONCE, Chain, Reorg
from hookfarm.devchain.fault_kinds import Value
from hookfarm.devchain.faults import Fault, Faults
from hookfarm.devchain.options import DevchainOptions
from hookfarm.devchain.transaction import Call
from hookfarm.errors import InvalidInput

Listener = Callable[[Sequence[Block], Reorg], None]
"""Called with the heads to announce, and with what changed (`removed` is empty for a block)."""

Watcher = Callable[[Reorg], None]
"""Called with what changed, whatever the node announces of it."""


class Node:
    """Its verbs are those that the control methods and the tests use."""

    def __init__(
        self, options: DevchainOptions, clock: Callable[[], float] = time.time, chain: Chain | None = None
    ) -> None:
        self.options = options
        self.chain = chain or Chain(options)
        self.peers: list[Node] = []
        """Other nodes of the same chain, which announce what this one does to it."""
        self.faults = Faults()
        self.paused = False
        self.requests_by_method: Counter[str] = Counter()
        self.transport_requests: Counter[str] = Counter()
        self.listeners: set[Listener] = set()
        self.watchers: list[Watcher] = []
        self.connections: set[Callable[[], None]] = set()
        self._clock = clock
        self._held_back: list[Block] = []
        self._left: str | None = None

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
        self._left = change.removed[-1].hash
        self._announce(change)
        return change

    def switch_to(self, block_hash: str) -> Reorg:
        """As `Chain.switch_to`, announced as any reorg."""
        change = self.chain.switch_to(block_hash)
        if change.removed:
            self._left = change.removed[-1].hash
        self._announce(change)
        return change

    def change_before(self, method: str) -> None:
        """The reorgs that a fault has happen just before a method is answered."""
        fault = self.faults.take("reorg_on_call", method)
        if fault:
            depth = min(fault.number("depth"), self.chain.deepest_reorg())
            self.reorg(depth, length=depth + fault.number("more"))
        if self._left is not None and self.faults.take("return_on_call", method):
            self.switch_to(self._left)

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
        for watcher in self.watchers:
            watcher(change)
        self._tell(change)
        for peer in self.peers:
            peer._tell(change)

    def _tell(self, change: Reorg) -> None:
        heads = self._in_order([block for block in change.added for _ in range(self._announcements())])
        if self.faults.active("silence"):
            return
        for listener in list(self.listeners):
            listener(heads, change)

    def _in_order(self, heads: list[Block]) -> list[Block]:
        """The heads to announce now: one held back comes after its successor."""
        if heads and not self._held_back and self.faults.take("swapped_heads"):
            self._held_back = heads[:1]
            heads = heads[1:]
        if heads and self._held_back:
            heads = [heads[0], *self._held_back, *heads[1:]]
            self._held_back = []
        return heads

    def _announcements(self) -> int:
        if self.faults.take("dropped_heads"):
            return 0
        return 2 if self.faults.take("duplicated_heads") else 1
