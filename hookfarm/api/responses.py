"""JSON responses, pages of lists with their cursors, and problem documents (RFC 9457) for errors."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import redis
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hookfarm import logs
from hookfarm.errors import (
    ChainUnavailable,
    Conflict,
    HookfarmError,
    InvalidInput,
    NotFound,
    OperatorError,
    WrongChain,
)
from hookfarm.security import redaction
from hookfarm.store.clients import OutOfMemoryError

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2
"""Retry-After while Redis does not answer."""

_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Titles of RFC 9110 that Python before 3.13 lacks."""

_METHODS = ("get", "post", "put", "patch", "delete")

log = logs.get("api")


class Problem(Exception):
    """Exception that ends a request with a problem document."""

    def __init__(self, status: int, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field


def problem(
    status: int, detail: str | None = None, field: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a problem document."""
    title = _TITLES.get(status, HTTPStatus(status).phrase)
    given = {
        name: redaction.sanitize(value)
        for name, value in (("detail", detail), ("field", field))
        if value is not None
    }
    document = {"type": "about:blank", "title": title, "status": status, **given}
    return Response(orjson.dumps(document), status, headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Return problem documents for all exceptions of the application's routes."""
    app.add_exception_handler(Problem, _answer)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(InvalidInput, _expected)
    for kind in _STATUS:
        app.add_exception_handler(kind, _expected)
    app.add_exception_handler(redis.RedisError, _no_redis)
    app.add_exception_handler(Exception, _bug)


def _answer(_request: Request, error: Any) -> Response:
    return problem(error.status, error.detail, error.field)


def _http(request: Request, error: Any) -> Response:
    headers = error.headers
    if error.status_code == 405:
        headers = {"Allow": ", ".join(_allowed(request)) or (headers or {}).get("Allow", "")}
    detail = error.detail if error.detail != HTTPStatus(error.status_code).phrase else None
    return problem(error.status_code, detail, headers=headers)


def _allowed(request: Request) -> list[str]:
    """Return the methods of all routes of this path."""
    paths = request.app.openapi()["paths"]
    here = [path for path in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.url.path)]
    # A literal path takes precedence over one with a parameter.
    found = paths[min(here, key=lambda path: path.count("{"))] if here else {}
    return sorted(method.upper() for method in found if method in _METHODS)


def _invalid(_request: Request, error: Any) -> Response:
    """Return the problem document for the first invalid parameter."""
    first = error.errors()[0]
    return problem(
        422,
        first["msg"].removeprefix("Value error, "),
        ".".join(map(str, first["loc"][1:])) or str(first["loc"][0]),
    )


_STATUS: dict[type[HookfarmError], int] = {
    NotFound: 404,
    Conflict: 409,
    ChainUnavailable: 502,
    WrongChain: 502,
    OperatorError: 503,
}


def _expected(request: Request, error: Any) -> Response:
    if isinstance(error, InvalidInput):
        return problem(422, error.problem, error.field)
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    if isinstance(error, OperatorError):
        log.error("request failed", path=request.url.path, error=str(error))
    return problem(status, str(error))


def _no_redis(request: Request, error: Any) -> Response:
    full = isinstance(error, OutOfMemoryError)
    log.warning("request failed, redis down", path=request.url.path, error=str(error))
    detail = "Redis is out of memory." if full else "Redis is unavailable."
    return problem(503, detail, headers={"Retry-After": str(RETRY_SECONDS)})


def _bug(_request: Request, _error: Exception) -> Response:
    """Return 500 for an unexpected exception, and log its traceback."""
    return problem(500)


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response with `Cache-Control: no-store`."""
    held_back = {"Cache-Control": "no-store", **(headers or {})}
    return Response(orjson.dumps(content), status, held_back, media_type="application/json")


def no_content() -> Response:
    """Return a response 204 without a body."""
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


def page_response(rows: Sequence[Any], following: Sequence[Any] | None) -> Response:
    """Return a page of a list. `following`: parts of the next page's cursor, None on the last page."""
    return json_response({"data": rows, "next_cursor": None if following is None else cursor(following)})


def cursor(parts: Sequence[Any]) -> str:
    """Return an opaque cursor made of these parts."""
    return base64.urlsafe_b64encode(orjson.dumps(list(parts))).decode().rstrip("=")


def cursor_parts(text: str | None, *types: type) -> list[Any] | None:
    """Return the parts of a cursor, None without one. Raises a Problem for a cursor of another list."""
    if text is None:
        return None
    try:
        parts = orjson.loads(
            base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
        )
    except (ValueError, binascii.Error):
        parts = None
    if not isinstance(parts, list) or list(map(type, parts)) != list(types):
        raise Problem(422, "Must be a `next_cursor` of this list.", "cursor")
    return parts
