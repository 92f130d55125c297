"""A name server that never responds, and a command that runs a program with it as the only name server."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

ADDRESS = "127.11.0.53"
NAME = "{number}.outage.test"
_MOUNT = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


class DeadNameServer:
    """A name server that never responds.

    `prefix` begins a command that runs in a mount namespace whose /etc/resolv.conf names this server.
    """

    def __init__(self, bound: socket.socket, configuration: Path) -> None:
        self.prefix = ("unshare", "--mount", "sh", "-c", _MOUNT, str(configuration))
        self._socket = bound
        self._queries = 0

    def queries(self) -> int:
        """Return the number of received queries."""
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(512):
                self._queries += 1
        return self._queries


@contextlib.contextmanager
def dead_name_server(place: Path) -> Iterator[DeadNameServer]:
    configuration = place / "resolv.conf"
    configuration.write_text(f"nameserver {ADDRESS}\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((ADDRESS, 53))
        server.setblocking(False)
        yield DeadNameServer(server, configuration)


def missing() -> str | None:
    """Return why this machine does not support the name server; None if it does."""
    if os.geteuid() != 0:
        return "needs root: a mount namespace, and port 53"
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
    return f"no mount namespace: {done.stderr.strip()}" if done.returncode else None
