"""`/v1/dead-letters`: list, redrive and purge."""

import time
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from hookfarm.api import examples, requests
from hookfarm.api.context import Context
from hookfarm.api.openapi import described
from hookfarm.api.requests import Cursor, DeliveryId, Limit, OptionalJsonObject, OwnerFilter, Since, Until
from hookfarm.api.responses import Problem, cursor, cursor_parts, json_response, no_content, page_response
from hookfarm.deliveries import dead_letters, log, redelivery
from hookfarm.deliveries.filters import LAST_MS, DeadLetterFilter
from hookfarm.deliveries.log import Delivery, DeliveryState
from hookfarm.deliveries.state_index import Position
from hookfarm.errors import NotFound
from hookfarm.store.clients import Client

_BATCH_SIZE = 100
_MAX_SECONDS = 1.0
"""A longer bulk request returns its progress and a cursor to continue."""
_Reason = Annotated[
    str | None,
    Query(min_length=1, max_length=500, description="Filter by reason, or by the part before its colon."),
]


def build_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/dead-letters", tags=["dead letters"])
    _add_collection(router, context.client)
    _add_resource(router, context.client)
    return router


def _add_collection(router: APIRouter, client: Client) -> None:
    @router.get("", **described("List dead letters, newest first.", examples.DEAD_LETTERS, "DeliveryPage"))
    def list_dead_letters(
        limit: Limit = 50,
        cursor: Cursor = None,
        endpoint: OwnerFilter = None,
        reason: _Reason = None,
        since: Since = None,
        until: Until = None,
    ) -> Response:
        where = _filter(endpoint, reason, since, until)
        letters, following = dead_letters.page(client, where, _position(cursor), limit)
        return page_response([letter.as_json() for letter in letters], following)

    @router.post(
        "/redrive",
        **described(
            "Redrive matching dead letters.",
            examples.REDRIVEN,
            "Redriven",
            body="DeadLetterFilter",
            body_required=False,
        ),
    )
    def redrive_all(body: OptionalJsonObject) -> Response:
        """Redrive the oldest first, with the same ids and a new retry schedule. An empty filter matches all. If
        the response has a `next_cursor`, repeat the request with it as `cursor`."""
        redriven = 0
        refused: dict[str, str] = {}
        batches = Batches(client, body)
        for letters in batches:
            for letter, conflict in zip(letters, redelivery.redeliver_all(client, letters), strict=True):
                redriven += conflict is None
                refused |= {} if conflict is None else {letter.id: str(conflict)}
        return json_response({"redriven": redriven, "refused": refused, "next_cursor": batches.next_cursor})

    @router.post(
        "/purge",
        **described(
            "Purge matching dead letters.", examples.PURGED, "Purged", body="DeadLetterFilter", body_required=False
        ),
    )
    def purge_all(body: OptionalJsonObject) -> Response:
        """Delete them permanently. Filter and cursor are as in `redrive`."""
        batches = Batches(client, body)
        purged = sum(dead_letters.purge(client, [letter.id for letter in letters]) for letters in batches)
        return json_response({"purged": purged, "next_cursor": batches.next_cursor})


def _add_resource(router: APIRouter, client: Client) -> None:
    @router.post(
        "/{delivery_id}/redrive",
        **described("Redrive a dead letter.", examples.AGAIN, "Delivery", errors=(404, 409)),
    )
    def redrive_dead_letter(delivery_id: DeliveryId) -> Response:
        """Queue it again with the same id and a new retry schedule."""
        redelivery.redeliver(client, _letter(client, delivery_id))
        return json_response(log.find(client, delivery_id).as_json())

    @router.delete("/{delivery_id}", **described("Purge a dead letter.", None, None, status=204, errors=(404,)))
    def purge_dead_letter(delivery_id: DeliveryId) -> Response:
        """Delete it permanently."""
        if not dead_letters.purge(client, [delivery_id]):
            raise NotFound(f"dead letter {delivery_id!r} not found")
        return no_content()


class Batches:
    """Iterator over batches of matching dead letters, oldest first, for _MAX_SECONDS; keeps the cursor."""

    def __init__(self, client: Client, body: dict[str, Any]) -> None:
        self._client = client
        self._filter = _checked(body)
        self._after = _position(body.get("cursor"))

    @property
    def next_cursor(self) -> str | None:
        """Cursor to continue with; None after the last dead letter."""
        return None if self._after is None else cursor(self._after)

    def __iter__(self) -> Iterator[list[Delivery]]:
        ends = time.monotonic() + _MAX_SECONDS
        while True:
            letters, self._after = dead_letters.page(
                self._client, self._filter, self._after, _BATCH_SIZE, oldest_first=True
            )
            yield letters
            if self._after is None or time.monotonic() > ends:
                return


def _letter(client: Client, delivery_id: str) -> Delivery:
    found = log.find(client, delivery_id)
    if found.state is not DeliveryState.DEAD:
        raise NotFound(f"{delivery_id!r} is not a dead letter; it is {found.state.value}")
    return found


def _checked(body: dict[str, Any]) -> DeadLetterFilter:
    """Return the filter in a body. Raises a Problem if it is invalid."""
    known = ("endpoint", "reason", "since", "until", "cursor")
    for name, value in body.items():
        if name not in known:
            raise Problem(422, f"Unknown field; allowed are {', '.join(known)}.", name[:80])
        if not isinstance(value, str):
            raise Problem(422, "Must be a string.", name)
    for name in ("since", "until"):
        requests.check_time(body.get(name), name)
    requests.check_id(body.get("endpoint"), "endpoint")
    if "reason" in body and not 1 <= len(body["reason"]) <= 500:
        raise Problem(422, "Must be a string of 1 to 500 characters.", "reason")
    return _filter(body.get("endpoint"), body.get("reason"), body.get("since"), body.get("until"))


def _filter(endpoint: str | None, reason: str | None, since: str | None, until: str | None) -> DeadLetterFilter:
    return DeadLetterFilter(endpoint, reason, requests.time_ms(since, 0), requests.time_ms(until, LAST_MS))


def _position(text: str | None) -> Position | None:
    parts = cursor_parts(text, float, str)
    return Position(*parts) if parts else None
