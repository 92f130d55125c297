"""`/v1/backfills`: the history that endpoints are being sent, and how far that is. They are begun and stopped by
the command line, where they run."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from hookfarm.api import examples
from hookfarm.api.context import Context
from hookfarm.api.openapi import described
from hookfarm.api.pagination import cursor_parts, listed
from hookfarm.api.parameters import Cursor, EndpointFilter, Limit
from hookfarm.backfill import state as backfills
from hookfarm.backfill.state import STATES, Position, Wanted

_State = Annotated[
    str | None, Query(description=f"Only those that are {', '.join(STATES)}.", pattern=f"^({'|'.join(STATES)})$")
]


def build_router(context: Context) -> APIRouter:
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
