"""`/v1/endpoints`: list, create, show, change, remove, enable, disable, rotate the secret."""

import hashlib
from dataclasses import replace
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from hookfarm.api import examples, idempotency
from hookfarm.api.context import Context
from hookfarm.api.openapi import described
from hookfarm.api.requests import Boolean, Cursor, EndpointId, IfMatch, JsonObject, Limit
from hookfarm.api.responses import Problem, cursor_parts, json_response, no_content, page_response
from hookfarm.deliveries.endpoint_stats import endpoint_views
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
        description="A repeated request with the same key and body returns the same endpoint, for a day.",
        pattern=r"^[\x21-\x7e]{1,255}$",
    ),
]
_Text = Annotated[
    str | None,
    Query(min_length=1, max_length=200, description="Search URL, description and id, ignoring case."),
]


def build_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/endpoints", tags=["endpoints"])
    endpoints = EndpointOperations(context)
    _add_collection(router, context, endpoints)
    _add_resource(router, endpoints)
    _add_actions(router, endpoints)
    return router


def _add_collection(router: APIRouter, context: Context, endpoints: "EndpointOperations") -> None:
    @router.get("", **described("List endpoints, newest first.", examples.ENDPOINTS, "EndpointPage"))
    def list_endpoints(
        limit: Limit = 50,
        cursor: Cursor = None,
        q: _Text = None,
        enabled: Boolean = None,
        circuit: Literal["closed", "open"] | None = None,
    ) -> Response:
        """A page may contain fewer than `limit` endpoints and still have a `next_cursor`: a filter reads 2,000
        endpoints at a time."""
        before = cursor_parts(cursor, int)
        where = ListingFilter(q, enabled, None if circuit is None else circuit == "open")
        found, following = listing.page(context.client, where, before[0] if before else None, limit)
        return page_response(endpoint_views(context.client, found), None if following is None else [following])

    @router.post(
        "",
        **described(
            "Create an endpoint.",
            examples.CREATED,
            "CreatedEndpoint",
            status=201,
            body="NewEndpoint",
            errors=(409,),
        ),
    )
    def create_endpoint(body: JsonObject, key: _Key = None) -> Response:
        """The response contains the signing secret, which is not returned again. It also contains the first block
        matched for each subscription. Warnings name chains that are not watched yet."""
        return endpoints.create(body, key)


def _add_resource(router: APIRouter, endpoints: "EndpointOperations") -> None:
    @router.get(
        "/{endpoint_id}", **described("Get an endpoint.", examples.ENDPOINT, "Endpoint", errors=(404, 409))
    )
    def get_endpoint(endpoint_id: EndpointId) -> Response:
        return endpoints.show(endpoints.find(endpoint_id))

    @router.patch(
        "/{endpoint_id}",
        **described(
            "Change an endpoint.",
            examples.CHANGED,
            "ChangedEndpoint",
            body="EndpointChange",
            errors=(404, 409, 412),
        ),
    )
    def change_endpoint(endpoint_id: EndpointId, body: JsonObject, if_match: IfMatch = None) -> Response:
        """Missing fields stay unchanged; `subscriptions` replaces all subscriptions."""
        return endpoints.change(endpoint_id, body, if_match, with_blocks="subscriptions" in body)

    @router.delete(
        "/{endpoint_id}", **described("Remove an endpoint.", None, None, status=204, errors=(404, 409, 412))
    )
    def remove_endpoint(endpoint_id: EndpointId, if_match: IfMatch = None) -> Response:
        """Its queued deliveries become dead letters."""
        return endpoints.remove(endpoint_id, if_match)


def _add_actions(router: APIRouter, endpoints: "EndpointOperations") -> None:
    @router.post(
        "/{endpoint_id}/rotate-secret",
        **described("Rotate the secret.", examples.ROTATED, "RotatedEndpoint", errors=(404, 409)),
    )
    def rotate_secret(endpoint_id: EndpointId) -> Response:
        """For a day, webhooks are signed with both secrets."""
        return endpoints.rotate_secret(endpoint_id)

    @router.post(
        "/{endpoint_id}/enable",
        **described("Enable an endpoint.", examples.ENDPOINT, "Endpoint", errors=(404, 409)),
    )
    def enable_endpoint(endpoint_id: EndpointId) -> Response:
        """Send its parked deliveries and close its circuit breaker."""
        return endpoints.change(endpoint_id, {"enabled": True})

    @router.post(
        "/{endpoint_id}/disable",
        **described("Disable an endpoint.", examples.DISABLED, "Endpoint", errors=(404, 409)),
    )
    def disable_endpoint(endpoint_id: EndpointId) -> Response:
        """Stop matching new events for it, and park its open deliveries until it is enabled."""
        return endpoints.change(endpoint_id, {"enabled": False})


class EndpointOperations:
    """Operations of the routes: create, read, change and remove endpoints."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._watched = {chain.chain_id for chain in context.settings.chains}

    def find(self, endpoint_id: str) -> ListedEndpoint:
        """Return an endpoint. Raises NotFound, or a Problem if the stored value is invalid."""
        try:
            return listing.get(self._client, endpoint_id)
        except InvalidInput as error:
            raise Problem(409, f"The stored endpoint is invalid: {error}") from error

    def show(self, found: ListedEndpoint, status: int = 200, **more: Any) -> Response:
        [view] = endpoint_views(self._client, [found])
        location = {"Location": f"/v1/endpoints/{found.endpoint.id}"} if status == 201 else {}
        return json_response({**view, **more}, status, {"ETag": _etag(found.endpoint), **location})

    def create(self, body: dict[str, Any], key: str | None) -> Response:
        vault = Vault(self._context.settings.master_key)
        made = idempotency.create(self._client, self._context.registry(), vault, self._parse(body), key, body)
        more = _effective_from(made, self._watched)
        return self.show(self.find(made.id), 201, secret=made.secrets[0][0], **more)

    def change(
        self, endpoint_id: str, body: dict[str, Any], if_match: str | None = None, with_blocks: bool = False
    ) -> Response:
        self.find(endpoint_id)

        def changed(base: Endpoint) -> Endpoint:
            parsed = self._parse(body, base)  # Before the precondition: RFC 9110, section 13.2.1.
            _check(if_match, base)
            return parsed

        stored = self._context.registry().edit(endpoint_id, changed)
        more = _effective_from(stored, self._watched) if with_blocks else {}
        return self.show(replace(self.find(endpoint_id), endpoint=replace(stored, effective_from=None)), **more)

    def rotate_secret(self, endpoint_id: str) -> Response:
        self.find(endpoint_id)
        rotated = self._context.registry().rotate_secret(endpoint_id)
        return self.show(self.find(endpoint_id), secret=rotated.secrets[0][0])

    def remove(self, endpoint_id: str, if_match: str | None) -> Response:
        if if_match is None:
            self._context.registry().remove(endpoint_id)
        else:
            self.find(endpoint_id)
            self._context.registry().remove(endpoint_id, lambda endpoint: _check(if_match, endpoint))
        return no_content()

    def _parse(self, body: dict[str, Any], base: Endpoint | None = None) -> Endpoint:
        def check_url(url: str) -> str:
            ssrf.parse(url, self._context.settings.allow_private)
            return url

        return parse_endpoint(body, check_url, base)


def _check(if_match: str | None, endpoint: Endpoint) -> None:
    """Raise a Problem unless If-Match has the ETag (RFC 9110, section 13.1.1, strong comparison)."""
    if if_match is None or if_match.strip() == "*":
        return
    if _etag(endpoint) not in [tag.strip() for tag in if_match.split(",")]:
        raise Problem(412, "The endpoint has changed; read it again.", "If-Match")


def _etag(endpoint: Endpoint) -> str:
    """Return the ETag, which every change replaces, including a secret rotation."""
    seen = {**endpoint.public(), "secrets_until": [until for _, until in endpoint.secrets]}
    return f'"{hashlib.sha256(orjson.dumps(seen)).hexdigest()[:32]}"'


def _effective_from(endpoint: Endpoint, watched: set[int]) -> dict[str, Any]:
    """Return a stored endpoint's subscriptions with `effective_from_block`, and warnings of unwatched chains.

    `Registry` documents this block. null = the chain's first block is not published yet, or the endpoint is
    disabled.
    """
    from_block = endpoint.effective_from or {}
    unknown = {chain for chain, block in from_block.items() if block is None} - watched
    warnings = [
        f"subscriptions[{i}].chain_id: chain {s.chain_id} is not watched yet; start a farm with --chain"
        for i, s in enumerate(endpoint.subscriptions)
        if s.chain_id in unknown
    ]
    subscriptions = replace(endpoint, effective_from=from_block).public()["subscriptions"]
    return {"subscriptions": subscriptions, "warnings": warnings}
