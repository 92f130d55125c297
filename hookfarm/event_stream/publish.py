"""Write side of the stream: events with their checkpoint, and the rollback of a reorg."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Concatenate, ParamSpec, TypeVar

import redis

from hookfarm.event_stream.remembered_blocks import Checkpoint, ReorgWindow, StreamBlock, block_row
from hookfarm.store import keys
from hookfarm.store.clients import Argument
from hookfarm.store.retrying import RetryingClient
from hookfarm.store.scripts import Script

P = ParamSpec("P")
T = TypeVar("T")

_PUBLISH = Script("publish")
_ROLLBACK = Script("rollback")
_SET_FINALITY_HEADS = Script("set_finality_heads")
_DEFAULT_WINDOW = ReorgWindow()


class RetryingChainStream:
    """Operations on one chain's stream, each retried until Redis has executed it.

    A retry is safe: if an unconfirmed try succeeded, the checkpoint shows it.
    """

    def __init__(self, client: RetryingClient, chain_id: int) -> None:
        self.chain_id = chain_id
        self._client = client

    async def call(
        self,
        operation: Callable[Concatenate[redis.asyncio.Redis, int, P], Awaitable[T]],
        *arguments: P.args,
        **options: P.kwargs,
    ) -> T:
        """Return the result of `operation(client, chain_id, *arguments, **options)`, retried until it succeeds."""
        return await self._client.call(operation, self.chain_id, *arguments, **options)


class Publication(StrEnum):
    """The result of an attempt to publish."""

    REFUSED = "refused"
    DONE = "published"
    DONE_TRANSFERS_WANTED = "published_transfers_wanted"

    @property
    def published(self) -> bool:
        return self is not Publication.REFUSED

    @property
    def are_transfers_wanted(self) -> bool:
        return self is Publication.DONE_TRANSFERS_WANTED


async def publish(
    client: redis.asyncio.Redis,
    chain_id: int,
    expected: Checkpoint | None,
    blocks: Sequence[StreamBlock],
    *,
    with_transfers: bool = True,
    window: ReorgWindow = _DEFAULT_WINDOW,
) -> Publication:
    """Add the events of `blocks` (ascending) and move the checkpoint to the last block, or do nothing.

    REFUSED has two causes: the checkpoint is not `expected` (None = none yet), because another ingestor has
    published; or the blocks lack transfers that a subscription wants. So a subscription to transfers is effective
    from the next block. Older blocks than the window are forgotten.
    """
    table: list[Argument] = []
    added: list[bytes] = []
    for block in blocks:
        table += block_row(block)
        added += block.events
    points = (_encoded(expected), blocks[-1].point.encode())
    arguments: tuple[Argument, ...] = (
        *points,
        window.encode(),
        int(with_transfers),
        b"\n".join(added),
        *table,
    )
    touched = (*_ingestor_keys(chain_id), keys.transfers(chain_id))
    result: bytes = await _PUBLISH.call_async(client, touched, arguments)
    return Publication(result.decode())


async def transfers_wanted(client: redis.asyncio.Redis, chain_id: int) -> bool:
    """Return whether an endpoint subscribes to the chain's transfers."""
    return bool(await client.exists(keys.transfers(chain_id)))


async def rollback(
    client: redis.asyncio.Redis,
    chain_id: int,
    expected: Checkpoint,
    target: Checkpoint,
    withdrawn: Sequence[bytes] = (),
    incomplete: bytes = b"",
) -> bool:
    """Move the checkpoint back to `target`, add the `withdrawn` events and forget all blocks above it.

    Deliveries that wait for confirmations wait for heads of the new branch. `incomplete`: the operational event
    about events that cannot be withdrawn. Returns False if the checkpoint is not `expected`.
    """
    confirming = (keys.head_marks(chain_id), keys.confirmed_heads(chain_id))
    arguments: tuple[Argument, ...] = (_encoded(expected), target.encode(), incomplete, *withdrawn)
    result = await _ROLLBACK.call_async(client, (*_ingestor_keys(chain_id), *confirming), arguments)
    return bool(result == b"rolled_back")


async def set_finality_heads(
    client: redis.asyncio.Redis, chain_id: int, heads: Mapping[str, Checkpoint | None]
) -> None:
    """Store the `safe` and `finalized` block; None = the chain does not support the tag.

    A block above the checkpoint, or outside the published branch, is ignored.
    """
    arguments: list[Argument] = []
    for tag, block in heads.items():
        arguments += (tag, "", "") if block is None else (tag, block.number, block.block_hash)
    table = (keys.checkpoint(chain_id), keys.blocks(chain_id), keys.heads(chain_id))
    await _SET_FINALITY_HEADS.call_async(client, table, arguments)


def _ingestor_keys(chain_id: int) -> tuple[str, ...]:
    table = (keys.blocks(chain_id), keys.block_events(chain_id))
    return (keys.checkpoint(chain_id), keys.events(chain_id), *table, keys.heads(chain_id))


def _encoded(checkpoint: Checkpoint | None) -> str:
    return "" if checkpoint is None else checkpoint.encode()
