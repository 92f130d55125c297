"""JSON answers, pages of lists with their cursors, and problem documents (RFC 9457) for every refusal."""

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
from hookfarm.errors import ChainUnavailable, Conflict, HookfarmError, InvalidInput, NotFound
from hookfarm.security import redaction
from hookfarm.store.clients import OutOfMemoryError

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2
"""When to ask again where Redis does not answer."""

_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""As RFC 9110 has them; Python before 3.13 does not."""

_METHODS = ("get", "post", "put", "patch", "delete")

log = logs.get("api")


class Problem(Exception):
    """Ends a request with this answer."""

    def __init__(self, status: int, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field


def problem(
    status: int, detail: str | None = None, field: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer; without a detail, the title says it all."""
    title = _TITLES.get(status, HTTPStatus(status).phrase)
    said = {
        name: redaction.text(value) for name, value in (("detail", detail), ("field", field)) if value is not None
    }
    document = {"type": "about:blank", "title": title, "status": status, **said}
    return Response(orjson.dumps(document), status, headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Makes problem documents of whatever a route raises."""
    app.add_exception_handler(Problem, _answer)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HookfarmError, _ours)
    app.add_exception_handler(redis.RedisError, _no_redis)
    app.add_exception_handler(Exception, _bug)


def _answer(_request: Request, error: Any) -> Response:
    return problem(error.status, error.detail, error.field)


def _http(request: Request, error: Any) -> Response:
    headers = error.headers
    if error.status_code == 405:
        headers = {"Allow": ", ".join(_allowed(request)) or (headers or {}).get("Allow", "")}
    said = error.detail if error.detail != HTTPStatus(error.status_code).phrase else None
    return problem(error.status_code, said, headers=headers)


def _allowed(request: Request) -> list[str]:
    """The methods of all routes of this path; each of them knows its own only."""
    paths = request.app.openapi()["paths"]
    here = [path for path in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.url.path)]
    # A path that is written out comes before one with a parameter.
    found = paths[min(here, key=lambda path: path.count("{"))] if here else {}
    return sorted(method.upper() for method in found if method in _METHODS)


def _invalid(_request: Request, error: Any) -> Response:
    """The first thing that is wrong with the parameters."""
    first = error.errors()[0]
    return problem(
        422,
        first["msg"].removeprefix("Value error, "),
        ".".join(map(str, first["loc"][1:])) or str(first["loc"][0]),
    )


_STATUS: dict[type[HookfarmError], int] = {NotFound: 404, Conflict: 409, ChainUnavailable: 502}


def _ours(_request: Request, error: Any) -> Response:
    if isinstance(error, InvalidInput):
        return problem(422, error.problem, error.field)
    return problem(_STATUS.get(type(error), 500), str(error))


def _no_redis(request: Request, error: Any) -> Response:
    full = isinstance(error, OutOfMemoryError)
    log.warning("redis failed", path=request.url.path, error=str(error))
    detail = "Redis is full." if full else "Redis does not answer, or not as it should."
    return problem(503, detail, headers={"Retry-After": str(RETRY_SECONDS)})


def _bug(_request: Request, _error: Exception) -> Response:
    """What nobody foresaw: the traceback goes to the log, not to the caller."""
    return problem(500)


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON that nobody on the way may keep."""
    held_back = {"Cache-Control": "no-store", **(headers or {})}
    return Response(orjson.dumps(content), status, held_back, media_type="application/json")


def nothing() -> Response:
    """It was done, and there is nothing to say."""
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


def listed(rows: Sequence[Any], following: Sequence[Any] | None) -> Response:
    """A page; `following` is what the cursor of the next one holds, None = there is none."""
    return answer({"data": rows, "next_cursor": None if following is None else cursor(following)})


def cursor(parts: Sequence[Any]) -> str:
    """What only the list that made it can read."""
    return base64.urlsafe_b64encode(orjson.dumps(list(parts))).decode().rstrip("=")


def cursor_parts(text: str | None, *types: type) -> list[Any] | None:
    """What a cursor holds; a Problem where it is not one of this list's. None where none was given."""
    if text is None:
        return None
    try:
        parts = orjson.loads(
            base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
        )
    except (ValueError, binascii.Error):
        parts = None
    if not isinstance(parts, list) or list(map(type, parts)) != list(types):
        raise Problem(422, "It is not a cursor of this list; take one from next_cursor.", "cursor")
    return parts
