"""What a demo has of its own on the machine: a temporary directory, a named pipe in it, two ports."""

import contextlib
import fcntl
import os
import shutil
import socket
import tempfile
from pathlib import Path

from hookfarm.config import Address
from hookfarm.errors import OperatorError
from hookfarm.store.embedded_server import MAX_SOCKET_PATH_BYTES, StateDirectory

HOST = "127.0.0.1"
PIPE_BYTES = 1024 * 1024
"""Room for some 5,000 webhooks between two looks; more of them wait in the receiver."""
READ_BYTES = 256 * 1024
_PREFIX = "hookfarm-demo-"
_LONGEST_PARENT = MAX_SOCKET_PATH_BYTES - len(f"/{_PREFIX}12345678/redis.sock")


class Place:
    """Made before the farm is forked; `remove` leaves nothing of it."""

    def __init__(self) -> None:
        self.path = _make_directory()
        self.directory = StateDirectory(self.path)
        self.directory.make()
        self.log = self.path / "farm.log"
        self.pipe = self.path / "verified"
        os.mkfifo(self.pipe, 0o600)
        self._reading = os.open(self.pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # Only less room where the user's share of pipes is used up.
            fcntl.fcntl(self._reading, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._unread = b""
        self._reservations = [_reserve_port() for _ in range(2)]
        self.devchain, self.receiver = (Address(*held.getsockname()) for held in self._reservations)

    def lines(self) -> list[str]:
        """What has come through the pipe since the last call, in whole lines."""
        while True:
            try:
                read = os.read(self._reading, READ_BYTES)
            except BlockingIOError:
                break
            if not read:
                break  # Nobody has it open for writing.
            self._unread += read
        *whole, self._unread = self._unread.split(b"\n")
        return [line.decode() for line in whole]

    def let_go(self) -> None:
        """Closes what it holds open: for a child, which must not keep it."""
        os.close(self._reading)
        for held in self._reservations:
            held.close()

    def remove(self) -> None:
        self.let_go()
        shutil.rmtree(self.path, ignore_errors=True)


def _make_directory() -> Path:
    try:
        parent = tempfile.gettempdir()
        short_enough = len(os.fsencode(parent)) <= _LONGEST_PARENT
        return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent if short_enough else "/tmp"))
    except OSError as error:
        raise OperatorError(f"cannot make a temporary directory: {error.strerror}; set TMPDIR") from error


def _reserve_port() -> socket.socket:
    """A free port that stays ours. The socket is bound and does not listen: the kernel gives the port to nobody
    else, and a child's socket that says SO_REUSEADDR too may listen on it, now and after a restart (socket(7))."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((HOST, 0))
    return held
