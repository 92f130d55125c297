"""Answers, and where a list goes on."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response

from hookfarm.api.problems import Problem


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
