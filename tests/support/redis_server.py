"""A real Redis server for one test, with its own directory and socket."""

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
    """A running server, which a test may `kill` and `start` again."""

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
        """Send SIGKILL; writes not yet in the append-only file are lost, unless `synced` first.

        With a slow fsync, acknowledged writes reach the file up to two seconds late.
        """
        if synced:
            self._sync()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _sync(self) -> None:
        """Sync the append-only file. WAITAOF covers writes up to its connection's last one, so it writes first."""
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
    """Run a new server during the context, with further command line settings."""
    place = Path(tempfile.mkdtemp(prefix="hf-redis-"))
    server = RedisServer(StateDirectory(place), extra)
    server.directory.make()
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(place, ignore_errors=True)
