"""The description of the API, /openapi.json: what FastAPI knows of the routes, and what it can't know."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

from hookfarm.api import examples
from hookfarm.api.schemas import SCHEMAS

DESCRIPTION = """EVM event logs as signed webhooks.

Lists are `{"data": […], "next_cursor": …}`; what was wrong with a request is said in a problem document (RFC 9457)
whose `field` names what it was. The token goes into `Authorization: Bearer …`."""
_EVERYWHERE = (400, 401, 421, 422, 503)
_WITH_BODY = (413, 415)
_SAID = {
    400: "Not JSON, or no HTTP.",
    401: "Not the token.",
    404: "There is none.",
    409: "It does not fit the state that it is in.",
    412: "It has been changed since.",
    413: "Larger than 256 kB.",
    415: "Not JSON.",
    421: "Called by a name that is none of the API's.",
    422: "Something given is not allowed; `field` says what.",
    502: "The chain's nodes do not answer.",
    503: "Redis does not answer, or is full, or too much is asked at once.",
}


def refusals(statuses: Sequence[int] = ()) -> dict[int | str, dict[str, Any]]:
    """How a route under /v1 may refuse, with these beside what all of them have."""
    return {status: _refusal(status) for status in sorted({*_EVERYWHERE, *statuses})}


def described(
    summary: str,
    example: Any,
    schema: str | None,
    status: int = 200,
    body: str | None = None,
    errors: Sequence[int] = (),
    body_required: bool = True,
) -> dict[str, Any]:
    """The arguments of a route: its answer by the name of a schema and an example, its body, how it may refuse."""
    good: dict[str, Any] = {"description": summary}
    if schema is not None:
        good["content"] = {"application/json": {"schema": _reference(schema), "example": example}}
    if status == 201:
        good["headers"] = {name: {"schema": {"type": "string"}} for name in ("Location", "ETag")}
    extra = {"requestBody": _body(body, body_required)} if body else {}
    return {
        "summary": summary,
        "status_code": status,
        "response_class": Response,
        "responses": {status: good, **refusals((*errors, *(_WITH_BODY if body else ())))},
        "openapi_extra": extra,
    }


def install(app: FastAPI) -> None:
    """Adds the schemas."""
    app.openapi = partial(_complete, app, app.openapi)  # type: ignore[method-assign]  # FastAPI's documented way


def _complete(app: FastAPI, made: Any) -> dict[str, Any]:
    if app.openapi_schema is None:
        found = made()
        found.setdefault("components", {}).setdefault("schemas", {}).update(SCHEMAS)
        app.openapi_schema = found
    return app.openapi_schema


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _body(schema: str, required: bool) -> dict[str, Any]:
    content = {"schema": _reference(schema), "example": examples.BODIES[schema]}
    return {"required": required, "content": {"application/json": content}}


def _refusal(status: int) -> dict[str, Any]:
    content = {"schema": _reference("Problem"), "example": examples.PROBLEM}
    return {"description": _SAID[status], "content": {"application/problem+json": content}}
