"""Search for the fork point of a reorg, and the steps of the rollback to it.

A rollback withdraws the events of every replaced block, the newest first. It runs in steps, because scripts block
Redis. Each step leaves the checkpoint at the block below the withdrawn ones. After a crash between two steps the
checkpoint is on the replaced branch, and the next ingestor withdraws the rest. If the chain has returned to that
branch meanwhile, the next ingestor follows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hookfarm.chain.block import Head, Header
from hookfarm.chain.node import Node
from hookfarm.errors import ChainUnavailable, WrongChain
from hookfarm.event_stream import (
    Checkpoint,
    RememberedBlock,
    RetryingChainStream,
    finalized_number,
    lowest_remembered,
    read_remembered,
    removal_entries,
)

MAX_HEADERS = 64
"""Headers per request."""
FIRST_BLOCK = 1
"""Number of the first block of chains without block 0."""
STEP_BLOCKS = 64
STEP_EVENTS = 2_000


@dataclass(frozen=True)
class ForkPoint:
    """The highest block that is both canonical and published.

    `remembered` is False if the reorg is deeper than the remembered blocks. The block is then the canonical one
    below the deepest remembered block, and lower published blocks are kept.
    """

    block: Checkpoint
    remembered: bool


async def find_fork_point(
    node: Node, stream: RetryingChainStream, checkpoint: Checkpoint, head: Head
) -> ForkPoint | None:
    """Search downwards from the checkpoint, or from a lower head. Return None if there is no fork.

    Each step is one request and doubles the number of blocks. Raises ChainUnavailable for a head below all
    remembered blocks, because it proves nothing. Raises CheckpointMoved if another ingestor moved the checkpoint.
    """
    lowest = await stream.call(lowest_remembered)
    start = min(checkpoint.number, head.number)
    highest, step, above = start, 1, None
    child: Header | None = None
    while highest >= 0:
        numbers = range(highest, max(highest - step, -1), -1)
        remembered = await stream.call(read_remembered, numbers, checkpoint)
        if lowest is None or start < lowest:
            behind = f"is at block {head.number}, far behind the checkpoint {checkpoint.number}"
            raise ChainUnavailable(f"{node.origin}: {behind}")
        headers = await node.headers(numbers)
        child = _check_links(node, child, headers)
        fork, above = _fork_point(above, dict(zip(numbers, remembered, strict=True)), headers, lowest)
        if fork is not None:
            return None if fork.block.number == start else fork
        highest, step = numbers[-1] - 1, min(2 * step, MAX_HEADERS)
    raise ChainUnavailable(f"{node.origin}: shares no block with the published ones")


def _check_links(node: Node, child: Header | None, headers: Sequence[Header]) -> Header | None:
    """Return the last of descending headers, each of which is the parent of the one before.

    So a fork point is an ancestor of the node's head, even if several nodes of different chains answer behind one
    URL. Raises ChainUnavailable.
    """
    for header in headers:
        if child is not None and child.parent_hash != header.block_hash:
            raise ChainUnavailable(f"{node.origin}: contradicts itself about block {header.number}")
        child = header
    return child


async def check_fork_point(node: Node, stream: RetryingChainStream, fork: ForkPoint) -> None:
    """Raise WrongChain if the branch above a fork point is another chain.

    A branch that shares a remembered block is a reorg, unless it shares only the first block and replaces
    finalized ones: then a test chain was started anew. Without a shared block the node must have the pinned one.
    """
    if not fork.remembered:
        if not await node.check_identity():
            raise ChainUnavailable(f"{node.origin}: shares no block with the published ones")
    elif fork.block.number <= FIRST_BLOCK:
        finalized = await stream.call(finalized_number)
        if finalized > fork.block.number:
            problem = f"replaces all blocks above {fork.block.number}, of which {finalized} is finalized"
            raise WrongChain(f"chain {stream.chain_id}: {node.origin} {problem}")


def _fork_point(
    above: RememberedBlock | None,
    remembered: Mapping[int, RememberedBlock | None],
    canonical: Sequence[Header],
    lowest: int,
) -> tuple[ForkPoint | None, RememberedBlock | None]:
    """Return the highest block in both lists (None if they share none), and the lowest remembered block above.

    Both lists descend from the block below `above`. A number without a block is a null round on that branch.
    """
    headers = {header.number: header for header in canonical}
    for number, published in remembered.items():
        if number not in headers:
            above = published or above
            continue
        point = Checkpoint(number, headers[number].block_hash)
        is_parent = above is not None and above.parent_hash == point.block_hash
        if is_parent or (published is not None and published.block_hash == point.block_hash):
            return ForkPoint(point, remembered=True), above
        if published is None and number < lowest:
            return ForkPoint(point, remembered=False), above
        above = published or above
    return None, above


@dataclass(frozen=True)
class RollbackStep:
    """Blocks withdrawn together. `forgotten` counts published events that are no longer remembered."""

    target: Checkpoint
    withdrawn: list[bytes]
    forgotten: int


async def next_rollback_step(
    stream: RetryingChainStream, checkpoint: Checkpoint, fork: Checkpoint
) -> RollbackStep:
    """Return the next step from the checkpoint towards the fork point. Raises CheckpointMoved."""
    numbers = range(checkpoint.number, max(fork.number, checkpoint.number - STEP_BLOCKS), -1)
    remembered = await stream.call(read_remembered, numbers, checkpoint)
    entries = await stream.call(removal_entries, numbers, checkpoint)
    taken = _blocks_in_step(entries)
    forgotten = sum(_forgotten(block, events) for block, events in zip(remembered[:taken], entries, strict=False))
    withdrawn = [entry for of_block in entries[:taken] for entry in of_block or ()]
    below = range(checkpoint.number - taken, max(fork.number, checkpoint.number - taken - STEP_BLOCKS), -1)
    left = await stream.call(read_remembered, below, checkpoint) if below else []
    target = next((block.point for block in left if block is not None), fork)
    return RollbackStep(target, withdrawn, forgotten)


def _blocks_in_step(entries: Sequence[list[bytes] | None]) -> int:
    """Return the number of blocks in one step, at least one."""
    events = 0
    for taken, of_block in enumerate(entries):
        events += len(of_block or ())
        if taken and events > STEP_EVENTS:
            return taken
    return len(entries)


def _forgotten(block: RememberedBlock | None, events: list[bytes] | None) -> int:
    return block.event_count if block is not None and events is None else 0
