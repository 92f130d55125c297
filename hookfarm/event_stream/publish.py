"""What the ingestor writes: events and the checkpoint behind them, and what a reorg takes back."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import redis

from hookfarm.event_stream.checkpoint import Checkpoint
from hookfarm.event_stream.remembered_blocks import KEPT_BLOCKS, StreamBlock, block_row
from hookfarm.store import keys
from hookfarm.store.clients import Argument
from hookfarm.store.scripts import Script

_PUBLISH = Script("publish")
_REWIND = Script("rollback")
_TELL_HEADS = Script("set_finality_heads")


class Publication(StrEnum):
    """The result of an attempt to publish."""

    REFUSED = "refused"
    DONE = "published"
    DONE_TRANSFERS_WANTED = "published_transfers_wanted"

    @property
    def published(self) -> bool:
        return self is not Publication.REFUSED


async def publish(
    client: "redis.asyncio.Redis",
    chain_id: int,
    expected: Checkpoint | None,
    blocks: Sequence[StreamBlock],
    *,
    with_transfers: bool = True,
) -> Publication:
    """Adds the events of `blocks` (ascending) and moves the checkpoint to the last of them, or does nothing.

    REFUSED = the checkpoint is not `expected` (None = none yet): someone else published; read it again. Or the
    blocks are not `with_transfers`, and those are wanted: so a subscription to them holds from the next block on.
    """
    table: list[Argument] = []
    added: list[bytes] = []
    for block in blocks:
        table += block_row(block)
        added += block.events
    points = (_encoded(expected), blocks[-1].point.encode())
    arguments: tuple[Argument, ...] = (*points, KEPT_BLOCKS, int(with_transfers), b"\n".join(added), *table)
    touched = (*_ingestor_keys(chain_id), keys.transfers(chain_id))
    result: bytes = await _PUBLISH.call_async(client, touched, arguments)
    return Publication(result.decode())


async def transfers_wanted(client: "redis.asyncio.Redis", chain_id: int) -> bool:
    """Whether anybody wants the chain's transfers."""
    return bool(await client.exists(keys.transfers(chain_id)))


async def rewind(
    client: "redis.asyncio.Redis",
    chain_id: int,
    expected: Checkpoint,
    target: Checkpoint,
    withdrawn: Sequence[bytes] = (),
) -> bool:
    """Moves the checkpoint back to `target`, adds the `withdrawn` events and forgets all blocks above it.

    What waits for confirmations waits for heads of the branch to come. False as for `publish`.
    """
    confirming = (keys.head_marks(chain_id), keys.confirmed_heads(chain_id))
    arguments: tuple[Argument, ...] = (_encoded(expected), target.encode(), *withdrawn)
    result = await _REWIND.call_async(client, (*_ingestor_keys(chain_id), *confirming), arguments)
    return bool(result == b"rolled_back")


async def tell_heads(client: "redis.asyncio.Redis", chain_id: int, told: Mapping[str, Checkpoint | None]) -> None:
    """Tells others of the `safe` and `finalized` block; None = the chain knows no such thing.

    A block above the checkpoint, or of another branch than what was published, is not told.
    """
    arguments: list[Argument] = []
    for tag, block in told.items():
        arguments += (tag, "", "") if block is None else (tag, block.number, block.block_hash)
    table = (keys.checkpoint(chain_id), keys.blocks(chain_id), keys.heads(chain_id))
    await _TELL_HEADS.call_async(client, table, arguments)


def _ingestor_keys(chain_id: int) -> tuple[str, ...]:
    table = (keys.blocks(chain_id), keys.block_events(chain_id))
    return (keys.checkpoint(chain_id), keys.events(chain_id), *table, keys.heads(chain_id))


def _encoded(checkpoint: Checkpoint | None) -> str:
    return "" if checkpoint is None else checkpoint.encode()
