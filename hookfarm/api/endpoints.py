"""`/v1/endpoints`: where webhooks go, and what they are sent for."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from hookfarm.api import examples, idempotency, views
from hookfarm.api.context import Context
from hookfarm.api.openapi import described
from hookfarm.api.requests import Cursor, EndpointId, IfMatch, JsonObject, Limit, Truth
from hookfarm.api.responses import Problem, answer, cursor_parts, listed, nothing
from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint, parse_endpoint
from hookfarm.registry import listing
from hookfarm.registry.listing import ListedEndpoint, ListingFilter
from hookfarm.security import ssrf
from hookfarm.security.vault import Vault

_Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Sent again with the same body within a day, it is answered with the endpoint made at first.",
        pattern=r"^[\x21-\x7e]{1,255}$",
    ),
]
_Text = Annotated[
    str | None, Query(min_length=1, max_length=200, description="A text in URL, description or id, in any case.")
]


def build_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/endpoints", tags=["endpoints"])
    endpoints = Endpoints(context)

    @router.get("", **described("The endpoints, the newest first.", examples.ENDPOINTS, "EndpointPage"))
    def list_endpoints(
        limit: Limit = 50,
        cursor: Cursor = None,
        q: _Text = None,
        enabled: Truth = None,
        circuit: Literal["closed", "open"] | None = None,
    ) -> Response:
        """A page may hold fewer than `limit`, and none, as long as there is a `next_cursor`: a filter reads 2,000
        endpoints at a time."""
        before = cursor_parts(cursor, int)
        where = ListingFilter(q, enabled, None if circuit is None else circuit == "open")
        found, following = listing.page(context.client, where, before[0] if before else None, limit)
        return listed(views.endpoints(context.client, found), None if following is None else [following])

    @router.post(
        "",
        **described(
            "Makes an endpoint.",
            examples.CREATED,
            "CreatedEndpoint",
            status=201,
            body="NewEndpoint",
            errors=(409,),
        ),
    )
    def create_endpoint(body: JsonObject, key: _Key = None) -> Response:
        """The answer shows the signing secret, as nothing but a rotation ever does again, and for each
        subscription the first block whose logs are matched. Warnings name chains that nobody has followed so far.
        """
        return endpoints.create(body, key)

    @router.get("/{endpoint_id}", **described("One endpoint.", examples.ENDPOINT, "Endpoint", errors=(404, 409)))
    def get_endpoint(endpoint_id: EndpointId) -> Response:
        return endpoints.show(endpoints.find(endpoint_id))

    @router.patch(
        "/{endpoint_id}",
        **described(
            "Changes an endpoint.",
            examples.CHANGED,
            "ChangedEndpoint",
            body="EndpointChange",
            errors=(404, 409, 412),
        ),
    )
    def change_endpoint(endpoint_id: EndpointId, body: JsonObject, if_match: IfMatch = None) -> Response:
        """What is not given stays as it is; `subscriptions` are replaced as a whole."""
        return endpoints.change(endpoint_id, body, if_match, with_blocks="subscriptions" in body)

    @router.delete(
        "/{endpoint_id}", **described("Removes an endpoint.", None, None, status=204, errors=(404, 409, 412))
    )
    def remove_endpoint(endpoint_id: EndpointId, if_match: IfMatch = None) -> Response:
        """What is still queued for it becomes dead letters."""
        return endpoints.remove(endpoint_id, if_match)

    @router.post(
        "/{endpoint_id}/rotate-secret",
        **described("Gives it a new secret.", examples.ROTATED, "RotatedEndpoint", errors=(404, 409)),
    )
    def rotate_secret(endpoint_id: EndpointId) -> Response:
        """The old one goes on signing beside the new one for a day."""
        endpoints.find(endpoint_id)
        rotated = context.registry().rotate_secret(endpoint_id)
        return endpoints.show(endpoints.find(endpoint_id), secret=rotated.secrets[0][0])

    @router.post(
        "/{endpoint_id}/enable",
        **described("Sends to it again.", examples.ENDPOINT, "Endpoint", errors=(404, 409)),
    )
    def enable_endpoint(endpoint_id: EndpointId) -> Response:
        """What has been parked for it goes on its way, and its circuit is closed."""
        return endpoints.change(endpoint_id, {"enabled": True})

    @router.post(
        "/{endpoint_id}/disable",
        **described("Sends nothing to it.", examples.DISABLED, "Endpoint", errors=(404, 409)),
    )
    def disable_endpoint(endpoint_id: EndpointId) -> Response:
        """Nothing new is matched for it; what is on its way is parked until it is enabled."""
        return endpoints.change(endpoint_id, {"enabled": False})

    return router


class Endpoints:
    """What the routes do."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._watched = {chain.chain_id for chain in context.settings.chains}

    def find(self, endpoint_id: str) -> ListedEndpoint:
        """NotFound where there is none; a Problem where somebody else has stored what is none."""
        try:
            return listing.get(self._client, endpoint_id)
        except InvalidInput as error:
            raise Problem(409, f"What is stored under this id is no endpoint: {error}") from error

    def show(self, found: ListedEndpoint, status: int = 200, **more: Any) -> Response:
        [view] = views.endpoints(self._client, [found])
        place = {"Location": f"/v1/endpoints/{found.endpoint.id}"} if status == 201 else {}
        return answer({**view, **more}, status, {"ETag": views.etag(found.endpoint), **place})

    def create(self, body: dict[str, Any], key: str | None) -> Response:
        vault = Vault(self._context.settings.master_key)
        made = idempotency.create(self._client, self._context.registry(), vault, self._parse(body), key, body)
        more = views.effective_from(made, self._watched)
        return self.show(self.find(made.id), 201, secret=made.secrets[0][0], **more)

    def change(
        self, endpoint_id: str, body: dict[str, Any], if_match: str | None = None, with_blocks: bool = False
    ) -> Response:
        self.find(endpoint_id)

        def changed(base: Endpoint) -> Endpoint:
            parsed = self._parse(body, base)  # First: RFC 9110, section 13.2.1.
            _check(if_match, base)
            return parsed

        stored = self._context.registry().edit(endpoint_id, changed)
        more = views.effective_from(stored, self._watched) if with_blocks else {}
        return self.show(replace(self.find(endpoint_id), endpoint=replace(stored, effective_from=None)), **more)

    def remove(self, endpoint_id: str, if_match: str | None) -> Response:
        if if_match is None:
            self._context.registry().remove(endpoint_id)
        else:
            self.find(endpoint_id)
            self._context.registry().remove(endpoint_id, lambda endpoint: _check(if_match, endpoint))
        return nothing()

    def _parse(self, body: dict[str, Any], base: Endpoint | None = None) -> Endpoint:
        def check_url(url: str) -> str:
            ssrf.parse(url, self._context.settings.allow_private)
            return url

        return parse_endpoint(body, check_url, base)


def _check(if_match: str | None, endpoint: Endpoint) -> None:
    """RFC 9110, section 13.1.1; the comparison is the strong one."""
    if if_match is None or if_match.strip() == "*":
        return
    if views.etag(endpoint) not in [tag.strip() for tag in if_match.split(",")]:
        raise Problem(412, "It has been changed since; get it again.", "If-Match")
