"""The loop of a backfill.

1. Find a node of the right chain.
2. Read the next blocks, linked to the one where the backfill stands and proven complete.
3. While too many jobs wait in the endpoint's lane: wait.
4. Hand over what they became, and move behind them: one script. A SIGKILL at any moment leaves it done or not
   done.
5. When the node fails, go on from there with the next one; when Redis does, try again until it is back.

Blocks that may still be taken back are handed over only as long as they are those that the ingestor published, and
noted as told, so that their withdrawal follows. Where a reorg has taken the block at which the backfill stands, it
goes on from the published one of that number: what is new below that was delivered live.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import redis

from hookfarm import event_stream
from hookfarm.backfill import chain_view, job_queue, selection
from hookfarm.backfill.chain_view import ChainView
from hookfarm.backfill.job_queue import Piece
from hookfarm.backfill.memory import Memory
from hookfarm.backfill.plan import Plan
from hookfarm.backfill.progress import Progress, Speed
from hookfarm.backfill.source import Source
from hookfarm.backfill.state import Backfill, held_by
from hookfarm.chain.block import Block, Head, linked
from hookfarm.chain.block_feed import BlockFeed
from hookfarm.chain.node import Node
from hookfarm.chain.prover import Prover
from hookfarm.chain.timing import pause_seconds
from hookfarm.errors import ChainUnavailable, Conflict, NotFound
from hookfarm.event_stream import Checkpoint
from hookfarm.matching.index import Index

T = TypeVar("T")

MOST_WAITING = 5_000
"""Jobs in the endpoint's lane, above which nothing more is read: 5 MB, or 10 where each has one that follows."""
PAUSE_SECONDS = 0.25
SIGN_OF_LIFE_SECONDS = 2.0
HISTORY_TRIES = 10
"""How often what was told of a log may change while it is handed over."""


class _WentBack(Exception):
    """It stands before the place where it was: nobody moves it back, so Redis has lost its newest writes."""


class Run:
    """One backfill; `show` is told whenever something has changed."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        plan: Plan,
        index: Index,
        source: Source,
        stands: Backfill,
        show: Callable[[Progress], None],
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._client = client
        self._plan = plan
        self._index = index
        self._source = source
        self._show = show
        self._most_waiting = most_waiting
        self._prover = Prover(plan.chain.chain_id, plan.chain.verify)
        self._prover.transfers = plan.wants_transfers
        self._memory = Memory(client, plan.chain.chain_id, self._prover)
        self._speed = Speed()
        self._at = stands.at
        self._added, self._known, self._waiting = stands.added, stands.known, 0
        self._note = ""

    @property
    def _chain_id(self) -> int:
        return self._plan.chain.chain_id

    @property
    def _next(self) -> int:
        return self._plan.request.from_block if self._at is None else self._at.number + 1

    async def run(self) -> None:
        """Until all is handed over. ChainUnavailable where no node can be reached at first, NotFound where the
        endpoint is removed, Conflict where another process goes on with the same backfill, or with another one of
        the endpoint, if that has an order."""
        if self._plan.endpoint.ordered:
            await self._hold()
        alive = asyncio.create_task(self._give_signs_of_life())
        try:
            await self._run()
        finally:
            alive.cancel()

    async def _run(self) -> None:
        node = await self._source.first_one()
        while True:
            try:
                await self._read(node)
                self._waiting = await self._insist(lambda: job_queue.waiting(self._client, self._plan.endpoint.id))
                return
            except ChainUnavailable as error:
                self._say(str(error))
                self._source.lost(node, error)
            finally:
                await node.close()
            node = await self._source.next_one(self._say)

    async def _hold(self) -> None:
        name = self._plan.request.name
        holder = await self._insist(lambda: job_queue.hold(self._client, name, self._plan.endpoint.id))
        if holder != name:
            raise held_by(holder)

    async def _give_signs_of_life(self) -> None:
        while True:
            with contextlib.suppress(redis.RedisError, OSError):
                now = self.progress(self._note)
                await job_queue.sign_of_life(
                    self._client, self._plan.request.name, now.blocks_per_second, now.note
                )
                if self._plan.endpoint.ordered:
                    await job_queue.hold(self._client, self._plan.request.name, self._plan.endpoint.id)
            await asyncio.sleep(SIGN_OF_LIFE_SECONDS)

    async def _read(self, node: Node) -> None:
        while self._next <= self._plan.to_block:
            with contextlib.suppress(_WentBack):
                await self._read_on(node)

    async def _read_on(self, node: Node) -> None:
        """As far as one branch goes."""
        async with BlockFeed(node, self._prover, self._next, Head(self._plan.to_block)) as feed:
            while blocks := await feed.batch():
                parent = blocks[0].header.parent_hash
                following = linked(self._at.block_hash if self._at else parent, blocks)
                if following:
                    await self._hand_over(node, following)
                else:
                    await self._change_branch(node, parent)
                if len(following) < len(blocks):
                    return

    async def _hand_over(self, node: Node, blocks: Sequence[Block]) -> None:
        """ChainUnavailable where they are not, or not any more, those that the ingestor published."""
        for _ in range(HISTORY_TRIES):
            await self._await_room()
            piece = await self._piece(node, blocks)
            if await self._move(node, piece):
                self._source.succeeded(node)
                return
        number = blocks[-1].header.number
        raise ChainUnavailable(f"what was told of block {number} and those before it changes all the time")

    async def _piece(self, node: Node, blocks: Sequence[Block]) -> Piece:
        view, last = await self._view(), blocks[-1].header
        if last.number > view.settled:
            first = max(self._plan.request.from_block, view.settled + 1)
            await self._insist(lambda: self._memory.extend(node, first))
            if self._prover.transfers:
                await self._insist(lambda: self._memory.complete(blocks))
        selected = await self._insist(
            lambda: selection.select(self._client, self._chain_id, self._index, blocks, view)
        )
        return Piece(
            self._at,
            Checkpoint(last.number, last.block_hash),
            len(blocks),
            sum(len(block.entries) for block in blocks),
            selected.wanted,
            selected.told,
            checked=last.number > view.settled,
            is_last=last.number == self._plan.to_block,
        )

    async def _change_branch(self, node: Node, parent: str) -> None:
        """A reorg has taken the block at which it stands; the one that was published instead is where it goes
        on."""
        assert self._at is not None
        number = self._at.number
        [known] = await self._insist(lambda: event_stream.known_blocks(self._client, self._chain_id, [number]))
        if known is None or known.block_hash != parent:
            raise ChainUnavailable(f"{node.origin}: block {number} is not the one that was read, nor as published")
        await self._move(node, Piece(self._at, known.point, 0, 0, checked=True))

    async def _move(self, node: Node, piece: Piece) -> bool:
        """False where something else was told of a log meanwhile."""
        name, endpoint = self._plan.request.name, self._plan.endpoint
        result, number = await self._insist(
            lambda: job_queue.hand_over(
                self._client, name, endpoint.id, self._chain_id, piece, hold=endpoint.ordered
            )
        )
        if result == "history_changed":
            return False
        if result == "gone":
            raise NotFound(f"endpoint {endpoint.id!r} has been removed, and its backfill with it")
        if result == "locked":
            await self._hold()
            return False
        if result == "unlinked":
            raise ChainUnavailable(f"{node.origin}: block {piece.stands.number} is not the one that was published")
        if result == "moved":
            number = await self._done_before(piece)
        self._at = piece.stands
        self._added += number
        self._known += piece.told + len(piece.wanted) - number
        self._say("")
        return True

    async def _done_before(self, piece: Piece) -> int:
        """An answer was lost and the script ran again; Redis lost its newest writes; somebody else is at work."""
        stands = await self._insist(lambda: job_queue.standing(self._client, self._plan.request.name))
        if stands is not None and stands.is_before(self._at):
            self._at, self._added, self._known = stands
            raise _WentBack
        if stands is None or stands.at != piece.stands:
            raise Conflict("another process goes on with this backfill, or it was forgotten; this one stops")
        return len(piece.wanted)

    async def _view(self) -> ChainView:
        view = await self._insist(lambda: chain_view.look(self._client, self._chain_id))
        if view is None:
            raise ChainUnavailable(f"chain {self._chain_id} has no checkpoint any more")
        return view

    async def _await_room(self) -> None:
        """Back-pressure: what the farm has not taken yet is enough for now."""
        endpoint = self._plan.endpoint.id
        while True:
            self._waiting = await self._insist(lambda: job_queue.waiting(self._client, endpoint))
            if self._waiting < self._most_waiting:
                return
            self._say(f"waiting for the farm to deliver; {self._waiting:,} jobs are in the lane")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _insist(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Redis may come and go; an error in its answer, which a full server gives too, is waited out as well."""
        failures = 0
        while True:
            try:
                return await operation()
            except (redis.RedisError, OSError) as error:
                self._say(f"Redis: {error}")
                await asyncio.sleep(pause_seconds(failures, random.random()))
                failures += 1

    def _say(self, note: str) -> None:
        self._note = note
        self._show(self.progress(note))

    def progress(self, note: str = "") -> Progress:
        """Where it stands."""
        blocks = self._next - self._plan.request.from_block
        return Progress(
            None if self._at is None else self._at.number,
            blocks,
            self._plan.blocks,
            self._added,
            self._known,
            self._waiting,
            self._speed.at(blocks),
            note,
        )
