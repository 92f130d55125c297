"""A proxy before Redis that holds the first worker that reports its BRPOP; all others pass."""

import contextlib
import re
import selectors
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from hookfarm.store import keys
from tests.support.farm_processes import TITLE, title
from tests.support.waiting import eventually

REPORT = re.compile(rb"\$4\r\nINCR\r\n\$\d+\r\n" + keys.reported("").encode())
_CREDENTIALS = struct.Struct("3i")


@dataclass
class Held:
    """The held worker, such as `webhook_delivery 7`, and its unsent write."""

    pid: int
    name: str
    sent: bytes
    to: socket.socket


class HoldingProxy:
    """Proxy with one connection to the server per client connection."""

    def __init__(self, path: Path, server: Path) -> None:
        self.url = f"unix://{path}"
        self.held: Held | None = None
        self._server = server
        self._opened = False
        self._peers: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(128)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def wait_held(self) -> Held:
        eventually(lambda: self.held, what="a worker reporting")
        assert self.held is not None
        return self.held

    def release(self) -> None:
        assert self.held is not None
        self._opened = True
        self.held.to.sendall(self.held.sent)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        for connection in (self._listener, *self._peers):
            connection.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(0.02):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._forward(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self._server))
        for one, other in ((client, server), (server, client)):
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, source: socket.socket) -> None:
        if source not in self._peers:
            return  # The other side has just disconnected.
        peer = self._peers[source]
        try:
            data = source.recv(65536)
            if self._holds(source, data, peer):
                return
            peer.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(source, peer)

    def _holds(self, source: socket.socket, data: bytes, peer: socket.socket) -> bool:
        """Return whether to hold the data. A held worker that reconnects is held again."""
        if not REPORT.search(data) or self._opened:
            return False
        pid = _peer_pid(source)
        if self.held is None or self.held.pid == pid:
            self.held = Held(pid, title(psutil.Process(pid)).removeprefix(TITLE), data, peer)
        return self.held.pid == pid

    def _drop(self, *connections: socket.socket) -> None:
        for connection in connections:
            self._selector.unregister(connection)
            del self._peers[connection]
            connection.close()


def _peer_pid(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, _, _ = _CREDENTIALS.unpack(credentials)
    return int(pid)


@contextlib.contextmanager
def holding_proxy(server: Path) -> Iterator[HoldingProxy]:
    """Run a proxy beside the server's socket during the context."""
    proxy = HoldingProxy(server.parent / "door.sock", server)
    try:
        yield proxy
    finally:
        proxy.close()
