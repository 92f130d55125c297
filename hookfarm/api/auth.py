"""Authorization: the token under /v1, and the allowed Host headers.

By DNS rebinding, a web page can resolve its own name to 127.0.0.1 and reach local servers. It cannot choose the
Host header, so requests with any Host other than the API's names are refused.
"""

import hmac
from collections.abc import Callable, Collection
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import ASGIApp, Receive, Scope, Send

from hookfarm.api.responses import problem

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_ANYWHERE = frozenset({"0.0.0.0", "::"})
_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="HOOKFARM_API_TOKEN, or the content of `api-token` in the state directory.",
)


def token_check(token: str) -> Callable[..., None]:
    """Return a dependency that requires the token; other requests get 401 without details."""
    expected = token.encode()

    def require_token(
        _request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> None:
        credentials = given.credentials if given else ""
        if not hmac.compare_digest(credentials.encode("utf-8", "replace"), expected):
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})

    return require_token


class HostCheck:
    """Middleware that refuses with 421 unless the Host header is one of the API's names.

    If the API listens on every address, any address is allowed as Host: addresses cannot be rebound.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = LOOPBACK_NAMES | {name.lower().strip("[]") for name in names}
        self._any_address = bool(_ANYWHERE & self._names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_ours(_host(scope)):
            refused = problem(421, detail="Host header not allowed; add the name to HOOKFARM_API_HOSTS.")
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        return host in self._names or (self._any_address and _is_address(host))


def _host(scope: Scope) -> str:
    """Return the name or address in the Host header; "" unless there is exactly one header."""
    given = [value for name, value in scope["headers"] if name == b"host"]
    if len(given) != 1:
        return ""
    try:
        return (urlsplit(f"//{given[0].decode('ascii')}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
