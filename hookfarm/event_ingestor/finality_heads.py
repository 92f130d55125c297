"""Publisher of the finality heads, for deliveries that wait for safe or finalized blocks."""

import contextlib

from hookfarm.chain.block import parse_header
from hookfarm.chain.node import Node, result_or_raise
from hookfarm.chain.profiles import profile_of
from hookfarm.chain.rpc import Call
from hookfarm.errors import ChainUnavailable
from hookfarm.event_stream import Checkpoint, RetryingChainStream, set_finality_heads
from hookfarm.logs import FieldLogger


class FinalityHeadsPublisher:
    """Publisher of the safe and finalized blocks on the published branch.

    A tagged head above the checkpoint is published as the checkpoint, if that is canonical.

    If the nodes do not support a tag, or never have a block for it, a single warning is logged, and deliveries
    count the confirmations of the chain's profile instead until a node has one.
    """

    def __init__(self, stream: RetryingChainStream, log: FieldLogger) -> None:
        self._stream = stream
        self._log = log
        self._warned: set[str] = set()

    async def publish(self, node: Node, checkpoint: int) -> None:
        """Publish the tagged heads reported since the last call, up to the checkpoint."""
        news: dict[str, Checkpoint | None] = {}
        for tag, header in node.tags.drain().items():
            if header is None:
                self._warn_once(tag, node)
                news[tag] = None
            elif header.number <= checkpoint:
                news[tag] = Checkpoint(header.number, header.block_hash)
            else:
                with contextlib.suppress(ChainUnavailable):
                    news[tag] = await _up_to(checkpoint, tag, node)
        if news:
            await self._stream.call(set_finality_heads, news)

    async def publish_during_catch_up(self, node: Node, checkpoint: Checkpoint) -> None:
        """Fetch the tagged heads if they are due, and publish them.

        Range requests do not include the tags. The heads are used only if the checkpoint is canonical on the
        node; a failing node is tried again later.
        """
        tags = node.tags.due()
        if not tags:
            return
        canonical: Call = ("eth_getBlockByNumber", [hex(checkpoint.number), False])
        with contextlib.suppress(ChainUnavailable):
            answer, *tagged = await node.request_all([canonical, *tags])
            if parse_header(result_or_raise(answer)).block_hash == checkpoint.block_hash:
                node.tags.record(tagged, node.head_number)
                await self.publish(node, checkpoint.number)

    def _warn_once(self, tag: str, node: Node) -> None:
        if tag not in self._warned:
            self._warned.add(tag)
            self._log.warning(
                "tag not supported",
                chain=self._stream.chain_id,
                tag=tag,
                node=node.origin,
                confirmations=profile_of(self._stream.chain_id).tag_blocks[tag],
            )


async def _up_to(number: int, tag: str, node: Node) -> Checkpoint:
    """Return the tagged head, or the canonical block of this number below it, both read in one batch."""
    calls: list[Call] = [("eth_getBlockByNumber", [name, False]) for name in (tag, hex(number))]
    head, block = (parse_header(result_or_raise(answer)) for answer in await node.request_all(calls))
    lower = block if block.number < head.number else head
    return Checkpoint(lower.number, lower.block_hash)
