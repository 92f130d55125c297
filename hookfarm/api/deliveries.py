"""`/v1/deliveries`: attempts and deliveries, listed, shown and redelivered."""

from collections.abc import Sequence
from typing import Annotated, Any

import redis
from fastapi import APIRouter, Query
from starlette.responses import Response

from hookfarm.api import examples, requests
from hookfarm.api.context import Context
from hookfarm.api.openapi import described
from hookfarm.api.requests import Cursor, DeliveryId, EndpointFilter, Limit, Since, Until
from hookfarm.api.responses import Problem, cursor, cursor_parts, json_response, page_response
from hookfarm.deliveries import attempts, log, redelivery, state_index
from hookfarm.deliveries.filters import LISTED_STATES, TRANSPORT_ERRORS, AttemptFilter
from hookfarm.deliveries.state_index import Position
from hookfarm.errors import InvalidInput

MAX_SCANNED = 2000
"""Attempts read for one page."""

_Status = Annotated[
    str | None,
    Query(
        pattern=rf"^(delivered|failed|[1-5][0-9][0-9]|{'|'.join((*TRANSPORT_ERRORS, *LISTED_STATES))})$",
        description="Attempts: `delivered`, `failed`, an HTTP status or an error. Deliveries with their last "
        "attempt: `open`, `parked` (requires `endpoint`), `retry` or `dead`.",
    ),
]


def build_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/deliveries", tags=["deliveries"])
    client = context.client

    @router.get("", **described("List attempts, newest first.", examples.ATTEMPTS, "AttemptPage"))
    def list_deliveries(
        limit: Limit = 50,
        cursor: Cursor = None,
        endpoint: EndpointFilter = None,
        status: _Status = None,
        since: Since = None,
        until: Until = None,
    ) -> Response:
        """`state` is the current state of the attempt's delivery. A page may contain fewer than `limit` attempts
        and still have a `next_cursor`: a filter reads 2,000 attempts at a time. Deliveries in `retry` are sorted
        by due time."""
        if status in LISTED_STATES:
            if since is not None or until is not None:
                raise Problem(
                    422, f"Cannot be combined with status={status}.", "since" if since is not None else "until"
                )
            if status == "parked" and endpoint is None:
                raise Problem(422, "Missing; status=parked requires an endpoint.", "endpoint")
            parts = cursor_parts(cursor, float, str)
            page = _in_state(client, status, endpoint, Position(*parts) if parts else None, limit)
            return page_response(*page)
        logged: Any = cursor_parts(cursor, str)
        until_ms = None if until is None else requests.time_ms(until, 0)
        endpoints = () if endpoint is None else (endpoint,)
        attempt_filter = AttemptFilter(endpoints, status, requests.time_ms(since, 0), until_ms)
        return page_response(*_attempts(client, attempt_filter, logged[0] if logged else None, limit))

    @router.get(
        "/{delivery_id}",
        **described("Get a delivery.", examples.DELIVERY, "Delivery", errors=(404,)),
    )
    def get_delivery(delivery_id: DeliveryId) -> Response:
        """Return its state, each attempt with the endpoint's reply, and the payload."""
        return json_response(log.find(client, delivery_id).as_json())

    @router.post(
        "/{delivery_id}/redeliver",
        **described("Redeliver a delivery.", examples.AGAIN, "Delivery", errors=(404, 409)),
    )
    def redeliver(delivery_id: DeliveryId) -> Response:
        """Queue it again with the same id and a new retry schedule. 409 if it is queued already."""
        redelivery.redeliver(client, log.find(client, delivery_id))
        return json_response(log.find(client, delivery_id).as_json())

    return router


Page = tuple[list[dict[str, Any]], Sequence[Any] | None]
"""Rows, and the parts of the next page's cursor."""


def _attempts(client: redis.Redis, attempt_filter: AttemptFilter, before: str | None, limit: int) -> Page:
    try:
        found, following = attempts.find(client, attempt_filter, before, limit, MAX_SCANNED)
    except InvalidInput as error:
        raise Problem(422, error.problem, "cursor") from error
    states = log.states(client, [attempt.delivery for attempt in found])
    rows = [
        attempts.as_json(attempt, state, cursor([attempts.cursor(attempt_filter, attempt)]))
        for attempt, state in zip(found, states, strict=True)
    ]
    return rows, None if following is None else [following]


def _in_state(client: redis.Redis, state: str, endpoint: str | None, after: Position | None, limit: int) -> Page:
    found, following = state_index.page(client, state, endpoint, after, limit)
    return [state_index.as_json(delivery, cursor(position)) for position, delivery in found], following
