"""A hookfarm API in its own process, and the requests of an open dashboard."""

import contextlib
import http.client
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from support.farm import Farm, running_farm, title
from support.redis_server import RedisServer
from support.waiting import until

REFRESH_SECONDS = 2.0
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/#token=(\S+)\n")


@dataclass(frozen=True)
class Api:
    """A running `hookfarm start api`. `process` is the API itself, without its master."""

    farm: Farm
    port: int
    token: str
    process: psutil.Process

    def ask(self, path: str) -> http.client.HTTPResponse:
        """Send a request; return the unread response. Raises RuntimeError unless its status is 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
        return answer


@contextlib.contextmanager
def running_api(place: Path, server: RedisServer) -> Iterator[Api]:
    """Run an API; yields it when it responds."""
    options = ("--redis-url", server.url, "--api", "127.0.0.1:0")
    with running_farm(place, *options, services=("api",)) as farm:

        def found() -> re.Match[str] | None:
            farm.check_alive()
            return _ADDRESS.search(place.with_suffix(".out").read_text())

        said = until(found, "the start of the API", within_seconds=60)
        assert said is not None
        [process] = [one for one in farm.processes() if title(one).startswith("hookfarm: api")]
        yield Api(farm, int(said[1]), said[2], process)


@contextlib.contextmanager
def watching(api: Api) -> Iterator[None]:
    """Send the requests of a page with the list of deliveries: the live stream, and the list every two seconds.

    Raises RuntimeError at the end if a request was refused or no snapshot arrived.
    """
    stopping, seen, failed = threading.Event(), list[bytes](), list[Exception]()

    def stream() -> None:
        try:
            answer = api.ask("/v1/stats/stream")
            while not stopping.is_set():
                seen.extend(line for line in [answer.readline()] if line.startswith(b"data:"))
            answer.close()
        except (OSError, http.client.HTTPException, RuntimeError) as error:
            failed.append(error)

    def refresh() -> None:
        try:
            while not stopping.wait(REFRESH_SECONDS):
                api.ask("/v1/deliveries?limit=50").read()
        except (OSError, http.client.HTTPException, RuntimeError) as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for work in (stream, refresh)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: seen or failed, "the first snapshot")
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    if failed:
        raise RuntimeError("the viewer lost the API") from failed[0]
