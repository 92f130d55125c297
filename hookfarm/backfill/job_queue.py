"""The lane of a backfill: jobs that enter the ledger only where live ones leave room for them.

A backfill stands at a block. What its next blocks became and the move behind them are one script, so that a
SIGKILL loses nothing and repeats nothing: the same command goes on from the block where it stands. How the lane is
emptied is told in store/lua/shared/backfill_queue.lua.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import redis

from hookfarm.delivery_queue.enqueue import AwaitsFinality, HistoryUpdate, UnconfirmedJob
from hookfarm.delivery_queue.job import Job
from hookfarm.event_stream import Checkpoint
from hookfarm.store import keys
from hookfarm.store.clients import Argument
from hookfarm.store.scripts import Script

REMEMBERED_SECONDS = 30 * 86_400
"""After its last sign of life, where a backfill stands is forgotten."""

HELD_SECONDS = 10.0
"""Without a sign of life, an endpoint with an order is free for another backfill."""

MOST_NOTED = 300
"""Characters of what keeps a backfill from getting on."""

_BACKFILL = Script("submit_backfill")
_HOLD = Script("lock_endpoint")
_ALIVE = Script("backfill_heartbeat")


class Placed(NamedTuple):
    """A job on its way into the lane. `waiting` is what it waits for first; where the delivery `original` is still
    to come, it is sent once that is over."""

    job: Job
    waiting: UnconfirmedJob | None = None
    original: str = ""


class Wanted(NamedTuple):
    """One log that the endpoint wants: the jobs that tell of it, in their order. `log` is what is told of it from
    now on (None where nothing needs to be noted), `unfinalized` as in EntryResult; without a job, it is told
    later."""

    jobs: tuple[Placed, ...]
    log: HistoryUpdate | None = None
    unfinalized: AwaitsFinality | None = None


@dataclass(frozen=True)
class Piece:
    """Some blocks of a backfill, `stands` the last of them. `told`: of so many of their events the endpoint was
    told before. `checked`: the block must be one that the ingestor published."""

    stood: Checkpoint | None
    stands: Checkpoint
    blocks: int
    events: int
    wanted: Sequence[Wanted] = ()
    told: int = 0
    checked: bool = False
    is_last: bool = False


class HandedOver(NamedTuple):
    """`result` is the script's word, `done` where all went well; `number` as it says."""

    result: str
    number: int


async def hand_over(
    client: "redis.asyncio.Redis", name: str, endpoint: str, chain_id: int, piece: Piece, *, hold: bool = False
) -> HandedOver:
    """Puts what the blocks became into the lane and moves the backfill behind them, or does nothing.

    `hold`: only while it holds the endpoint, which has an order.
    """
    arguments: list[Argument] = [
        *(name, endpoint, "" if piece.stood is None else piece.stood.encode(), piece.stands.encode()),
        *(int(piece.checked), int(piece.is_last), piece.blocks, piece.events, piece.told, REMEMBERED_SECONDS),
        _held_ms() if hold else 0,
    ]
    for wanted in piece.wanted:
        arguments += _arguments(chain_id, wanted)
    touched = (keys.BACKFILL_STATE + name, keys.blocks(chain_id))
    result, number = await _BACKFILL.call_async(client, touched, arguments)
    return HandedOver(result.decode(), int(number))


async def hold(client: "redis.asyncio.Redis", name: str, endpoint: str) -> str:
    """Keeps the endpoint to this backfill, if no other one holds it; the name of the one that does."""
    holder: bytes = await _HOLD.call_async(client, (), (endpoint, name, _held_ms()))
    return holder.decode()


def _held_ms() -> int:
    return int(HELD_SECONDS * 1000)


def _arguments(chain_id: int, wanted: Wanted) -> list[Argument]:
    number, kept = wanted.unfinalized or AwaitsFinality(0, b"")
    arguments: list[Argument] = [*(wanted.log or HistoryUpdate("", 0, "", "")), number, kept, len(wanted.jobs)]
    for job, waiting, original in wanted.jobs:
        place = "queue" if waiting is None else f"{chain_id}:{waiting.head} {waiting.block}"
        arguments += [place, job.id, job.encoded(), original]
    return arguments


async def sign_of_life(
    client: "redis.asyncio.Redis", name: str, blocks_per_second: float | None = None, note: str = ""
) -> None:
    """It is running, so fast; or `note` says why it does not get on. Of one that is done or removed it is none."""
    speed = "" if blocks_per_second is None else f"{blocks_per_second:.2f}"
    await _ALIVE.call_async(client, (keys.BACKFILL_STATE + name,), (name, speed, note[:MOST_NOTED]))


class Standing(NamedTuple):
    """Where a backfill stands: behind the block `at`, None = before the first; logs handed over, and left out."""

    at: Checkpoint | None
    added: int
    known: int

    def is_before(self, at: Checkpoint | None) -> bool:
        return at is not None and (self.at is None or self.at.number < at.number)


async def standing(client: "redis.asyncio.Redis", name: str) -> Standing | None:
    """None where there is no such backfill."""
    fields = ["from_block", "at", "added", "known"]
    begun, at, added, known = await client.hmget(keys.BACKFILL_STATE + name, fields)
    if begun is None:
        return None
    return Standing(None if at is None else Checkpoint.decode(at), int(added or 0), int(known or 0))


async def waiting(client: "redis.asyncio.Redis", endpoint: str) -> int:
    """How many jobs are in the endpoint's lane."""
    return int(await client.zcard(keys.BACKFILL_QUEUE + endpoint))
