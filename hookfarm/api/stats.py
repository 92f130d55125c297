"""`/v1/stats`, `/v1/chains` and `/v1/backfills`: the state of the whole farm, of each chain, of each backfill."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse

from hookfarm import status
from hookfarm.api import examples
from hookfarm.api.context import Context
from hookfarm.api.openapi import described
from hookfarm.api.requests import ChainId, Cursor, EndpointFilter, Limit
from hookfarm.api.responses import Problem, cursor_parts, json_response, page_response
from hookfarm.api.snapshot_stream import MAX_CLIENTS, SnapshotBroadcast
from hookfarm.backfill import state as backfills
from hookfarm.backfill.state import STATES, BackfillCursor, BackfillFilter
from hookfarm.errors import NotFound
from hookfarm.status import ChainStatus

_SUMMARY = """The status of every service, the depths of every hop, and rates.

Unknown numbers are null. Latencies are those of the last ten seconds; `per_second` is the mean of the last five.
/v1/backfills has all backfills."""
_STREAM_SUMMARY = f"""Server-sent events: `stats` each second, `unavailable` with a `reason` while Redis fails.

One read of Redis a second serves all clients; at most {MAX_CLIENTS} may be connected."""


def stats_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/stats", tags=["stats"])
    broadcast = SnapshotBroadcast(
        partial(status.take_snapshot_async, context.async_client), context.stopping.is_set
    )

    @router.get("", **described("The state of the farm.", examples.SNAPSHOT, "Snapshot"), description=_SUMMARY)
    async def stats() -> Response:
        return json_response(await broadcast.latest())

    @router.get(
        "/stream",
        summary="The state of the farm, live.",
        description=_STREAM_SUMMARY,
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {"example": 'event: stats\ndata: {"timestamp": "…"}\n\n'}}},
            503: {"description": "Too many clients."},
        },
    )
    async def stream() -> Response:
        if broadcast.is_full:
            raise Problem(503, f"{MAX_CLIENTS} clients are connected already.")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(broadcast.frames(), media_type="text/event-stream", headers=headers)

    return router


def chains_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/chains", tags=["chains"])

    async def rows() -> list[ChainStatus]:
        reached = (await status.take_snapshot_async(context.async_client))["chains"]
        return status.with_configured(reached, (chain.chain_id for chain in context.settings.chains))

    @router.get("", **described("Chains, by id.", examples.CHAINS, "ChainPage"))
    async def list_chains() -> Response:
        """Head, checkpoint, lag and nodes of each chain. A chain that this farm is configured to follow and that
        no ingestor has reached is not ready."""
        return page_response(await rows(), None)

    @router.get("/{chain_id}", **described("One chain.", examples.CHAIN, "ChainStatus", errors=(404,)))
    async def show_chain(chain_id: ChainId) -> Response:
        for row in await rows():
            if row["chain_id"] == chain_id:
                return json_response(row)
        raise NotFound(f"no chain {chain_id}")

    return router


_State = Annotated[
    str | None, Query(description=f"Only those that are {', '.join(STATES)}.", pattern=f"^({'|'.join(STATES)})$")
]


def backfills_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/backfills", tags=["backfills"])
    client = context.client

    @router.get("", **described("Backfills, the newest heartbeat first.", examples.BACKFILLS, "BackfillPage"))
    def list_backfills(
        limit: Limit = 50, cursor: Cursor = None, endpoint: EndpointFilter = None, state: _State = None
    ) -> Response:
        """Progress of each backfill, for 30 days. A backfill without a heartbeat for 10 s is stopped; the command
        that started it continues it."""
        found, following = backfills.page(client, BackfillFilter(endpoint, state), _position(cursor), limit)
        return page_response([each.public() for each in found], following)

    return router


def _position(text: str | None) -> BackfillCursor | None:
    parts = cursor_parts(text, int, str)
    return None if parts is None else (parts[0], parts[1])
