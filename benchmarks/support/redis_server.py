"""A Redis server with the settings of hookfarm's embedded server, started by the benchmark."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import redis

from hookfarm.store.clients import command_client
from hookfarm.store.embedded_server import StateDirectory, command, find_binary
from support.processes import running
from support.waiting import until


class RedisServer:
    """A running server. `client` is the benchmark's connection to it."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid
        self.client = command_client(url)

    def settled(self) -> bool:
        """Return whether no rewrite of the append-only file is under way or scheduled."""
        info = self.client.info("persistence")
        return not (info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"])


class AofBytes:
    """Bytes appended to the append-only file. Call `look` often, because a rewrite resets the file's size."""

    def __init__(self, server: RedisServer) -> None:
        self._client = server.client
        self._size = self._current()
        self.counted = 0

    def look(self) -> None:
        size = self._current()
        self.counted += max(0, size - self._size)
        self._size = size

    def _current(self) -> int:
        return int(self._client.info("persistence")["aof_current_size"])


@contextlib.contextmanager
def running_redis(place: Path) -> Iterator[RedisServer]:
    """Run a server in the directory `place`, with an append-only file and a unix socket."""
    directory = StateDirectory(place)
    directory.make()
    with running(command(find_binary(), directory), place / "redis.out") as process:
        server = RedisServer(directory.redis_url, process.pid)
        until(lambda: _answers(server.client), "the start of the Redis server", every_seconds=0.005)
        try:
            yield server
        finally:
            server.client.close()


def _answers(client: "redis.Redis") -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(client.ping())
    return False
