"""Search for the fork point of a reorg, and the steps of the rollback to it.

A rollback withdraws the events of every replaced block, the newest first. It runs in steps, because scripts block
Redis. Each step leaves the checkpoint at the block below the withdrawn ones. After a crash between two steps the
checkpoint is on the replaced branch, and the next ingestor withdraws the rest. If the chain has returned to that
branch meanwhile, the next ingestor follows it.

The events of the newest blocks are kept with them. Those of other remembered blocks are read from the stream, the
histories and the jobs of endpoints that were sent them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hookfarm.chain.block import Head, Header
from hookfarm.chain.node import Node
from hookfarm.delivery_queue.operational import encode_event
from hookfarm.errors import ChainUnavailable, WrongChain
from hookfarm.event_ingestor.published_events import (
    ForgottenRange,
    LostEvents,
    PublishedEvents,
    Withdrawal,
)
from hookfarm.event_stream import (
    Checkpoint,
    RememberedBlock,
    RetryingChainStream,
    finalized_number,
    lowest_remembered,
    read_forgotten,
    read_remembered,
    removal_entries,
)
from hookfarm.records.operational import REORG_INCOMPLETE

MAX_HEADERS = 64
"""Headers per request."""
FIRST_BLOCK = 1
"""Number of the first block of chains without block 0."""
STEP_BLOCKS = 64
STEP_EVENTS = 2_000


@dataclass(frozen=True)
class ForkPoint:
    """The highest block that is both canonical and published.

    `forgotten` is None unless the reorg is deeper than the remembered blocks. The block is then an anchor, or, if
    no anchor is canonical, the canonical block below the lowest remembered one.
    """

    block: Checkpoint
    forgotten: ForgottenRange | None = None

    @property
    def lowest(self) -> int:
        """The lowest block whose events may have to be withdrawn."""
        return self.block.number + 1 if self.forgotten is None else self.forgotten.from_block


async def find_fork_point(
    node: Node, stream: RetryingChainStream, checkpoint: Checkpoint, head: Head
) -> ForkPoint | None:
    """Search downwards from the checkpoint, or from a lower head. Return None if there is no fork.

    Each step is one request and doubles the number of blocks. Block 0 is not requested, since some nodes lack it:
    its hash is in the lowest header. Raises ChainUnavailable for a head below all remembered blocks, because it
    proves nothing. Raises CheckpointMoved if another ingestor moved the checkpoint.
    """
    lowest = await stream.call(lowest_remembered)
    start = min(checkpoint.number, head.number)
    highest, step, above = start, 1, None
    child: Header | None = None
    while highest >= 0:
        numbers = range(highest, max(highest - step, 0), -1) or range(1)
        remembered = await stream.call(read_remembered, numbers, checkpoint)
        if lowest is None or start < lowest:
            behind = f"is at block {head.number}, far behind the checkpoint {checkpoint.number}"
            raise ChainUnavailable(f"{node.origin}: {behind}")
        headers = [_parent(child)] if child and not highest else await node.headers(numbers)
        child = _check_links(node, child, headers)
        fork, above = _fork_point(above, dict(zip(numbers, remembered, strict=True)), headers, lowest)
        if fork is not None:
            return None if fork.number == start else ForkPoint(fork)
        below = [header for header in headers if header.number < lowest]
        if below:
            return await _forgotten_fork_point(node, stream, checkpoint, lowest, below[0])
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


def _parent(header: Header) -> Header:
    """Return what a header proves about block 0, its parent: the hash."""
    return Header(0, header.parent_hash, "", 0, None)


async def _forgotten_fork_point(
    node: Node, stream: RetryingChainStream, checkpoint: Checkpoint, lowest: int, below: Header
) -> ForkPoint:
    """Return the fork point of a reorg deeper than the remembered blocks; `below` is the canonical block there."""
    forgotten = await stream.call(read_forgotten, lowest, checkpoint)
    for start in range(0, len(forgotten.anchors), MAX_HEADERS):
        some = forgotten.anchors[start : start + MAX_HEADERS]
        headers = await node.headers([anchor.block.number for anchor in some if anchor.block.number])
        canonical = {header.block_hash for header in headers}
        for block, events in some:
            if block.block_hash in canonical or not block.number:  # All chains of this identity have block 0.
                between = ForgottenRange(block.number + 1, lowest - 1, events, block.published_at)
                return ForkPoint(block.point, between)
    point = Checkpoint(below.number, below.block_hash)
    return ForkPoint(point, ForgottenRange(0, lowest - 1, forgotten.events, 0))


async def check_fork_point(node: Node, stream: RetryingChainStream, fork: ForkPoint) -> None:
    """Raise WrongChain if the branch above a fork point is another chain.

    A branch that shares a remembered block is a reorg, unless it shares only the first block and replaces
    finalized ones: then a test chain was started anew. Without a shared block the node must have the pinned one.
    """
    if fork.forgotten is not None:
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
) -> tuple[Checkpoint | None, RememberedBlock | None]:
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
        is_published = published is not None and published.block_hash == point.block_hash
        if is_parent or (is_published and number >= lowest):
            return point, above
        above = published or above
    return None, above


def incomplete_event(chain_id: int, fork_point: int, lost: Sequence[LostEvents]) -> bytes:
    """Return the operational event about lost events as it is recorded; empty if none is lost."""
    if not lost:
        return b""
    return encode_event(
        REORG_INCOMPLETE,
        chain_id=chain_id,
        fork_point=fork_point,
        events_not_withdrawn=sum(each.events for each in lost),
        blocks=[each._asdict() for each in lost],
    )


@dataclass(frozen=True)
class RollbackStep:
    """Blocks withdrawn together."""

    target: Checkpoint
    withdrawn: list[bytes]
    lost: list[LostEvents]


async def next_rollback_step(
    stream: RetryingChainStream, checkpoint: Checkpoint, fork: ForkPoint, published: PublishedEvents
) -> RollbackStep:
    """Return the next step from the checkpoint towards the fork point. The last one includes forgotten blocks.

    Raises CheckpointMoved and ChainUnavailable.
    """
    floor = fork.block.number if fork.forgotten is None else fork.forgotten.to_block
    numbers = range(checkpoint.number, max(floor, checkpoint.number - STEP_BLOCKS), -1)
    remembered = await stream.call(read_remembered, numbers, checkpoint)
    entries = await stream.call(removal_entries, numbers, checkpoint)
    blocks = [block for block in remembered if block is not None]
    found = await _withdrawals(blocks, dict(zip(numbers, entries, strict=True)), published)
    taken = _blocks_in_step(found)
    target: Checkpoint | None
    if taken < len(blocks):
        target, found = blocks[taken].point, found[:taken]
    else:
        target = await _highest_remembered(stream, checkpoint, range(checkpoint.number - len(numbers), floor, -1))
    if target is None and fork.forgotten is not None:
        found.append(await published.forgotten(fork.forgotten))
    withdrawn = [entry for each in found for entry in each.entries]
    return RollbackStep(target or fork.block, withdrawn, [each.lost for each in found if each.lost])


async def _withdrawals(
    blocks: Sequence[RememberedBlock], kept: Mapping[int, list[bytes] | None], published: PublishedEvents
) -> list[Withdrawal]:
    """Return the withdrawal of each block; those without `kept` entries are read from `published`."""
    others = [block for block in blocks if block.event_count and kept[block.number] is None]
    found = dict(zip(others, await published.withdrawals(others), strict=True))
    return [found.get(block) or Withdrawal(kept[block.number] or []) for block in blocks]


async def _highest_remembered(
    stream: RetryingChainStream, checkpoint: Checkpoint, numbers: range
) -> Checkpoint | None:
    """Return the highest remembered block of descending numbers, None if there is none."""
    for start in range(0, len(numbers), STEP_BLOCKS):
        found = await stream.call(read_remembered, numbers[start : start + STEP_BLOCKS], checkpoint)
        for block in found:
            if block is not None:
                return block.point
    return None


def _blocks_in_step(withdrawals: Sequence[Withdrawal]) -> int:
    """Return the number of blocks in one step, at least one if there is one."""
    events = 0
    for taken, withdrawal in enumerate(withdrawals):
        events += len(withdrawal.entries)
        if taken and events > STEP_EVENTS:
            return taken
    return len(withdrawals)
