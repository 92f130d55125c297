"""The API in its own process, forked as in a farm, and requests to it."""

import contextlib
import http.client
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import orjson

from hookfarm.api import process as api
from hookfarm.api.context import Settings
from hookfarm.config import Address
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard, State
from hookfarm.farm.spawn import fork, run_child
from hookfarm.store import keys
from tests.support.delivery import LOOPBACK
from tests.support.waiting import eventually

TOKEN = "a-token-of-the-tests"
STARTED = (keys.MESSAGE_PROCESSOR, keys.WEBHOOK_DELIVERY)


@dataclass(frozen=True)
class ApiReply:
    """A response. `json` is its body; None if empty."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body) if self.body else None


class Api:
    """A running API; it responds once `up` returns."""

    def __init__(self, settings: Settings, address: Address) -> None:
        self._scoreboard = Scoreboard({api.SERVICE: 1})
        self.slot = self._scoreboard.slots(api.SERVICE)[0]
        self.slot.on_fork(20)
        self._pid = fork(lambda: self._live(settings, address))
        self.slot.on_forked(self._pid)

    def _live(self, settings: Settings, address: Address) -> int:
        child = Child(api.SERVICE, 0, self._scoreboard)
        return run_child(child, api.prepare, -1, lambda c: api.run(c, address, settings))

    @property
    def port(self) -> int:
        return self.slot.counter(api.PORT)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_up(self) -> None:
        eventually(lambda: self.slot.state == State.UP, what="the API being up")

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None,
        token: str | None = TOKEN,
    ) -> ApiReply:  # fmt: skip
        """Send a request with the token on a new connection. A body other than bytes is sent as JSON."""
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None and not isinstance(body, bytes):
            body = orjson.dumps(body)
            sent["Content-Type"] = "application/json"
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, path, body, {**sent, **(headers or {})})
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return ApiReply(response.status, named, response.read())

    def get(self, path: str) -> tuple[int, Any]:
        """GET without the token; return status and JSON body."""
        reply = self.ask("GET", path, token=None)
        return reply.status, reply.json

    def wait(self) -> int:
        """Wait for the exit; return the exit code."""
        status = eventually(self._reaped, what="the API's end")
        self._pid = 0
        return os.waitstatus_to_exitcode(status[0])

    def _reaped(self) -> list[int]:
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        return [status] if pid else []

    def stop(self, number: int = signal.SIGTERM) -> int:
        os.kill(self._pid, number)
        return self.wait()

    def close(self) -> None:
        if self._pid:
            self.stop(signal.SIGKILL)


@contextlib.contextmanager
def running_api(redis_url: str, **settings: Any) -> Iterator[Api]:
    """Run an API on that Redis during the context; endpoints may be on loopback."""
    given = {"services": STARTED, "allow_private": LOOPBACK, **settings}
    one = Api(Settings(redis_url, TOKEN, **given), Address("127.0.0.1", 0))
    try:
        one.wait_up()
        yield one
    finally:
        one.close()


def refused(reply: ApiReply, status: int, field: str | None = None) -> str:
    """Check that the reply is a problem document with this status and field; return its detail."""
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json"), reply.body
    assert (reply.json["status"], reply.json.get("field")) == (status, field)
    return str(reply.json.get("detail"))


def pages(api: Api, path: str, cursor: str | None = None) -> list[list[dict[str, Any]]]:
    """Return all pages of a list, following the cursors. `path` must have a query."""
    found: list[list[dict[str, Any]]] = []
    while not found or cursor is not None:
        reply = api.ask("GET", path if cursor is None else f"{path}&cursor={cursor}")
        assert reply.status == 200, reply.body
        found.append(reply.json["data"])
        cursor = reply.json["next_cursor"]
    return found
