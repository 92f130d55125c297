"""What the ingestor says of a chain: how far it is, and which blocks may still be taken back."""

from dataclasses import dataclass

import redis

from hookfarm import event_stream
from hookfarm.delivery_queue.enqueue import FINALIZED_CONFIRMATIONS, SAFE_CONFIRMATIONS, UnconfirmedJob
from hookfarm.event_stream import KEPT_BLOCKS
from hookfarm.store import keys


@dataclass(frozen=True)
class ChainView:
    """`safe` and `finalized` None where the chain's nodes know no such block; -1 where they were not heard yet.

    `handled`: every event up to this block has left the stream for the queue; what lies above may still come.
    """

    checkpoint: int
    safe: int | None = None
    finalized: int | None = None
    handled: int = -1

    @property
    def settled(self) -> int:
        """The last block that is for good: final, or so deep that the ingestor itself lets it stand."""
        return max(self._line("finalized"), self.checkpoint - KEPT_BLOCKS)

    def is_past(self, number: int) -> bool:
        """Whether live delivery has nothing to do with a block any more: of its logs nothing needs to be noted."""
        return number <= min(self.settled, self.handled)

    def is_final(self, number: int) -> bool:
        """Whether a block is, and live delivery has nothing to do with it any more."""
        return number <= min(self._line("finalized"), self.handled)

    def has_reached(self, waiting: UnconfirmedJob) -> bool:
        """Whether what a job waits for is there already."""
        return self._line(waiting.head) >= waiting.block

    def _line(self, line: str) -> int:
        if line == "safe":
            return self.checkpoint - SAFE_CONFIRMATIONS if self.safe is None else self.safe
        if line == "finalized":
            return self.checkpoint - FINALIZED_CONFIRMATIONS if self.finalized is None else self.finalized
        return self.checkpoint


async def look(client: "redis.asyncio.Redis", chain_id: int) -> ChainView | None:
    """None where there is no checkpoint."""
    checkpoint = await event_stream.read_checkpoint(client, chain_id)
    if checkpoint is None:
        return None
    async with client.pipeline(transaction=True) as pipe:
        pipe.hmget(keys.heads(chain_id), ["safe", "finalized", "no_safe", "no_finalized"])
        pipe.xlen(keys.events(chain_id))
        pipe.hget(keys.confirmed_heads(chain_id), "blocks")
        heads, in_stream, reached = await pipe.execute()
    safe, finalized = (_tagged(told, none) for told, none in zip(heads[:2], heads[2:], strict=True))
    handled = checkpoint.number if not in_stream else int(reached or -1)
    return ChainView(checkpoint.number, safe, finalized, handled)


def _tagged(told: bytes | None, has_none: bytes | None) -> int | None:
    return int(told) if told is not None else None if has_none else -1
