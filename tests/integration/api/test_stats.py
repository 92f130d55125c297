"""`/v1/stats` and its stream over HTTP, and the files of the dashboard, from the API's own process."""

import http.client
import json
import re
import time
from contextlib import ExitStack, closing
from typing import Any

import pytest

from hookfarm.api.stats import MAX_CLIENTS
from hookfarm.status import readiness
from hookfarm.store import keys
from tests.support.api_process import Api
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_SECONDS, eventually

TOKEN = {"Authorization": "Bearer a-token-of-the-tests"}
TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


def get(api: Api, path: str, **headers: str) -> tuple[int, Any, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", api.port, timeout=PATIENCE_SECONDS)) as connection:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


class Stream:
    """A watcher."""

    def __init__(self, api: Api, **headers: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=PATIENCE_SECONDS)
        self._connection.request("GET", "/v1/stats/stream", headers={**TOKEN, **headers})
        self.response = self._connection.getresponse()

    def next(self) -> tuple[str, Any]:
        """The next event; comments are passed over."""
        found: dict[str, str] = {}
        while "data" not in found:
            line = self.response.readline().decode()
            assert line, "the stream has ended"
            name, _, value = line.rstrip("\n").partition(": ")
            found[name] = value
        return found["event"], json.loads(found["data"])

    def close(self) -> None:
        self.response.close()
        self._connection.close()


def test_stats_are_the_snapshot(api: Api, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        readiness.publish(client, keys.WEBHOOK_DELIVERY, {"activity": "bbp", "delivered": 7})
    status, headers, body = get(api, "/v1/stats", **TOKEN)
    assert (status, headers["content-type"]) == (200, "application/json")
    found = json.loads(body)
    assert found["services"][keys.WEBHOOK_DELIVERY]["ready"] is True
    assert (found["delivery"]["activity"], found["delivery"]["delivered"]) == ("bbp", 7)
    assert set(found) == {
        "timestamp", "version", "services", "chains", "streams", "queue", "backfills", "delivery", "endpoints",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/stats", "/v1/stats/stream"])
def test_both_need_the_token(api: Api, path: str) -> None:
    assert get(api, path)[0] == 401


def test_the_stream_follows_what_happens(api: Api, redis_server: RedisServer) -> None:
    with closing(Stream(api)) as stream, redis_server.client() as client:
        assert stream.response.getheader("content-type", "").startswith("text/event-stream")
        assert stream.next()[1]["services"][keys.WEBHOOK_DELIVERY]["ready"] is False
        readiness.publish(client, keys.WEBHOOK_DELIVERY, {"activity": "b"})
        eventually(
            lambda: stream.next()[1]["services"][keys.WEBHOOK_DELIVERY]["ready"],
            what="the service being ready in the stream",
        )


def test_a_stream_outlives_its_redis(api: Api, redis_server: RedisServer) -> None:
    with closing(Stream(api)) as stream:
        assert stream.next()[0] == "stats"
        redis_server.kill()
        eventually(lambda: stream.next()[0] == "unavailable", what="the event unavailable")
        redis_server.start()
        eventually(lambda: stream.next()[0] == "stats", what="figures again")


def test_redis_is_left_alone_once_the_last_watcher_has_gone(api: Api, redis_server: RedisServer) -> None:
    streams = [Stream(api) for _ in range(5)]
    for stream in streams:
        stream.next()
    with redis_server.client() as client:
        assert looks(client) > 0
        for stream in streams:
            stream.close()
        settled = LastCount(lambda: looks(client))
        eventually(settled, what="two seconds without a look")


class LastCount:
    """True once a count has not changed for so long that a watcher would have changed it twice."""

    def __init__(self, count: Any) -> None:
        self._count = count
        self._seen: tuple[int, float] = (-1, 0.0)

    def __call__(self) -> bool:
        now = time.monotonic()
        if (found := self._count()) != self._seen[0]:
            self._seen = (found, now)
        return now - self._seen[1] > 2.5


def looks(client: Any) -> int:
    """Number of snapshots read: nothing else in the API asks for a time to live."""
    stats = client.info("commandstats").get("cmdstat_pttl", {"calls": 0})
    return int(stats["calls"]) // len(keys.SERVICES)


def test_there_is_room_for_so_many_watchers_and_again_when_one_has_gone(api: Api) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(closing(Stream(api))) for _ in range(MAX_CLIENTS)]
        for stream in streams:
            stream.next()
        status, headers, body = get(api, "/v1/stats/stream", **TOKEN)
        assert (status, headers["content-type"]) == (503, "application/problem+json")
        assert "are connected, the maximum" in json.loads(body)["detail"]
        streams[0].close()
        eventually(lambda: admitted(api), what="room for another")


def admitted(api: Api) -> bool:
    with closing(Stream(api)) as stream:
        return stream.response.status == 200


def test_the_process_stops_on_sigterm_although_a_client_watches(api: Api) -> None:
    with closing(Stream(api)) as stream:
        stream.next()
        assert api.stop() == 0


def test_the_bare_address_is_the_dashboard_with_a_strict_policy(api: Api) -> None:
    status, headers, body = get(api, "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert b'src="/static/app.js"' in body


def test_a_page_that_is_known_already_is_not_sent_again(api: Api) -> None:
    etag = get(api, "/static/app.js")[1]["etag"]
    status, headers, body = get(api, "/static/app.js", **{"If-None-Match": etag})
    assert (status, body) == (304, b"")
    assert "content-security-policy" in headers


def test_every_file_that_the_page_names_is_there_and_none_comes_from_elsewhere(api: Api) -> None:
    seen: dict[str, bytes] = {}
    wanted = ["/"]
    while wanted:
        path = wanted.pop()
        status, headers, body = get(api, path)
        assert status == 200, path
        assert headers["content-type"].startswith(TYPES.get(path.rpartition(".")[2], "text/html")), path
        seen[path] = body
        wanted += set(re.findall(r'"(/static/[a-z_]+\.[a-z]+)"', body.decode())) - set(seen)
    assert len(seen) > 20
    foreign = re.compile(rb"(?:src|href|url|from|import|fetch)\W{0,3}[\"'(](?:https?:)?//")
    assert [path for path, body in seen.items() if foreign.search(body)] == []


@pytest.mark.parametrize("path", ["/static/nothing.js", "/static/..%2fapp.py", "/static/", "/static/app.js/x"])
def test_nothing_else_is_served(api: Api, path: str) -> None:
    assert get(api, path)[0] == 404
