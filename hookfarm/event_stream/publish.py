"""Write side of the stream: events with their checkpoint, the rollback of a reorg, and blocks without a proof.

A doubtful block is one whose logs are not proven. The ingestor stores it with the reason and does not publish it,
until it is proven or an operator accepts exactly this block, by its number and hash.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import orjson
import redis

from hookfarm.errors import Conflict, NotFound
from hookfarm.event_stream.remembered_blocks import Checkpoint, ReorgWindow, StreamBlock, block_row
from hookfarm.records.operational import CHAIN_BLOCK_ACCEPTED
from hookfarm.store import keys
from hookfarm.store.clients import Argument, RetryingClient
from hookfarm.store.scripts import Script
from hookfarm.timestamps import format_seconds

P = ParamSpec("P")
T = TypeVar("T")

_PUBLISH = Script("publish")
_ROLLBACK = Script("rollback")
_SET_FINALITY_HEADS = Script("set_finality_heads")
_DEFAULT_WINDOW = ReorgWindow()
_ACCEPT_BLOCK = Script("accept_block")
DOUBT_SECONDS = 86_400
"""How long a doubtful block is stored after the last try to prove it."""


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


@dataclass(frozen=True)
class _StoredBlock:
    """A block stored as JSON in a hash, with its number as field."""

    block_number: int
    block_hash: str

    @classmethod
    def decode(cls, stored: bytes) -> Self:
        return cls(**orjson.loads(stored))

    def encode(self) -> str:
        return orjson.dumps(asdict(self)).decode()


@dataclass(frozen=True)
class DoubtfulBlock(_StoredBlock):
    """A block whose logs are not proven.

    `logs`: the number that the node gives, None if no source gives any. `found_by`: event_ingestor or backfill.
    """

    logs: int | None
    reason: str
    found_by: str


@dataclass(frozen=True)
class AcceptedBlock(_StoredBlock):
    """A doubtful block that an operator accepted, to be published with at least `logs` logs."""

    logs: int
    reason: str
    accepted_by: str
    accepted_at: str


async def record_doubtful_block(client: redis.asyncio.Redis, chain_id: int, block: DoubtfulBlock) -> None:
    """Store a doubtful block; it replaces one of the same number."""
    key = keys.doubtful_blocks(chain_id)
    async with client.pipeline(transaction=True) as pipe:
        pipe.hset(key, str(block.block_number), block.encode())
        pipe.expire(key, DOUBT_SECONDS)
        await pipe.execute()


async def doubtful_blocks(client: redis.asyncio.Redis, chain_id: int) -> list[DoubtfulBlock]:
    found: Any = await client.hvals(keys.doubtful_blocks(chain_id))
    return [DoubtfulBlock.decode(stored) for stored in found]


async def forget_doubtful_blocks(client: redis.asyncio.Redis, chain_id: int, numbers: Iterable[int]) -> None:
    """Forget doubtful blocks that were passed."""
    await client.hdel(keys.doubtful_blocks(chain_id), *map(str, numbers))


async def accepted_block(
    client: redis.asyncio.Redis, chain_id: int, number: int, block_hash: str
) -> AcceptedBlock | None:
    """Return the acceptance of exactly this block; None if there is none."""
    stored: Any = await client.hget(keys.accepted_blocks(chain_id), str(number))
    block = None if stored is None else AcceptedBlock.decode(stored)
    return block if block is not None and block.block_hash == block_hash else None


def doubtful_block(client: redis.Redis, chain_id: int, number: int) -> DoubtfulBlock:
    """Return the doubtful block of this number.

    Raises NotFound for an unknown chain. Raises Conflict if the block is not doubtful, if it is accepted already,
    or if no source gives its logs.
    """
    with client.pipeline(transaction=False) as pipe:
        pipe.get(keys.checkpoint(chain_id))
        pipe.hgetall(keys.doubtful_blocks(chain_id))
        pipe.hget(keys.accepted_blocks(chain_id), str(number))
        checkpoint, doubtful, accepted = pipe.execute()
    if checkpoint is None and not doubtful:
        raise NotFound(f"chain {chain_id}: unknown; no farm on this Redis has followed it")
    stored = doubtful.get(str(number).encode())
    if stored is None:
        raise Conflict(_not_doubtful(number, checkpoint, doubtful))
    block = DoubtfulBlock.decode(stored)
    if block.logs is None:
        raise Conflict(f"block {number}: the node gives no logs of it to publish: {block.reason}")
    already = None if accepted is None else AcceptedBlock.decode(accepted)
    if already is not None and already.block_hash == block.block_hash and already.logs <= block.logs:
        raise Conflict(f"block {number}: already accepted by {already.accepted_by}; it is taken at the next try")
    return block


def accept_block(client: redis.Redis, chain_id: int, block: DoubtfulBlock, accepted_by: str) -> AcceptedBlock:
    """Accept a doubtful block, and record an operational event. Raises Conflict if the block has changed."""
    assert block.logs is not None, "checked by doubtful_block"
    now = time.time()
    found = (block.block_number, block.block_hash, block.logs, block.reason)
    accepted = AcceptedBlock(*found, accepted_by, format_seconds(now))
    event = {"type": CHAIN_BLOCK_ACCEPTED, "at": f"{now * 1e6:.0f}", "chain_id": chain_id, **asdict(accepted)}
    touched = (keys.doubtful_blocks(chain_id), keys.accepted_blocks(chain_id))
    arguments = (str(block.block_number), block.block_hash, accepted.encode(), orjson.dumps(event))
    if _ACCEPT_BLOCK.call(client, touched, arguments) != b"accepted":
        raise Conflict(
            f"block {block.block_number}: no longer doubtful, or another block by now; look at it again"
        )
    return accepted


def _not_doubtful(number: int, checkpoint: bytes | None, doubtful: Mapping[bytes, bytes]) -> str:
    """Return why a block without a doubt cannot be accepted."""
    if checkpoint is not None and number <= (passed := Checkpoint.decode(checkpoint).number):
        return f"block {number}: already passed; the checkpoint is block {passed}"
    if not doubtful:
        return f"block {number}: not doubtful; the chain has no doubtful block"
    waiting = ", ".join(str(each) for each in sorted(map(int, doubtful)))
    return f"block {number}: not doubtful; the chain waits for a proof of {waiting}"


def _ingestor_keys(chain_id: int) -> tuple[str, ...]:
    table = (keys.blocks(chain_id), keys.block_events(chain_id))
    return (keys.checkpoint(chain_id), keys.events(chain_id), *table, keys.heads(chain_id))


def _encoded(checkpoint: Checkpoint | None) -> str:
    return "" if checkpoint is None else checkpoint.encode()
