"""Blocks by the wall clock: one every `block_time` seconds, a reorg every `reorg_every` of them."""

import asyncio

from hookfarm.devchain.node import Node


async def mine_until(node: Node, stop: asyncio.Event) -> None:
    """A paused node skips its ticks; a `block_time` of 0 has none."""
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


def tick(node: Node, ticks: int) -> None:
    """Mines a block, or with every `reorg_every`th tick replaces some by one more than they were,
    so that a chain with reorgs grows as fast as one without."""
    every = node.options.reorg_every
    depth = min(node.options.reorg_depth, node.chain.deepest_reorg())
    if every and ticks % every == 0 and depth:
        node.reorg(depth, length=depth + 1)
    else:
        node.mine()


def next_due(due: float, interval: float, now: float) -> float:
    """When the next tick comes: missed ticks are left out, not made up for in a burst."""
    return due + interval if due + interval > now else now + interval


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), max(seconds, 0))
    except TimeoutError:
        return False
    return True
