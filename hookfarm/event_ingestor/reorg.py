"""Where the canonical chain and what was published part."""

from dataclasses import dataclass

from hookfarm.chain.block import Head
from hookfarm.chain.node import Node
from hookfarm.errors import ChainUnavailable
from hookfarm.event_ingestor.store import Store
from hookfarm.event_stream import Checkpoint


@dataclass(frozen=True)
class ForkPoint:
    """The last block that is both canonical and published.

    `remembered` is False where the reorg is deeper than the remembered hashes: then it is the canonical
    parent of the deepest remembered block, and what was published below it stands.
    """

    block: Checkpoint
    remembered: bool


async def find_fork_point(node: Node, store: Store, checkpoint: Checkpoint, head: Head) -> ForkPoint | None:
    """Walks back from the checkpoint, or from a head below it; None = there is no fork.

    A node whose head is below all that is remembered proves nothing: it is unavailable until it has caught up.
    """
    start = min(checkpoint.number, head.number)
    for number in range(start, -1, -1):
        published = await store.known_hash(number)
        if published is None and number == start:
            behind = f"is at block {head.number}, far behind the checkpoint {checkpoint.number}"
            raise ChainUnavailable(f"{node.origin}: {behind}")
        canonical = Checkpoint(number, (await node.header(number)).block_hash)
        if published is None:
            return ForkPoint(canonical, remembered=False)
        if published == canonical.block_hash:
            return None if number == start else ForkPoint(canonical, remembered=True)
    raise ChainUnavailable(f"{node.origin}: shares no block with what was published")
