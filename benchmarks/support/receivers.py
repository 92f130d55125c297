"""Receivers of webhooks: nginx, which costs least, or a recorder, which records each arrival."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psutil

from support.certificates import Certificate
from support.processes import family, running
from support.waiting import until

_NGINX = """\
daemon off;
{user}worker_processes 1;
pid {place}/nginx.pid;
error_log {place}/nginx.log;
worker_rlimit_nofile 20000;
events {{ worker_connections 16000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    server {{
        listen 127.0.0.1:{port}{tls};
        location / {{ return 204; }}
        location = /load {{ stub_status; }}
    }}
}}
"""
_RECORDER = Path(__file__).with_name("recorder.py")


def find_nginx() -> Path | None:
    """Return the path of nginx, or None."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


@dataclass(frozen=True)
class Load:
    """Webhooks of a recorder.

    `requests` = arrived; `in_flight` = unanswered now; `peak_in_flight` = the maximum of that.
    `in_flight_seconds` is the integral of `in_flight` over time: its growth divided by the elapsed seconds is the
    mean concurrency.
    """

    requests: int
    in_flight: int
    peak_in_flight: int
    in_flight_seconds: float


class Receiver(ABC):
    """A running receiver."""

    def __init__(self, kind: str, pid: int, port: int, certificate: Certificate | None = None) -> None:
        self.kind = kind
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{port}/hook"
        self.processes: list[psutil.Process] = family(pid)
        self._connection = _connection(port, certificate)

    @abstractmethod
    def requests(self) -> int:
        """Return the number of webhooks that have arrived."""

    def _ask(self) -> bytes:
        self._connection.request("GET", "/load")
        return self._connection.getresponse().read()


class Nginx(Receiver):
    """nginx: only counts requests, at little cost."""

    def __init__(self, pid: int, port: int, certificate: Certificate | None = None) -> None:
        super().__init__("nginx", pid, port, certificate)
        self._questions = 0

    def requests(self) -> int:
        self._questions += 1
        # accepts, handled, requests: the only line with three numbers. `requests` includes this request.
        counted = [line.split() for line in self._ask().splitlines() if line[:2].strip().isdigit()]
        return int(counted[0][2]) - self._questions


class Recorder(Receiver):
    """A receiver that verifies each signature and records each arrival."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", port: int, place: Path, certificate: Certificate | None = None
    ) -> None:
        super().__init__("own", process.pid, port, certificate)
        self._process = process
        self._notes, self._output = _files(place)

    def requests(self) -> int:
        return self.load().requests

    def load(self) -> Load:
        told: dict[str, Any] = orjson.loads(self._ask())
        return Load(**told)

    def anything_came(self) -> bool:
        """Return whether a webhook with a valid signature has arrived."""
        return "came" in self._output.read_text()

    def end(self) -> None:
        """End the recorder and its connections."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)

    def arrivals(self) -> dict[str, int]:
        """End the recorder; return webhook-id -> first arrival (Unix time in ns).

        Raises AssertionError if a signature was invalid.
        """
        self.end()
        came: dict[str, int] = {}
        for line in self._notes.read_text().splitlines():
            webhook_id, at, verified = line.split()
            assert verified == "1", f"{webhook_id}: invalid signature"
            came.setdefault(webhook_id, int(at))
        return came


@contextlib.contextmanager
def running_nginx(binary: Path, place: Path, certificate: Certificate | None = None) -> Iterator[Receiver]:
    """Run nginx with one worker and kept connections; it responds 204 to each request and logs nothing."""
    place.mkdir(parents=True)
    port = _free_port()
    configuration = place / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    pem = certificate and f"; ssl_certificate {certificate.certificate}; ssl_certificate_key {certificate.key}"
    tls = f" ssl backlog=4096{pem}" if pem else " backlog=4096"
    configuration.write_text(_NGINX.format(place=place, port=port, user=user, tls=tls))
    with running([binary, "-p", place, "-c", configuration], place / "nginx.out") as process:
        until(lambda: _listens(port) and len(family(process.pid)) > 1, "the start of nginx")
        yield Nginx(process.pid, port, certificate)


@contextlib.contextmanager
def running_recorder(
    secret: str,
    place: Path,
    status: int = 204,
    after_seconds: float = 0.0,
    drip: bool = False,
    certificate: Certificate | None = None,
) -> Iterator[Recorder]:
    """Run a recorder that verifies signatures with `secret`; see recorder.py."""
    place.mkdir(parents=True)
    notes, output = _files(place)
    command = [sys.executable, str(_RECORDER), secret, str(notes)]
    command += ["--status", str(status), "--after", str(after_seconds), *(["--drip"] if drip else [])]
    command += ["--tls", str(certificate.certificate), str(certificate.key)] if certificate else []
    with running(command, output) as process:
        port = until(lambda: int(output.read_text() or 0), "the start of the recorder")
        yield Recorder(process, port, place, certificate)


def _files(place: Path) -> tuple[Path, Path]:
    """Return the paths of a recorder's arrivals and of its output."""
    return place / "arrivals", place / "recorder.out"


def _connection(port: int, certificate: Certificate | None) -> http.client.HTTPConnection:
    if certificate is None:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=certificate.client_context())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
