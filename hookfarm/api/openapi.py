"""/openapi.json: FastAPI's description of the routes, with schemas, examples and error responses."""

from collections.abc import Sequence
from functools import partial
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from fastapi import FastAPI
from starlette.responses import Response

from hookfarm.api import examples
from hookfarm.api.schemas import SCHEMAS, object_schema
from hookfarm.status import Snapshot

DESCRIPTION = """EVM event logs as signed webhooks.

Lists are `{"data": […], "next_cursor": …}`. Errors are problem documents (RFC 9457); `field` names the invalid
field. Send the token as `Authorization: Bearer …`. Times are RFC 3339 in UTC; durations are integers in
milliseconds, named `…_ms`."""
_EVERYWHERE = (400, 401, 421, 422, 503)
_WITH_BODY = (413, 415)
_DESCRIPTIONS = {
    400: "Malformed request.",
    401: "Missing or wrong token.",
    404: "Not found.",
    409: "Conflicts with the resource's current state.",
    412: "Changed since it was read; the ETag differs.",
    413: "Body larger than 256 kB.",
    415: "Body is not JSON.",
    421: "Host header not allowed.",
    422: "Invalid `field`.",
    502: "The chain's nodes do not answer.",
    503: "Redis is unavailable or full, or too many requests.",
}


def refusals(statuses: Sequence[int] = ()) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of a route under /v1: the common statuses and `statuses`."""
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
    """Return FastAPI's arguments for a route: schema and example of the response, body, error responses."""
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
    """Add the schemas to /openapi.json."""
    app.openapi = partial(_complete, app, app.openapi)  # type: ignore[method-assign]  # documented by FastAPI


def _complete(app: FastAPI, made: Any) -> dict[str, Any]:
    if app.openapi_schema is None:
        found = made()
        found.setdefault("components", {}).setdefault("schemas", {}).update(SCHEMAS | _from_types(Snapshot))
        app.openapi_schema = found
    return app.openapi_schema


_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _from_types(*kinds: type) -> dict[str, Any]:
    """Return the schema of each TypedDict, and of the nested ones, by class name."""
    found: dict[str, Any] = {}
    for kind in kinds:
        _from_type(kind, found)
    return found


def _from_type(hint: Any, found: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a type hint and add TypedDicts to `found`. The description is taken from Annotated."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return {**_from_type(arguments[0], found), "description": arguments[1]}
    if is_typeddict(hint):
        if hint.__name__ not in found:
            found[hint.__name__] = {}  # Reserve the name: the type may contain itself.
            found[hint.__name__] = _from_typed_dict(hint, found)
        return {"$ref": f"#/components/schemas/{hint.__name__}"}
    if origin in (Union, UnionType):
        kinds = [_from_type(argument, found) for argument in arguments]
        plain = all(set(kind) == {"type"} for kind in kinds)
        return {"type": [kind["type"] for kind in kinds]} if plain else {"anyOf": kinds}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _from_type(arguments[0], found)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _from_type(arguments[1], found)}
    return {} if hint is Any else {"type": "null" if hint is NoneType else _JSON_TYPES[hint]}


def _from_typed_dict(kind: Any, found: dict[str, Any]) -> dict[str, Any]:
    properties = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        inner = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
        properties[name] = _from_type(inner, found)
        if name == "timestamp" or name.endswith(("_at", "_until")):
            properties[name]["format"] = "date-time"
    return object_schema(properties, tuple(sorted(kind.__required_keys__)))


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _body(schema: str, required: bool) -> dict[str, Any]:
    content = {"schema": _reference(schema), "example": examples.BODIES[schema]}
    return {"required": required, "content": {"application/json": content}}


def _refusal(status: int) -> dict[str, Any]:
    content = {"schema": _reference("Problem"), "example": examples.PROBLEM}
    return {"description": _DESCRIPTIONS[status], "content": {"application/problem+json": content}}
