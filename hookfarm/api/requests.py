"""Parameters, headers and JSON bodies of requests; unknown and invalid ones are refused by name."""

import re
import time
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Path, Query, Request
from pydantic import AfterValidator, BeforeValidator
from starlette.types import ASGIApp, Receive, Scope, Send

from hookfarm.api.responses import Problem, problem
from hookfarm.timestamps import parse_duration, parse_since

MAX_PAGE_SIZE = 200
_ID = r"^[0-9A-Za-z_.:-]{1,128}$"
_ISO_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
_TIME = rf"^([0-9]{{1,9}}(\.[0-9]{{1,6}})?(ms|s|m|h|d)|{_ISO_TIME})$"
_TIME_SUMMARY = "an age (`90s`, `2h`, `7d`) or an ISO 8601 time (UTC by default)."


def refuse_unknown(request: Request) -> None:
    """Refuse unknown and repeated query parameters; a dependency of every route."""
    given = request.query_params.multi_items()
    if not given:
        return
    known = {str(field.alias) for field in request.scope["route"].dependant.query_params}
    names = [name for name, _ in given]
    for name in names:
        if name not in known:
            allowed = f"allowed are {', '.join(sorted(known))}" if known else "this route takes none"
            raise Problem(422, f"Unknown query parameter; {allowed}.", name[:80])
        if names.count(name) > 1:
            raise Problem(422, "Query parameter given more than once; give it once.", name)


def _integer(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch("[0-9]{1,6}", value):
        raise ValueError("Must be a whole number.")
    return value


def _chain_id(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch("[1-9][0-9]{0,19}", value):
        raise ValueError("Must be a chain id, a whole number from 1.")
    return value


def _boolean(value: Any) -> Any:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("Must be true or false.")
    return value


def _checked_iso_time(value: str) -> str:
    parse_since(value, time.time())
    return value


def _checked_time(value: str) -> str:
    try:
        parse_duration(value)
    except ValueError:
        return _checked_iso_time(value)
    return value


def check_time(value: str | None, field: str) -> None:
    """Raise a Problem unless `value` is a time or None."""
    try:
        if value is not None and not re.fullmatch(_TIME, value):
            raise ValueError("Must be an age or an ISO 8601 time, such as 90s, 2h, 7d or 2026-01-31T12:00Z.")
        time_ms(value, 0)
    except ValueError as error:
        raise Problem(422, str(error), field) from error


def check_id(value: str | None, field: str) -> None:
    """Raise a Problem unless `value` is an id, empty or None."""
    if value and not re.fullmatch(_ID, value):
        raise Problem(422, "Invalid id.", field)


def time_ms(value: str | None, otherwise: int) -> int:
    """Return a time parameter as ms since the epoch; `otherwise` if missing."""
    return otherwise if value is None else parse_since(value, time.time())


def _text(summary: str, pattern: str = _ID) -> Any:
    return Query(description=summary, pattern=pattern)


Limit = Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="Page size."), BeforeValidator(_integer)]
Cursor = Annotated[
    str | None,
    Query(description="`next_cursor` of the previous page.", pattern=r"^[0-9A-Za-z_-]{1,1024}$"),
]
Boolean = Annotated[bool | None, BeforeValidator(_boolean)]
EndpointFilter = Annotated[str | None, _text("Filter by endpoint.")]
OwnerFilter = Annotated[
    str | None, _text("Filter by endpoint; empty = invalid jobs.", r"^[0-9A-Za-z_.:-]{0,128}$")
]
Since = Annotated[
    str | None,
    AfterValidator(lambda v: v if v is None else _checked_time(v)),
    _text(f"Start of the time span: {_TIME_SUMMARY}", _TIME),
]
Until = Annotated[
    str | None,
    AfterValidator(lambda v: v if v is None else _checked_time(v)),
    _text(f"End of the time span: {_TIME_SUMMARY}", _TIME),
]
ChainId = Annotated[
    int, Path(description="Chain id as in EIP-155.", ge=1, le=2**64 - 1), BeforeValidator(_chain_id)
]
ChainFilter = Annotated[
    int | None, Query(description="Chain id as in EIP-155.", ge=1, le=2**64 - 1), BeforeValidator(_chain_id)
]
EndpointId = Annotated[str, Path(description="Endpoint id `ep_…`.", pattern=_ID)]
DeliveryId = Annotated[str, Path(description="Delivery id `msg_…`, the `webhook-id`.", pattern=_ID)]
IfMatch = Annotated[
    str | None,
    Header(description="ETag of the endpoint; 412 if the endpoint has another one."),
]


MAX_BODY_BYTES = 256 * 1024
MAX_NESTING = 32
_TOO_LARGE = f"The body is larger than {MAX_BODY_BYTES} bytes."


class BodyLimit:
    """Middleware that refuses too large bodies with 413, by content-length or by the bytes read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _length(scope) > MAX_BODY_BYTES:
            await problem(413, _TOO_LARGE)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _length(scope: Scope) -> int:
    given = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(given) if given.isdigit() else 0


async def _read(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise Problem(413, _TOO_LARGE)
    return body


async def json_object(request: Request) -> dict[str, Any]:
    """Return the body as an object. Raises a Problem if it is not one."""
    return _parsed(request, await _read(request))


async def optional_json_object(request: Request) -> dict[str, Any]:
    """Return the body as an object, {} if empty. Raises a Problem if it is not one."""
    body = await _read(request)
    return _parsed(request, body) if body else {}


def _parsed(request: Request, body: bytes) -> dict[str, Any]:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type not in ("application/json", "application/merge-patch+json"):
        raise Problem(415, "The body must be application/json.")
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"The body is not JSON: {error}", "body") from error
    if not isinstance(found, dict):
        raise Problem(422, "The body must be a JSON object.", "body")
    if _depth(found) > MAX_NESTING:
        raise Problem(422, f"The body is nested too deeply; allowed are {MAX_NESTING} levels.", "body")
    return found


def _depth(value: object) -> int:
    """Return the depth of a value, without recursion: deep nesting would overflow the stack."""
    depth, level = 0, [value]
    while level:
        level = [inner for outer in level for inner in _members(outer)]
        depth += 1
        if depth > MAX_NESTING:
            break
    return depth


def _members(value: object) -> list[Any]:
    if isinstance(value, dict):
        return [inner for inner in value.values() if isinstance(inner, dict | list)]
    return [inner for inner in value if isinstance(inner, dict | list)] if isinstance(value, list) else []


JsonObject = Annotated[dict[str, Any], Depends(json_object)]
OptionalJsonObject = Annotated[dict[str, Any], Depends(optional_json_object)]
