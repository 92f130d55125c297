"""How large a request may be, and how its JSON gets in."""

from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from hookfarm.api.problems import Problem, problem

MAX_BODY_BYTES = 256 * 1024
MAX_NESTING = 32
_TOO_LARGE = f"The body is larger than {MAX_BODY_BYTES} bytes."


class BodyLimit:
    """Middleware: 413 where a request says that its body is too large. One that does not say is counted."""

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
    """The body, a JSON object; a Problem says why it is none."""
    return _parsed(request, await _read(request))


async def optional_json_object(request: Request) -> dict[str, Any]:
    """The same; no body is an empty object."""
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
        raise Problem(422, "The body is not a JSON object.", "body")
    if _depth(found) > MAX_NESTING:
        raise Problem(422, f"The body is nested more than {MAX_NESTING} deep.", "body")
    return found


def _depth(value: object) -> int:
    """Level by level: what is too deep for a recursion may be in there."""
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
