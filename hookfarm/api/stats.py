"""`/v1/stats`, `/v1/chains` and `/v1/backfills`: the state of the whole farm, of each chain, of each backfill."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse

from hookfarm import status
from hookfarm.api import examples
from hookfarm.api.context import Context
from hookfarm.api.live import MOST_WATCHERS, Watch
from hookfarm.api.openapi import described
from hookfarm.api.requests import ChainId, Cursor, EndpointFilter, Limit
from hookfarm.api.responses import Problem, answer, cursor_parts, listed
from hookfarm.backfill import state as backfills
from hookfarm.backfill.state import STATES, Position, Wanted
from hookfarm.errors import NotFound
from hookfarm.status import take_async

_QUANTILES = {"p50": 0.0012, "p99": 0.0084}
EXAMPLE: dict[str, Any] = {
    "timestamp": "2026-01-31T12:00:00.000Z",
    "version": "0.1.0",
    "services": {
        "webhook_delivery": {
            "ready": True, "heard_seconds_ago": 0.3, "workers": 50, "workers_up": 50, "reason": "",
            "host": "farm-1", "pid": 4711, "timestamp": "2026-01-31T11:59:59.700Z",
        }
    },
    "chains": [examples.CHAIN],
    "streams": [{"chain_id": 1, "length": 12, "pending": 12, "lag": 0}],
    "queue": {"queued": 0, "open": 3, "parked": 40, "retry": 2, "dead": 1, "unconfirmed": 7, "in_lanes": 310},
    "backfills": [examples.BACKFILL],
    "delivery": {
        "activity": "bbbpb", "delivered": 61500, "failed_attempts": 12, "dead": 1, "per_second": 51.2,
        "post_seconds": _QUANTILES, "queued_to_delivered_seconds": _QUANTILES,
    },
    "endpoints": {"total": 12, "enabled": 11, "circuit_open": 1},
}  # fmt: skip
_SUMMARY = """What every service says, how much waits at each hop, and how fast it flows.

Unknown numbers are null. Latencies are those of the last ten seconds; `per_second` is the mean of the last five
and null until somebody has looked twice. `activity` has a letter for each delivery process: `b` blocked in BRPOP,
`p` posting, `r` restarting, `s` stalled. `backfills` has those that are not
done among the ten that gave the last signs of life; /v1/backfills has all."""


def stats_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/stats", tags=["stats"])
    watch = Watch(partial(take_async, context.async_client), context.stopping.is_set)

    @router.get(
        "",
        summary="The farm at a glance.",
        description=_SUMMARY,
        response_model=dict[str, Any],
        responses={200: {"content": {"application/json": {"example": EXAMPLE}}}},
    )
    async def stats() -> Any:
        return await watch.look()

    @router.get(
        "/stream",
        summary="The same, live.",
        description="Server-sent events: `stats` each second, `trouble` with a `reason` while Redis fails. One "
        f"read of Redis a second serves all; at most {MOST_WATCHERS} may watch.",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {"example": 'event: stats\ndata: {"timestamp": "…"}\n\n'}}},
            503: {"description": "Too many watch already."},
        },
    )
    async def stream() -> Response:
        if watch.full:
            raise Problem(503, f"{MOST_WATCHERS} are watching already.")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(watch.frames(), media_type="text/event-stream", headers=headers)

    return router


def chains_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/chains", tags=["chains"])

    async def rows() -> list[dict[str, Any]]:
        heard = (await status.take_async(context.async_client))["chains"]
        return status.with_unheard(heard, (chain.chain_id for chain in context.settings.chains))

    @router.get("", **described("The chains that are watched.", examples.CHAINS, "Chains"))
    async def list_chains() -> Response:
        """Head, checkpoint and lag of each, by id; what a block costs in requests, and how its nodes do. One that
        this farm is to watch and whose ingestor has said nothing so far is not ready."""
        return listed(await rows(), None)

    @router.get("/{chain_id}", **described("One chain.", examples.CHAIN, "Chain", errors=(404,)))
    async def show_chain(chain_id: ChainId) -> Response:
        for row in await rows():
            if row["chain_id"] == chain_id:
                return answer(row)
        raise NotFound(f"no chain {chain_id}")

    return router


_State = Annotated[
    str | None, Query(description=f"Only those that are {', '.join(STATES)}.", pattern=f"^({'|'.join(STATES)})$")
]


def backfills_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/backfills", tags=["backfills"])
    client = context.client

    @router.get("", **described("Backfills, the last to move first.", examples.BACKFILLS, "BackfillPage"))
    def list_backfills(
        limit: Limit = 50, cursor: Cursor = None, endpoint: EndpointFilter = None, state: _State = None
    ) -> Response:
        """How many of its blocks each has read and how fast, and what waits in its endpoint's lane. They are
        remembered for 30 days. One that gives no sign of life for 10 s is stopped: it was told to, or killed, and
        the same command goes on with it."""
        found, following = backfills.page(client, Wanted(endpoint, state), _position(cursor), limit)
        return listed([each.public() for each in found], following)

    return router


def _position(text: str | None) -> Position | None:
    parts = cursor_parts(text, int, str)
    return None if parts is None else (parts[0], parts[1])
