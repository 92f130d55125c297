"""`/v1/chains`: where each chain stands."""

from fastapi import APIRouter
from starlette.responses import Response

from hookfarm import picture
from hookfarm.api import examples
from hookfarm.api.context import Context
from hookfarm.api.openapi import described
from hookfarm.api.replies import listed


def build_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/chains", tags=["chains"])

    @router.get("", **described("The chains that are watched.", examples.CHAINS, "Chains"))
    async def list_chains() -> Response:
        """Head, checkpoint and lag of each, by id. One that this farm is to watch and whose ingestor has said
        nothing so far is not ready."""
        heard = (await picture.take_async(context.async_client))["chains"]
        return listed(picture.with_unheard(heard, (chain.chain_id for chain in context.settings.chains)), None)

    return router
