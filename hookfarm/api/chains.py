"""`/v1/chains`: where each chain stands."""

from fastapi import APIRouter
from starlette.responses import Response

from hookfarm import picture
from hookfarm.api import examples
from hookfarm.api.context import Context
from hookfarm.api.openapi import described
from hookfarm.api.replies import listed

_UNKNOWN = ("head", "checkpoint", "lag_blocks", "lag_seconds", "safe", "finalized", "rpc_requests_per_block")


def build_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/chains", tags=["chains"])

    @router.get("", **described("The chains that are watched.", examples.CHAINS, "Chains"))
    async def list_chains() -> Response:
        """Head, checkpoint and lag of each, by id. One that this farm is to watch and whose ingestor has said
        nothing so far is not ready."""
        rows = {row["chain_id"]: row for row in (await picture.take_async(context.async_client))["chains"]}
        for chain in context.settings.chains:
            unknown = {**dict.fromkeys(_UNKNOWN), "events_published": 0, "catch_up": None}
            silent = {"chain_id": chain.chain_id, **unknown, "ready": False, "why": "no ingestor has reached it"}
            rows.setdefault(chain.chain_id, silent)
        return listed([rows[chain_id] for chain_id in sorted(rows)], None)

    return router
