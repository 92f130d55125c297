"""`/v1/stats`, `/v1/chains` and `/v1/backfills`: the state of the farm, its chains and its backfills."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import orjson
import redis
from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse

from hookfarm import logs, status
from hookfarm.api import examples
from hookfarm.api.context import Context
from hookfarm.api.openapi import described
from hookfarm.api.requests import ChainId, Cursor, EndpointFilter, JsonObject, Limit
from hookfarm.api.responses import Problem, cursor_parts, json_response, page_response
from hookfarm.backfill import state as backfills
from hookfarm.backfill.state import STATES, BackfillCursor, BackfillFilter
from hookfarm.errors import Conflict, NotFound
from hookfarm.event_stream import accept_block, doubtful_block
from hookfarm.status import ChainStatus, Rates, Snapshot
from hookfarm.store import keys

INTERVAL_SECONDS = 1.0
MAX_CLIENTS = 100
HELLO = b": hookfarm stats\nretry: 2000\n\n"
"""First bytes of a stream, sent at once to confirm the connection."""
HEARTBEAT = b": waiting for Redis\n\n"

BLOCK_HASH = "0[xX][0-9a-fA-F]{64}"

log = logs.get("api")

_SUMMARY = """Status of every service, depths of every hop, and rates.

Unknown numbers are null. Latencies cover the last ten seconds; `per_second` is the mean of the last five.
/v1/backfills lists all backfills."""
_STREAM_SUMMARY = f"""Server-sent events: `stats` each second, `unavailable` with a `reason` while Redis fails.

One read of Redis per second serves all clients, at most {MAX_CLIENTS}."""


def stats_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/stats", tags=["stats"])
    broadcast = SnapshotBroadcast(
        partial(status.take_snapshot_async, context.async_client), context.stopping.is_set
    )

    @router.get("", **described("Get the state of the farm.", examples.SNAPSHOT, "Snapshot"), description=_SUMMARY)
    async def stats() -> Response:
        return json_response(await broadcast.latest())

    @router.get(
        "/stream",
        summary="Stream the state of the farm.",
        description=_STREAM_SUMMARY,
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {"example": 'event: stats\ndata: {"timestamp": "…"}\n\n'}}},
            503: {"description": "Too many clients."},
        },
    )
    async def stream() -> Response:
        if broadcast.is_full:
            raise Problem(503, f"{MAX_CLIENTS} clients are connected, the maximum; try again later.")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(broadcast.frames(), media_type="text/event-stream", headers=headers)

    return router


def chains_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/chains", tags=["chains"])

    async def rows() -> list[ChainStatus]:
        reached = (await status.take_snapshot_async(context.async_client))["chains"]
        return status.with_configured(reached, (chain.chain_id for chain in context.settings.chains))

    @router.get("", **described("List chains by id.", examples.CHAINS, "ChainPage"))
    async def list_chains() -> Response:
        """Return head, checkpoint, lag and nodes of each chain. Configured chains without a report are unready."""
        return page_response(await rows(), None)

    @router.get("/{chain_id}", **described("Get a chain.", examples.CHAIN, "ChainStatus", errors=(404,)))
    async def show_chain(chain_id: ChainId) -> Response:
        for row in await rows():
            if row["chain_id"] == chain_id:
                return json_response(row)
        raise NotFound(f"chain {chain_id} not found")

    @router.post(
        "/{chain_id}/accept",
        **described(
            "Accept a doubtful block.",
            examples.ACCEPTED_BLOCK,
            "AcceptedBlockStatus",
            body="BlockToAccept",
            errors=(404, 409),
        ),
    )
    def accept_doubtful_block(chain_id: ChainId, body: JsonObject) -> Response:
        """Publish one of the chain's `doubtful_blocks` at the next try, with the logs that the node gives. They
        are not proven: some may be missing or wrong. A block of another hash needs a new acceptance."""
        number, block_hash = _block_to_accept(body)
        block = doubtful_block(context.client, chain_id, number)
        if block_hash not in (None, block.block_hash):
            raise Conflict(f"block {number}: the doubtful block is {block.block_hash}")
        accepted = accept_block(context.client, chain_id, block, accepted_by="api")
        log.warning("block accepted", chain=chain_id, block=number, by="api", reason=block.reason)
        return json_response(asdict(accepted))

    return router


def _block_to_accept(body: dict[str, Any]) -> tuple[int, str | None]:
    """Return number and hash of a body; the hash is optional. Raises a Problem if one is invalid."""
    for name in body:
        if name not in ("block_number", "block_hash"):
            raise Problem(422, "Unknown field; allowed are block_number and block_hash.", name[:80])
    number, block_hash = body.get("block_number"), body.get("block_hash")
    if type(number) is not int or not 0 <= number < 2**63:
        raise Problem(422, "Must be a block number, a whole number from 0.", "block_number")
    if "block_hash" in body and not (isinstance(block_hash, str) and re.fullmatch(BLOCK_HASH, block_hash)):
        raise Problem(422, "Must be 0x and 64 hexadecimal digits.", "block_hash")
    return number, block_hash.lower() if block_hash else None


_State = Annotated[
    str | None, Query(description=f"Filter by state: {', '.join(STATES)}.", pattern=f"^({'|'.join(STATES)})$")
]


def backfills_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/backfills", tags=["backfills"])
    client = context.client

    @router.get("", **described("List backfills, newest heartbeat first.", examples.BACKFILLS, "BackfillPage"))
    def list_backfills(
        limit: Limit = 50, cursor: Cursor = None, endpoint: EndpointFilter = None, state: _State = None
    ) -> Response:
        """Return the progress of each backfill, for 30 days. A backfill without a heartbeat for 10 s is stopped;
        the same command continues it."""
        found, following = backfills.page(client, BackfillFilter(endpoint, state), _position(cursor), limit)
        return page_response([each.public() for each in found], following)

    return router


def _position(text: str | None) -> BackfillCursor | None:
    parts = cursor_parts(text, int, str)
    return None if parts is None else (parts[0], parts[1])


class SnapshotBroadcast:
    """Broadcast of one snapshot per second to all clients of an API process.

    The loop's clock counts the seconds. The first client in a second reads the snapshot; the others get the same
    bytes. While Redis fails, the stream continues with `unavailable` events.

    `read` returns a snapshot; `is_stopping` ends all streams.
    """

    def __init__(self, read: Callable[[], Awaitable[Snapshot]], is_stopping: Callable[[], bool]) -> None:
        self._read = read
        self._is_stopping = is_stopping
        self._rates = Rates()
        self._lock = asyncio.Lock()
        self._second = -1
        self._snapshot: Snapshot | None = None
        self._frame = b""
        self._is_failing = False
        self.clients = 0

    @property
    def is_full(self) -> bool:
        return self.clients >= MAX_CLIENTS

    async def latest(self) -> Snapshot:
        """Return the snapshot of this second. Raises RedisError."""
        async with self._lock:
            second = self._now()
            if second != self._second or self._snapshot is None:
                snapshot = await self._read()
                self._rates.observe(snapshot["services"][keys.WEBHOOK_DELIVERY])
                snapshot["delivery"]["per_second"] = self._rates.per_second
                self._snapshot, self._frame, self._second = snapshot, _event("stats", snapshot), second
            return self._snapshot

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Yield server-sent events until the process stops: `stats` each second, `unavailable` if Redis fails."""
        self.clients += 1
        try:
            yield HELLO
            while not self._is_stopping():
                async for frame in self._next():
                    yield frame
                await asyncio.sleep(self._until_next_second())
        finally:
            self.clients -= 1

    async def _next(self) -> AsyncGenerator[bytes, None]:
        """Yield this second's frame, preceded by a heartbeat for each second of waiting."""
        reading = asyncio.create_task(self._latest_frame())
        try:
            while not reading.done():
                await asyncio.wait({reading}, timeout=INTERVAL_SECONDS)
                yield reading.result() if reading.done() else HEARTBEAT
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    async def _latest_frame(self) -> bytes:
        try:
            await self.latest()
        except redis.RedisError as error:
            if not self._is_failing:
                log.warning("stats unavailable", error=str(error))
            self._is_failing = True
            return _event("unavailable", {"reason": "Redis is unavailable."})
        self._is_failing = False
        return self._frame

    def _now(self) -> int:
        return int(asyncio.get_running_loop().time() / INTERVAL_SECONDS)

    def _until_next_second(self) -> float:
        return (self._now() + 1) * INTERVAL_SECONDS - asyncio.get_running_loop().time()


def _event(name: str, data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))
