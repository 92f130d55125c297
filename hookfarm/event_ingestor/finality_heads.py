"""What the chain calls safe and finalized, told to those who wait for it."""

import contextlib

from hookfarm.chain.block import parse_header
from hookfarm.chain.node import Node, first_error
from hookfarm.chain.rpc import Call
from hookfarm.errors import ChainUnavailable
from hookfarm.event_ingestor.store import Store
from hookfarm.event_stream import Checkpoint
from hookfarm.logs import FieldLogger


class FinalityHeads:
    """Tells only what is sure: not above the checkpoint, and not of another branch than what was published.

    Where the chain's word reaches beyond the checkpoint, that is the block meant, if it is on the chain's branch.

    A chain whose nodes know no such block tells none, which is said once; who waits for it falls back to a number
    of confirmations.
    """

    def __init__(self, chain_id: int, store: Store, log: FieldLogger) -> None:
        self._chain_id = chain_id
        self._store = store
        self._log = log
        self._said: set[str] = set()

    async def tell(self, node: Node, checkpoint: int) -> None:
        """After the checkpoint has moved there: what the node has said of its tagged heads since the last time."""
        news: dict[str, Checkpoint | None] = {}
        for tag, header in node.tags.drain().items():
            if header is None:
                self._say(tag, node)
                news[tag] = None
            elif header.number <= checkpoint:
                news[tag] = Checkpoint(header.number, header.block_hash)
            else:
                with contextlib.suppress(ChainUnavailable):
                    news[tag] = await _up_to(checkpoint, tag, node)
        if news:
            await self._store.tell_heads(news)

    async def tell_on_the_way(self, node: Node, checkpoint: Checkpoint) -> None:
        """While the chain is caught up with: asked in ranges, the node is not asked for its tagged heads along
        with them. They count only where it still calls the checkpoint canonical; a node that fails is asked
        later."""
        tags = node.tags.due()
        if not tags:
            return
        canonical: Call = ("eth_getBlockByNumber", [hex(checkpoint.number), False])
        with contextlib.suppress(ChainUnavailable):
            answer, *told = await node.ask_all([canonical, *tags])
            node.tags.record(told)
            if parse_header(first_error(answer)).block_hash == checkpoint.block_hash:
                await self.tell(node, checkpoint.number)

    def _say(self, tag: str, node: Node) -> None:
        if tag not in self._said:
            self._said.add(tag)
            self._log.warning("tag not supported", chain=self._chain_id, tag=tag, node=node.origin)


async def _up_to(number: int, tag: str, node: Node) -> Checkpoint:
    """The tagged head, or the canonical block of this number below it: both as they are at one moment."""
    calls: list[Call] = [("eth_getBlockByNumber", [name, False]) for name in (tag, hex(number))]
    told, block = (parse_header(first_error(answer)) for answer in await node.ask_all(calls))
    lower = block if block.number < told.number else told
    return Checkpoint(lower.number, lower.block_hash)
