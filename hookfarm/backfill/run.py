"""The loop of a backfill.

1. Connect to a node of the right chain.
2. Read the next blocks, linked to the backfill's position and proven complete.
3. While the endpoint's backfill queue is full, wait.
4. Submit the jobs and the new position in one script, which a SIGKILL leaves done or not done.
5. If the node fails, continue from the position with the next one. If Redis fails, retry until it is up.

Blocks that a reorg may replace are submitted only while they are the published ones. Their logs enter the history,
so that a rollback reaches the endpoint. If a reorg has replaced the position's block, the backfill continues from
the published block of the same number: live delivery covers the blocks below it.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import redis

from hookfarm.backfill import job_queue, selection
from hookfarm.backfill.chain_view import ChainView, RememberedBlocksExtension, read_chain_view
from hookfarm.backfill.job_queue import Batch
from hookfarm.backfill.plan import BackfillPlan
from hookfarm.backfill.state import Backfill, Progress, locked_by
from hookfarm.chain.block import Block, Head, linked
from hookfarm.chain.block_feed import BlockFeed
from hookfarm.chain.budget import kept_in_redis
from hookfarm.chain.failover import Failover, FailoverListener
from hookfarm.chain.filtered_reader import FilteredReader
from hookfarm.chain.node import Node
from hookfarm.chain.node_pool import NodeProfile
from hookfarm.chain.prover import Prover
from hookfarm.chain.rpc import Doubtful
from hookfarm.chain.timing import NodeTimeouts
from hookfarm.errors import ChainUnavailable, Conflict, NotFound
from hookfarm.event_stream import (
    AcceptedBlock,
    Checkpoint,
    DoubtfulBlock,
    RetryingChainStream,
    accepted_block,
    forget_doubtful_blocks,
    read_remembered,
    record_doubtful_block,
)
from hookfarm.matching.index import Index
from hookfarm.rates import SlidingRate
from hookfarm.store import keys
from hookfarm.store.clients import RetryingClient

MAX_QUEUED = 5_000
"""Jobs in the endpoint's backfill queue at which reading pauses: 5 MB, 10 MB with follow-ups."""
PAUSE_SECONDS = 0.25
HEARTBEAT_SECONDS = 2.0
MAX_SUBMIT_TRIES = 10
"""Max tries to submit a batch; a try fails if the history of one of its logs has changed."""
RATE_SECONDS = 10.0
DEFAULT_TIMEOUTS = NodeTimeouts()


class _WentBack(Exception):
    """The stored position is before the current one, because Redis has lost its newest writes."""


class _NodeErrors(FailoverListener):
    """Reports the errors of nodes after the first connection."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._is_connected = False

    def on_active(self, node: Node) -> None:
        self._is_connected = True

    def on_failed(self, profile: NodeProfile, error: Exception, cooldown_seconds: float) -> None:
        if self._is_connected:
            self._show(str(error))


class BackfillRun:
    """One run of a backfill: reads its blocks and submits their jobs.

    `show` is called with each change of its progress.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        plan: BackfillPlan,
        stored: Backfill,
        show: Callable[[Progress], None],
        timeouts: NodeTimeouts = DEFAULT_TIMEOUTS,
        max_queued: int = MAX_QUEUED,
    ) -> None:
        """Compile the plan's subscriptions. Raises InvalidInput for an invalid one."""
        self._client = client
        self._redis = RetryingClient(client, lambda error: self._report(f"Redis: {error}"))
        self._stream = RetryingChainStream(self._redis, plan.chain.chain_id)
        self._plan = plan
        self._index = Index()
        for problem in self._index.put(plan.endpoint):
            raise problem
        self._show = show
        self._timeouts = timeouts
        self._max_queued = max_queued
        self._nodes = Failover(
            plan.chain, timeouts, self._pin_block, _NodeErrors(self._report), _first_block_hint(plan)
        )
        self._prover = Prover(plan.chain.chain_id, plan.chain.verify)
        self._prover.transfers = plan.wants_transfers
        criteria = selection.log_criteria(plan)
        self._filtered = None if criteria is None else FilteredReader(self._prover, criteria)
        self._prover.find_accepted = self._find_accepted
        self._doubtful: DoubtfulBlock | None = None
        self._history = RememberedBlocksExtension(self._stream, self._prover)
        self._rate = SlidingRate(RATE_SECONDS)
        self._position = stored.position
        self._delivered_new, self._already_delivered, self._queued = (
            stored.delivered_new,
            stored.already_delivered,
            0,
        )
        self._logs_received = stored.logs_received
        self._logs_submitted = 0
        """Logs received in this run that the stored state includes."""
        self._reason = ""

    @property
    def _chain_id(self) -> int:
        return self._plan.chain.chain_id

    @property
    def _next(self) -> int:
        return self._plan.request.from_block if self._position is None else self._position.number + 1

    async def run(self) -> None:
        """Run until all blocks are submitted.

        Raises ChainUnavailable if no node answers at the start, and NotFound if the endpoint is removed. Raises
        Conflict if another process runs this backfill, or another one of the same ordered endpoint.
        """
        if self._plan.endpoint.ordered:
            await self._lock_endpoint()
        heartbeat = asyncio.create_task(self._send_heartbeats())
        try:
            async with kept_in_redis(self._redis, [profile.budget for profile in self._nodes.pool.all]):
                await self._run()
        finally:
            heartbeat.cancel()

    async def _run(self) -> None:
        node = await self._connect()
        while True:
            try:
                await self._read(node)
                self._queued = await self._redis.call(job_queue.queue_length, self._plan.endpoint.id)
                return
            except ChainUnavailable as error:
                if isinstance(error, Doubtful):
                    await self._record_doubt(error)
                self._nodes.lost(node, error)
            finally:
                await node.close()
            node = await self._nodes.reconnect()

    async def _find_accepted(self, number: int, block_hash: str) -> AcceptedBlock | None:
        return await self._stream.call(accepted_block, number, block_hash)

    async def _record_doubt(self, error: Doubtful) -> None:
        """Store the block that is not proven, for operators to see and accept."""
        facts = (error.number, error.block_hash, error.logs, str(error))
        self._doubtful = DoubtfulBlock(*facts, found_by="backfill")
        await self._stream.call(record_doubtful_block, self._doubtful)

    async def _lock_endpoint(self) -> None:
        name = self._plan.request.name
        owner = await self._redis.call(job_queue.lock_endpoint, name, self._plan.endpoint.id)
        if owner != name:
            raise locked_by(owner)

    async def _send_heartbeats(self) -> None:
        while True:
            with contextlib.suppress(redis.RedisError, OSError):
                now = self.progress(self._reason)
                await job_queue.heartbeat(self._client, self._plan.request.name, now.blocks_per_second, now.reason)
                if self._plan.endpoint.ordered:
                    await job_queue.lock_endpoint(self._client, self._plan.request.name, self._plan.endpoint.id)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _read(self, node: Node) -> None:
        while self._next <= self._plan.to_block:
            with contextlib.suppress(_WentBack):
                await self._read_on(node)

    async def _read_on(self, node: Node) -> None:
        """Read blocks until the end of the plan or until a reorg."""
        head = Head(self._plan.to_block)
        async with BlockFeed(node, self._prover, self._next, head, self._filtered) as feed:
            while blocks := await feed.batch():
                parent = blocks[0].header.parent_hash
                following = linked(self._position.block_hash if self._position else parent, blocks)
                if following:
                    await self._submit(node, following)
                else:
                    await self._change_branch(node, parent)
                if len(following) < len(blocks):
                    return

    async def _submit(self, node: Node, blocks: Sequence[Block]) -> None:
        """Submit the jobs of blocks. Raises ChainUnavailable if the blocks differ from the published ones."""
        for _ in range(MAX_SUBMIT_TRIES):
            await self._await_room()
            batch = await self._batch(node, blocks)
            if await self._move(node, batch):
                self._nodes.succeeded(node)
                return
        number = blocks[-1].header.number
        raise ChainUnavailable(f"the history of block {number} or an earlier one keeps changing")

    async def _batch(self, node: Node, blocks: Sequence[Block]) -> Batch:
        view, last = await self._view(), blocks[-1].header
        if last.number > view.settled:
            first = max(self._plan.request.from_block, view.settled + 1)
            await self._history.extend(node, first)
            if self._prover.transfers:
                await self._history.add_transfers(blocks)
        selected = await self._redis.call(selection.select, self._chain_id, self._index, blocks, view)
        return Batch(
            self._position,
            Checkpoint(last.number, last.block_hash),
            len(blocks),
            self._prover.received - self._logs_submitted,
            selected.logs,
            selected.already_delivered,
            checked=last.number > view.settled,
            is_last=last.number == self._plan.to_block,
        )

    async def _change_branch(self, node: Node, parent: str) -> None:
        """Continue from the published block that replaced the position's block in a reorg."""
        assert self._position is not None
        number = self._position.number
        [known] = await self._stream.call(read_remembered, [number])
        if known is None or known.block_hash != parent:
            problem = f"block {number} is neither the one read before nor the published one"
            raise ChainUnavailable(f"{node.origin}: {problem}")
        await self._move(node, Batch(self._position, known.point, 0, 0, checked=True))

    async def _move(self, node: Node, batch: Batch) -> bool:
        """Submit a batch. Return False if the history of one of its logs has changed meanwhile."""
        name, endpoint = self._plan.request.name, self._plan.endpoint
        result, number = await self._redis.call(
            job_queue.submit, name, endpoint.id, self._chain_id, batch, lock=endpoint.ordered
        )
        if result == "history_changed":
            return False
        if result == "gone":
            raise NotFound(f"endpoint {endpoint.id!r} has been removed, and its backfill with it")
        if result == "locked":
            await self._lock_endpoint()
            return False
        if result == "unlinked":
            raise ChainUnavailable(f"{node.origin}: block {batch.position.number} differs from the published one")
        if result == "moved":
            number = await self._submitted_before(batch)
        self._position = batch.position
        self._logs_submitted += batch.logs_received
        self._logs_received += batch.logs_received
        if self._doubtful is not None and self._doubtful.block_number <= batch.position.number:
            await self._stream.call(forget_doubtful_blocks, [self._doubtful.block_number])
            self._doubtful = None
        self._delivered_new += number
        self._already_delivered += batch.already_delivered + len(batch.logs) - number
        self._report("")
        return True

    async def _submitted_before(self, batch: Batch) -> int:
        """Handle a stored position that differs from the current one; return the number of submitted logs.

        Causes: the script ran twice because a reply was lost; Redis lost its newest writes; another process runs
        this backfill. Raises _WentBack or Conflict.
        """
        stored = await self._redis.call(job_queue.read_position, self._plan.request.name)
        if stored is not None and stored.is_before(self._position):
            self._position, self._delivered_new, self._already_delivered = stored
            raise _WentBack
        if stored is None or stored.checkpoint != batch.position:
            raise Conflict("another process continues this backfill, or it was deleted; this one stops")
        return len(batch.logs)

    async def _view(self) -> ChainView:
        view = await self._redis.call(read_chain_view, self._chain_id)
        if view is None:
            raise ChainUnavailable(f"chain {self._chain_id} has lost its checkpoint")
        return view

    async def _await_room(self) -> None:
        """Wait while the backfill queue is full (back-pressure)."""
        endpoint = self._plan.endpoint.id
        while True:
            self._queued = await self._redis.call(job_queue.queue_length, endpoint)
            if self._queued < self._max_queued:
                return
            self._report(f"waiting for the farm to deliver; {self._queued:,} jobs are in the backfill queue")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _connect(self) -> Node:
        """Return the first node. Raises ChainUnavailable if none answers in time, or WrongChain."""
        try:
            async with asyncio.timeout(self._timeouts.boot_seconds):
                return await self._nodes.connect()
        except TimeoutError as error:
            reason = self._nodes.last_error or f"no node answers within {self._timeouts.boot_seconds:g} s"
            raise ChainUnavailable(f"{self._nodes.name}: {reason}") from error

    async def _pin_block(self, block: Checkpoint | None) -> Checkpoint | None:
        return self._plan.first_block or block

    def _report(self, reason: str) -> None:
        self._reason = reason
        self._show(self.progress(reason))

    def progress(self, reason: str = "") -> Progress:
        """Return the progress of the backfill."""
        blocks = self._next - self._plan.request.from_block
        return Progress(
            None if self._position is None else self._position.number,
            blocks,
            self._plan.blocks,
            self._delivered_new,
            self._already_delivered,
            self._queued,
            self._logs_received,
            self._rate.add(time.monotonic(), blocks),
            reason,
        )


def _first_block_hint(plan: BackfillPlan) -> str:
    return f" ({keys.genesis(plan.chain.chain_id)})"
