"""Posting to receivers on the loopback, one request at a time or many on one loop."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from hookfarm.event_loop import Callback, EventLoop, Timer
from hookfarm.http_client.connections import tls_context
from hookfarm.http_client.exchange import Exchange
from hookfarm.http_client.outcome import Result
from hookfarm.http_client.resolver import Answer, Resolver, Waiter
from hookfarm.http_client.transport import Transport
from hookfarm.security.ssrf import IPNetwork, Target, parse
from tests.support.delivery import LOOPBACK
from tests.support.receivers import read_request
from tests.support.waiting import PATIENCE_SECONDS

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
SHORT, GENEROUS = 0.4, 20.0
MAX_IDLE = 8
TLS = tls_context()


class FixedResolver(Resolver):
    """Resolves every name to the same addresses, before `resolve` returns."""

    def __init__(self, *addresses: str) -> None:
        self._answer = tuple(ip_address(address) for address in addresses)

    def resolve(self, host: str, callback: Callable[[Answer], None]) -> Waiter:
        waiter = Waiter(callback)
        callback(self._answer)
        return waiter

    def close(self) -> None:
        """Nothing is open."""


class SilentResolver(Resolver):
    """Resolves names when `answer` is called, and never by itself."""

    def __init__(self) -> None:
        self._waiters: list[Waiter] = []

    def resolve(self, host: str, callback: Callable[[Answer], None]) -> Waiter:
        self._waiters.append(Waiter(callback))
        return self._waiters[-1]

    @property
    def waiting(self) -> int:
        """How many callers wait for an answer."""
        return sum(waiter.callback is not None for waiter in self._waiters)

    def answer(self, *addresses: str) -> None:
        for waiter in self._waiters:
            callback, waiter.callback = waiter.callback, None
            if callback is not None:
                callback(tuple(ip_address(address) for address in addresses))

    def close(self) -> None:
        self._waiters.clear()


class ObservedLoop(EventLoop):
    """A loop whose clock stands still until it is set, and whose timers and descriptors can be counted."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: self.now)
        self.now = 1000.0
        self.watched: set[int] = set()
        self.calls = 0
        """How often a descriptor was ready."""
        self._made: list[Timer] = []

    @property
    def timers(self) -> int:
        """How many wait."""
        return sum(timer.callback is not None for timer in self._made)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        timer = super().call_at(when, callback)
        self._made.append(timer)
        return timer

    def watch(self, fd: int, events: int, callback: Callback) -> None:
        def call(events: int) -> None:
            self.calls += 1
            callback(events)

        super().watch(fd, events, call)
        self.watched.add(fd)

    def unwatch(self, fd: int) -> None:
        super().unwatch(fd)
        self.watched.discard(fd)


def run_until(loop: EventLoop, condition: Callable[[], object]) -> None:
    """Turn the loop until `condition` is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the loop turns in vain"
        loop.run_once(0.01)


class Exchanges:
    """Requests on one transport, many at a time, and their results in the order of arrival."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.results: list[Result] = []

    def send(self, url: str, timeout: float = GENEROUS, body: bytes = b"{}") -> Exchange:
        target = parse(url, LOOPBACK)
        return self._transport.send(target, request_to(target, body), timeout, self._on_result)

    def wait_for(self, count: int) -> list[Result]:
        run_until(self._transport.loop, lambda: len(self.results) >= count)
        return self.results

    def _on_result(self, _: Exchange, result: Result) -> None:
        self.results.append(result)


@contextmanager
def full_listener(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """The port of a listener that accepts no connection and whose backlog is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextmanager
def transporting(
    resolver: Resolver | None = None,
    ca_file: Path | None = None,
    max_idle: int = MAX_IDLE,
    loop: EventLoop | None = None,
    allowed: Sequence[IPNetwork] = LOOPBACK,
) -> Iterator[Transport]:
    """A transport on a loop of its own; names are resolved by `resolver`, otherwise as in production."""
    loop = loop or EventLoop()
    tls = TLS if ca_file is None else tls_context(ca_file)
    transport = Transport(loop, tls, allowed, resolver or Resolver(loop), max_idle)
    try:
        yield transport
    finally:
        transport.close()
        loop.close()


def post(
    transport: Transport,
    url: str,
    timeout: float = GENEROUS,
    body: bytes = b"{}",
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Result:
    target = parse(url, LOOPBACK)
    return transport.post(target, request_to(target, body), timeout, is_cancelled)[0]


def answering(*pieces: bytes) -> Callable[[socket.socket, int], None]:
    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        for piece in pieces:
            connection.sendall(piece)

    return script


def request_to(target: Target, body: bytes = b"{}") -> bytes:
    head = f"POST {target.path} HTTP/1.1\r\nhost: {target.authority}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body
