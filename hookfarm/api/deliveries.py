"""`/v1/deliveries`: attempts and deliveries, listed, shown and redelivered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import redis
from fastapi import APIRouter, Query
from starlette.responses import Response

from hookfarm.api import examples, requests
from hookfarm.api.context import Context
from hookfarm.api.openapi import described
from hookfarm.api.requests import Cursor, DeliveryId, EndpointFilter, Limit, Since, Until
from hookfarm.api.responses import Problem, cursor, cursor_parts, json_response, page_response
from hookfarm.deliveries import attempts, log
from hookfarm.deliveries import by_state as standings
from hookfarm.deliveries.filters import ERRORS, PLACES, is_wanted
from hookfarm.deliveries.log import LoggedAttempt
from hookfarm.deliveries.state_index import Position
from hookfarm.errors import InvalidInput

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
            page = standing(client, status, endpoint, Position(*parts) if parts else None, limit)
            return page_response(*page)
        logged: Any = cursor_parts(cursor, str)
        asked = Asked(endpoint, status, requests.time_ms(since, 0), requests.time_ms(until, -1))
        return page_response(*find_attempts(client, asked, logged[0] if logged else None, limit))

    @router.get(
        "/{delivery_id}",
        **described("One delivery with all its attempts.", examples.DELIVERY, "Delivery", errors=(404,)),
    )
    def get_delivery(delivery_id: DeliveryId) -> Response:
        """Where it is, each attempt with what the endpoint said, and the payload."""
        return json_response(log.find(client, delivery_id).public())

    @router.post(
        "/{delivery_id}/redeliver",
        **described("Sends it again.", examples.AGAIN, "Delivery", errors=(404, 409)),
    )
    def redeliver(delivery_id: DeliveryId) -> Response:
        """Under the same id, on a schedule that begins anew; 409 where it is on its way already."""
        log.send_again(client, log.find(client, delivery_id))
        return json_response(log.find(client, delivery_id).public())

    return router


MOST_LOOKED_AT = 2000
"""Attempts that one page reads through for those that it is asked for."""
_AT_ONCE = 1000

Page = tuple[list[dict[str, Any]], Sequence[Any] | None]
"""Rows, and what the next page's cursor holds."""


@dataclass(frozen=True)
class Asked:
    """Which attempts; `until_ms` -1 = until now."""

    endpoint: str | None
    status: str | None
    since_ms: int
    until_ms: int

    def is_met_by(self, attempt: LoggedAttempt) -> bool:
        return is_wanted(self.status, attempt.status, delivered=attempt.delivered)


def find_attempts(client: "redis.Redis", asked: Asked, before: str | None, limit: int) -> Page:
    """Those that are asked for, the newest first."""
    end = "+" if asked.until_ms < 0 else str(asked.until_ms)
    if before is not None:
        try:
            end = log.older_than(before)
        except InvalidInput as error:
            raise Problem(422, error.problem, "cursor") from error
    found: list[LoggedAttempt] = []
    looked_at, more = 0, True
    while more and len(found) <= limit and looked_at < MOST_LOOKED_AT:
        count = limit + 1 if asked.status is None else _AT_ONCE
        page = _read(client, asked, end, count)
        found += filter(asked.is_met_by, page)
        looked_at += len(page)
        more = len(page) == count
        if page:
            before = page[-1].cursor
            end = log.older_than(before)
    rows = found[:limit]
    following = [rows[-1].cursor] if len(found) > limit else [before] if more else None
    places = log.places(client, [attempt.delivery for attempt in rows])
    shown = [attempts.public(a, place, cursor([a.cursor])) for a, place in zip(rows, places, strict=True)]
    return shown, following


def _read(client: "redis.Redis", asked: Asked, end: str, count: int) -> list[LoggedAttempt]:
    if asked.endpoint is None:
        return log.everybodys(client, end, asked.since_ms, count)
    return log.pages(client, {asked.endpoint: end}, asked.since_ms, count)[0]


def standing(client: "redis.Redis", place: str, endpoint: str | None, after: Position | None, limit: int) -> Page:
    """What is open, parked, in retry or dead now."""
    found, following = standings.page(client, place, endpoint, after, limit)
    return [standings.public(delivery, cursor(position)) for position, delivery in found], following
