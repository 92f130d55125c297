"""HTTP requests to endpoints, many at a time on one event loop."""

import ssl
from collections.abc import Callable, Sequence

from hookfarm.event_loop import EventLoop
from hookfarm.http_client.connections import ConnectionPool
from hookfarm.http_client.exchange import Exchange, Headers
from hookfarm.http_client.outcome import Result
from hookfarm.http_client.resolver import Resolver
from hookfarm.security.ssrf import IPNetwork, Target

CANCEL_CHECK_SECONDS = 0.25


class Interrupted(Exception):
    """The request was cancelled before its result was known."""


class Transport:
    """HTTP client of one process: event loop, resolver and connection pool."""

    def __init__(
        self, loop: EventLoop, tls: ssl.SSLContext, allowed: Sequence[IPNetwork], resolver: Resolver, max_idle: int
    ) -> None:
        """`max_idle` is the maximum number of idle connections kept for later requests."""
        self.loop = loop
        self._pool = ConnectionPool(loop, tls, max_idle)
        self._allowed = allowed
        self._resolver = resolver

    def send(
        self,
        target: Target,
        request: bytes,
        timeout_seconds: float,
        on_result: Callable[[Exchange, Result], None],
    ) -> Exchange:
        """Begin an exchange. `on_result` may be called before `send` returns."""
        exchange = Exchange(self._pool, self._resolver, self._allowed, target, request, on_result)
        exchange.start(timeout_seconds)
        return exchange

    def post(
        self, target: Target, request: bytes, timeout_seconds: float, is_cancelled: Callable[[], bool]
    ) -> tuple[Result, Headers]:
        """Send one request, wait, and return its result with the headers of the response.

        `is_cancelled` is called every CANCEL_CHECK_SECONDS; raises Interrupted if it returns True. Failures of
        the endpoint are results, not exceptions.
        """
        self.loop.run_once(0)  # Drops idle connections that have been closed or have received unrequested data.
        results: list[Result] = []
        exchange = self.send(target, request, timeout_seconds, lambda _, result: results.append(result))
        try:
            while not results:
                if is_cancelled():
                    raise Interrupted
                self.loop.run_once(CANCEL_CHECK_SECONDS)
        finally:
            exchange.cancel()
        return results[0], exchange.headers

    def expire_idle(self) -> None:
        """Close connections that have been idle for too long. Call it every few seconds."""
        self._pool.expire()

    def close(self) -> None:
        self._pool.close()
        self._resolver.close()
