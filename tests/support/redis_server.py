"""A real server for one test: its own directory, its own socket, gone with the test."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from hookfarm.store.clients import command_client
from hookfarm.store.embedded_server import StateDirectory, command, find_binary
from tests.support.waiting import eventually


@dataclass
class RedisServer:
    """A running server; `kill` and `start` again to see how others take it."""

    directory: StateDirectory
    extra: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.directory.redis_url

    def client(self) -> "redis.Redis":
        return command_client(self.url)

    def start(self) -> None:
        arguments = [*command(find_binary(), self.directory), *self.extra]
        self.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(self._answers, what="the Redis server answering")

    def kill(self, synced: bool = False) -> None:
        """SIGKILL; what had not reached the append-only file yet is gone, unless it is to be `synced` first.

        A server whose fsync is slow holds back what it has answered for, for up to two seconds.
        """
        if synced:
            self._sync()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _sync(self) -> None:
        """WAITAOF waits for the writes before the last one of its own connection, so there has to be one."""
        with self.client() as client:
            client.set("synced", 1)
            client.delete("synced")
            assert client.waitaof(1, 0, 10_000)[0] == 1

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False


@contextlib.contextmanager
def running_redis(*extra: str) -> Iterator[RedisServer]:
    """A fresh server with further command line settings."""
    place = Path(tempfile.mkdtemp(prefix="hf-redis-"))
    server = RedisServer(StateDirectory(place), extra)
    server.directory.make()
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(place, ignore_errors=True)
