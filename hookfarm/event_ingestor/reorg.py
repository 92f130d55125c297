"""Where the canonical chain and what was published part."""

from collections.abc import Sequence
from dataclasses import dataclass

from hookfarm.chain.block import Head, Header
from hookfarm.chain.node import Node
from hookfarm.errors import ChainUnavailable
from hookfarm.event_ingestor.store import Store
from hookfarm.event_stream import Checkpoint, KnownBlock

MOST_AT_ONCE = 64


@dataclass(frozen=True)
class ForkPoint:
    """The last block that is both canonical and published.

    `remembered` is False where the reorg is deeper than the remembered blocks: then it is the canonical block
    below the deepest remembered one, which had another parent, and what was published down there stands.
    """

    block: Checkpoint
    remembered: bool


async def find_fork_point(node: Node, store: Store, checkpoint: Checkpoint, head: Head) -> ForkPoint | None:
    """Walks back from the checkpoint, or from a head below it; None = there is no fork.

    In steps that double, each of one request. A node whose head is below all that is remembered proves nothing:
    it is unavailable until it has caught up. CheckpointMoved where another ingestor has.
    """
    start = min(checkpoint.number, head.number)
    highest, step, above = start, 1, None
    while highest >= 0:
        numbers = range(highest, max(highest - step, -1), -1)
        known = await store.known_blocks(numbers, checkpoint)
        if known[0] is None and highest == start:
            behind = f"is at block {head.number}, far behind the checkpoint {checkpoint.number}"
            raise ChainUnavailable(f"{node.origin}: {behind}")
        fork = _fork_point(above, known, await _headers(node, numbers, head))
        if fork is not None:
            return None if fork.block.number == start else fork
        highest, step, above = numbers[-1] - 1, min(2 * step, MOST_AT_ONCE), known[-1]
    raise ChainUnavailable(f"{node.origin}: shares no block with what was published")


def _fork_point(
    above: KnownBlock | None, known: Sequence[KnownBlock | None], canonical: Sequence[Header]
) -> ForkPoint | None:
    """The highest of these blocks that both sides have; both are given from the highest down, below `above`."""
    for published, header in zip(known, canonical, strict=True):
        point = Checkpoint(header.number, header.block_hash)
        if published is None:
            return ForkPoint(point, remembered=above is not None and above.parent_hash == point.block_hash)
        if published.block_hash == header.block_hash:
            return ForkPoint(point, remembered=True)
        above = published
    return None


async def _headers(node: Node, numbers: Sequence[int], head: Head) -> list[Header]:
    """The canonical ones; the head's is not asked for where it came along."""
    if head.header is None or numbers[0] != head.number:
        return await node.headers(numbers)
    return [head.header, *(await node.headers(numbers[1:]) if len(numbers) > 1 else [])]
