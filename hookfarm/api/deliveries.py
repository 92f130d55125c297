"""`/v1/deliveries`: what became of each, and again."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from hookfarm.api import delivery_rows, examples, parameters
from hookfarm.api.context import Context
from hookfarm.api.openapi import described
from hookfarm.api.pagination import answer, cursor_parts, listed
from hookfarm.api.parameters import Cursor, DeliveryId, EndpointFilter, Limit, Since, Until
from hookfarm.api.problems import Problem
from hookfarm.deliveries import log
from hookfarm.deliveries.filters import ERRORS, PLACES
from hookfarm.deliveries.state_index import Position

_Status = Annotated[
    str | None,
    Query(
        pattern=rf"^(delivered|failed|[1-5][0-9][0-9]|{'|'.join((*ERRORS, *PLACES))})$",
        description="Attempts that were `delivered` or `failed`, of an HTTP status or with an error; or "
        "deliveries that are `open`, `parked` (needs `endpoint`), `retry` or `dead` now, each with its last one.",
    ),
]


def build_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/deliveries", tags=["deliveries"])
    client = context.client

    @router.get("", **described("The attempts, the newest first.", examples.ATTEMPTS, "AttemptPage"))
    def list_deliveries(
        limit: Limit = 50,
        cursor: Cursor = None,
        endpoint: EndpointFilter = None,
        status: _Status = None,
        since: Since = None,
        until: Until = None,
    ) -> Response:
        """Where each one's delivery is now is said in `now`. A page may hold fewer than `limit`, and none, as long
        as there is a `next_cursor`: a filter reads 2,000 attempts at a time. What waits for a retry comes in the
        order in which it is due."""
        if status in PLACES:
            if since is not None or until is not None:
                raise Problem(
                    422, f"It does not go with status={status}.", "since" if since is not None else "until"
                )
            if status == "parked" and endpoint is None:
                raise Problem(422, "status=parked needs the endpoint.", "endpoint")
            parts = cursor_parts(cursor, float, str)
            page = delivery_rows.standing(client, status, endpoint, Position(*parts) if parts else None, limit)
            return listed(*page)
        logged: Any = cursor_parts(cursor, str)
        asked = delivery_rows.Asked(endpoint, status, parameters.moment(since, 0), parameters.moment(until, -1))
        return listed(*delivery_rows.find_attempts(client, asked, logged[0] if logged else None, limit))

    @router.get(
        "/{delivery_id}",
        **described("One delivery with all its attempts.", examples.DELIVERY, "Delivery", errors=(404,)),
    )
    def get_delivery(delivery_id: DeliveryId) -> Response:
        """Where it is, each attempt with what the endpoint said, and the payload."""
        return answer(log.find(client, delivery_id).public())

    @router.post(
        "/{delivery_id}/redeliver",
        **described("Sends it again.", examples.AGAIN, "Delivery", errors=(404, 409)),
    )
    def redeliver(delivery_id: DeliveryId) -> Response:
        """Under the same id, on a schedule that begins anew; 409 where it is on its way already."""
        log.send_again(client, log.find(client, delivery_id))
        return answer(log.find(client, delivery_id).public())

    return router
