"""A node of the chain: the chain, its faults and counters, listeners to its heads, and mining by the clock.

Everything runs on one thread, the server's event loop.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hookfarm.devchain.block import DevBlock
from hookfarm.devchain.chain import MAX_BLOCKS_PER_CALL, DevChain, DevchainOptions, Reorg
from hookfarm.devchain.faults import Fault, Faults, FaultValue
from hookfarm.devchain.profiles import PROFILES
from hookfarm.devchain.transaction import Call
from hookfarm.errors import InvalidInput

Listener = Callable[[Sequence[DevBlock], Reorg], None]
"""Called with the heads to announce, and the change (`removed` is empty for a mined block)."""

Watcher = Callable[[Reorg], None]
"""Called with each change, even if a fault suppresses its announcement."""


class DevNode:
    """A node of a devchain, controlled by the control methods and by tests."""

    def __init__(
        self, options: DevchainOptions, clock: Callable[[], float] = time.time, chain: DevChain | None = None
    ) -> None:
        self.options = options
        self.chain = chain or DevChain(options)
        self.peers: list[DevNode] = []
        """Other nodes of the same chain, which announce this node's changes."""
        self.faults = Faults(PROFILES[options.like].faults if options.like else ())
        self.paused = False
        self.requests_by_method: Counter[str] = Counter()
        self.transport_requests: Counter[str] = Counter()
        self.logs_served = 0
        """Logs in the results of `eth_getLogs` and in receipts."""
        self.listeners: set[Listener] = set()
        self.watchers: list[Watcher] = []
        self.connections: set[Callable[[], None]] = set()
        self._clock = clock
        self._held_back: list[DevBlock] = []
        self._abandoned_head: str | None = None

    def mine(self, count: int = 1) -> list[DevBlock]:
        """Mine `count` blocks of generated transfers, announced one by one."""
        if not 1 <= count <= MAX_BLOCKS_PER_CALL:
            raise InvalidInput("count", f"{count}; allowed is 1 to {MAX_BLOCKS_PER_CALL}")
        return [self._mine(None) for _ in range(count)]

    def mine_calls(self, calls: Sequence[Call]) -> DevBlock:
        """Mine one block with exactly these transactions."""
        return self._mine(calls)

    def reorg(
        self,
        depth: int,
        *,
        length: int | None = None,
        contents: Sequence[Sequence[Call]] = (),
        same_transactions: bool = False,
    ) -> Reorg:
        """Replace blocks as in `DevChain.reorg`; every added block is announced as a head, as by geth."""
        change = self.chain.reorg(
            depth,
            int(self._clock()),
            length=length,
            contents=contents,
            same_transactions=same_transactions,
        )
        self._abandoned_head = change.removed[-1].hash
        self._announce(change)
        return change

    def switch_to(self, block_hash: str) -> Reorg:
        """Return to a replaced block as in `DevChain.switch_to`, announced like any reorg."""
        change = self.chain.switch_to(block_hash)
        if change.removed:
            self._abandoned_head = change.removed[-1].hash
        self._announce(change)
        return change

    def apply_reorg_faults(self, method: str) -> None:
        """Perform the reorgs of active faults; called just before a method responds."""
        fault = self.faults.take("reorg_on_call", method)
        if fault:
            depth = min(fault.number("depth"), self.chain.deepest_reorg())
            self.reorg(depth, length=depth + fault.number("more"))
        if self._abandoned_head is not None and self.faults.take("return_on_call", method):
            self.switch_to(self._abandoned_head)

    def set_fault(self, kind: str, /, count: int | None = None, **parameters: FaultValue) -> Fault:
        """Add a fault as in `Faults.set`; a cut also drops the open connections."""
        fault = self.faults.set(kind, count, **parameters)
        if kind == "cut":
            self.drop_connections()
        return fault

    def drop_connections(self) -> int:
        """Reset every open WebSocket without a close frame; return their number."""
        open_ones = list(self.connections)
        for drop in open_ones:
            drop()
        return len(open_ones)

    def stats(self) -> dict[str, Any]:
        """Return the head, the counters and the faults of the node.

        `requests` counts HTTP requests and WebSocket messages, `methods` the calls in them, `logs_served` the logs
        in results. `transfers_emitted` counts all mined logs, `transfers_canonical` excludes removed ones.
        """
        head = self.chain.head
        return {
            "chain_id": self.options.chain_id,
            "like": self.options.like,
            "head": {"number": head.number, "hash": head.hash},
            "blocks": head.number,
            "transfers_emitted": self.chain.logs_mined,
            "transfers_canonical": self.chain.canonical_log_count,
            "paused": self.paused,
            "websockets": len(self.connections),
            "requests": dict(self.transport_requests),
            "methods": dict(self.requests_by_method),
            "logs_served": self.logs_served,
            "faults": self.faults.listing(),
        }

    def _mine(self, calls: Sequence[Call] | None) -> DevBlock:
        block = self.chain.mine(int(self._clock()), calls)
        self._announce(Reorg((), (block,)))
        return block

    def _announce(self, change: Reorg) -> None:
        for watcher in self.watchers:
            watcher(change)
        self._notify_listeners(change)
        for peer in self.peers:
            peer._notify_listeners(change)

    def _notify_listeners(self, change: Reorg) -> None:
        heads = self._in_order([block for block in change.added for _ in range(self._announcements())])
        if self.faults.active("silence"):
            return
        for listener in list(self.listeners):
            listener(heads, change)

    def _in_order(self, heads: list[DevBlock]) -> list[DevBlock]:
        """Return the heads to announce now; a delayed one comes after its successor."""
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


async def mine_until(node: DevNode, stop: asyncio.Event) -> None:
    """Mine by the clock until `stop`. A paused node skips ticks; a `block_time` of 0 has no ticks."""
    interval = node.options.block_time
    if interval == 0:
        await stop.wait()
        return
    loop = asyncio.get_running_loop()
    due, ticks = loop.time() + interval, 0
    while not await _is_set_within(stop, due - loop.time()):
        if not node.paused:
            ticks += 1
            tick(node, ticks)
        due = next_due(due, interval, loop.time())


def tick(node: DevNode, ticks: int) -> None:
    """Mine a block, or perform a reorg at every `reorg_every`th tick.

    A reorg adds one block more than it replaces, so that reorgs do not slow the chain's growth.
    """
    every = node.options.reorg_every
    depth = min(node.options.reorg_depth, node.chain.deepest_reorg())
    if every and ticks % every == 0 and depth:
        node.reorg(depth, length=depth + 1)
    else:
        node.mine()


def next_due(due: float, interval: float, now: float) -> float:
    """Return the time of the next tick; missed ticks are skipped."""
    return due + interval if due + interval > now else now + interval


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), max(seconds, 0))
    except TimeoutError:
        return False
    return True
