"""`/v1/chains`: where each chain stands, and how its nodes do."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from hookfarm import status
from hookfarm.api import examples
from hookfarm.api.context import Context
from hookfarm.api.openapi import described
from hookfarm.api.pagination import answer, listed
from hookfarm.api.parameters import ChainId
from hookfarm.errors import NotFound


def build_router(context: Context) -> APIRouter:
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
