"""`/`: the dashboard. One page and its modules from `static/`; nothing is loaded from another origin.

The page contains no data: it requests the API under /v1 with the user's token. The policy below limits loads and
requests to this origin: injected text cannot send data elsewhere.
"""

import hashlib
from dataclasses import dataclass
from importlib import resources

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from hookfarm.api.context import Context

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_PAGE = "index.html"


@dataclass(frozen=True)
class _File:
    """A file of the dashboard, loaded and compressed."""

    body: bytes
    media_type: str
    etag: str


def build_router(_context: Context) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    files = _load()

    @router.get("/")
    async def page(request: Request) -> Response:
        return _answer(files[_PAGE], request)

    @router.get("/static/{name}")
    async def static(name: str, request: Request) -> Response:
        if name not in files:
            raise HTTPException(404)
        return _answer(files[name], request)

    return router


def _load() -> dict[str, _File]:
    """Return all files by name; a few hundred kB in total."""
    found = {}
    for file in (resources.files("hookfarm.api") / "static").iterdir():
        media_type = _TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            body = file.read_bytes()
            found[file.name] = _File(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return found


def _answer(file: _File, request: Request) -> Response:
    headers = {**HEADERS, "ETag": file.etag}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers=headers, media_type=file.media_type)
