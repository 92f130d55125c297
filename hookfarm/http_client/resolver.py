"""Asynchronous name resolution with c-ares, and a cache of the answers."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from itertools import takewhile

import pycares

from hookfarm.event_loop import FAILED, READABLE, WRITABLE, EventLoop, Timer
from hookfarm.security.ssrf import IPAddress, NameNotResolved, literal_address

MAX_NAMES = 2_000
"""Maximum number of cached names; the least recently used one is dropped first."""
MIN_TTL_SECONDS = 1.0
MAX_TTL_SECONDS = 300.0
FAILURE_SECONDS = 5.0
"""Time for which a failure is cached."""
CHANNEL_SECONDS = 5.0
MAX_NAMES_PER_CHANNEL = 200
"""A c-ares channel is replaced after CHANNEL_SECONDS or MAX_NAMES_PER_CHANNEL names.

A new channel reads resolv.conf again and has an empty cache. The cache of c-ares has no maximum size and needs
2 kB a name. It keeps the answer "no addresses" for an hour.
"""

_FIRST_TRY_SECONDS = 1.0
"""Time-out of a first query. c-ares later uses five times the server's latency, at least 0.25 s.

The time-out doubles with each try.
"""
_TRIES = 6
"""The tries take at least 8 s, longer than the resolver's time-out."""
_TICK_SECONDS = 0.1
"""Interval at which c-ares checks open queries for time-outs."""
_NO_SOCKET = pycares.ARES_SOCKET_BAD

Answer = tuple[IPAddress, ...] | NameNotResolved
"""One or more addresses, preferred first, or the failure, which is returned and not raised."""


class Waiter:
    """Handle with which a caller can cancel its lookup."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[Answer], None] | None) -> None:
        self.callback = callback

    def cancel(self) -> None:
        """Drop the callback. Does nothing after the call or a first cancel."""
        self.callback = None


_ANSWERED = Waiter(None)


class _Lookup:
    """Lookup of one name, with the callers that wait for it."""

    __slots__ = ("deadline", "host", "waiters")

    def __init__(self, host: str, deadline: float, first: Waiter) -> None:
        self.host = host
        self.deadline = deadline
        self.waiters = [first]


class Resolver:
    """Resolves names as getaddrinfo does (hosts file, search domains, IPv4 and IPv6), without blocking.

    Make it after the fork: pycares starts a thread, which only frees closed channels.
    c-ares opens a socket for a query and closes it after the last answer.
    `clock` must be the loop's clock. `servers` (ADDRESS:PORT) replace the name servers of resolv.conf.
    """

    def __init__(
        self,
        loop: EventLoop,
        clock: Callable[[], float] = time.monotonic,
        timeout_seconds: float = 5.0,
        servers: Sequence[str] = (),
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._cache: OrderedDict[str, tuple[float, Answer]] = OrderedDict()
        """Host -> expiry, answer."""
        self._under_way: dict[str, _Lookup] = {}
        """Lookups in the order of their deadlines."""
        self._deadline_timer: Timer | None = None
        self._channels = _Channels(lambda: _Channel(loop, clock, servers), clock, timeout_seconds)

    def resolve(self, host: str, callback: Callable[[Answer], None]) -> Waiter:
        """Call `callback` once with the addresses of `host` or the failure, within `timeout_seconds`.

        Names that need no query (cached, literal address, hosts file) are answered before `resolve` returns.
        """
        found = self._cache.get(host)
        if found is not None and self._clock() < found[0]:
            self._cache.move_to_end(host)
            callback(found[1])
            return _ANSWERED
        waiter = Waiter(callback)
        literal = literal_address(host)
        if literal is not None:
            self._remember(host, (literal,), MAX_TTL_SECONDS)
            callback((literal,))
        elif host in self._under_way:
            self._under_way[host].waiters.append(waiter)
        else:
            self._ask(host, waiter)
        return waiter

    def close(self) -> None:
        """Drop all lookups without a callback and close their sockets. Do not call it from a callback."""
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
        self._under_way.clear()
        self._channels.close()

    def _ask(self, host: str, waiter: Waiter) -> None:
        lookup = self._under_way[host] = _Lookup(host, self._clock() + self._timeout_seconds, waiter)
        if self._deadline_timer is None:
            self._deadline_timer = self._loop.call_at(lookup.deadline, self._time_out)
        self._channels.ask(host, partial(self._answered, lookup))

    def _answered(self, lookup: _Lookup, answer: Answer, ttl: float) -> None:
        """Finish a lookup; cache addresses that arrive after its time-out for the next caller."""
        if self._under_way.get(lookup.host) is lookup:
            self._finish(lookup, answer, ttl)
        elif not isinstance(answer, NameNotResolved):
            self._remember(lookup.host, answer, ttl)

    def _time_out(self) -> None:
        now = self._clock()
        due = list(takewhile(lambda lookup: lookup.deadline <= now, self._under_way.values()))
        for lookup in due:
            problem = f"{lookup.host} cannot be resolved: no answer within {self._timeout_seconds:g} s"
            self._finish(lookup, NameNotResolved(problem), FAILURE_SECONDS)
        first = next(iter(self._under_way.values()), None)
        self._deadline_timer = self._loop.call_at(first.deadline, self._time_out) if first else None

    def _finish(self, lookup: _Lookup, answer: Answer, seconds: float) -> None:
        del self._under_way[lookup.host]
        self._remember(lookup.host, answer, seconds)
        for waiter in lookup.waiters:
            callback, waiter.callback = waiter.callback, None
            if callback is not None:
                callback(answer)

    def _remember(self, host: str, answer: Answer, seconds: float) -> None:
        self._cache[host] = (self._clock() + seconds, answer)
        self._cache.move_to_end(host)
        if len(self._cache) > MAX_NAMES:
            self._cache.popitem(last=False)


Receive = Callable[[Answer, float], None]
"""Called with an answer and the seconds for which it may be cached."""


class _Channels:
    """The current channel, and earlier channels whose callers still wait."""

    def __init__(self, new: Callable[[], "_Channel"], clock: Callable[[], float], timeout_seconds: float) -> None:
        self._new = new
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._channel = new()
        self._predecessors: list[_Channel] = []

    def ask(self, host: str, receive: Receive) -> None:
        now = self._clock()
        self._close_predecessors(now - self._timeout_seconds)
        if self._channel.asked >= MAX_NAMES_PER_CHANNEL or now >= self._channel.made_at + CHANNEL_SECONDS:
            self._predecessors.append(self._channel)
            self._channel = self._new()
        self._channel.ask(host, receive)

    def close(self) -> None:
        for channel in (self._channel, *self._predecessors):
            channel.close()

    def _close_predecessors(self, timed_out: float) -> None:
        """Close earlier channels whose last query was sent at `timed_out` or before."""
        for channel in [each for each in self._predecessors if not each.is_needed(timed_out)]:
            self._predecessors.remove(channel)
            channel.close()


class _Channel:
    """One c-ares channel: configuration, sockets on the loop, and queries."""

    def __init__(self, loop: EventLoop, clock: Callable[[], float], servers: Sequence[str]) -> None:
        self.made_at = self._asked_at = clock()
        self.asked = 0
        """Number of names."""
        self._open = 0
        """Number of queries without an answer."""
        self._loop = loop
        self._clock = clock
        self._tick_timer: Timer | None = None
        self._answers: deque[tuple[Receive, Answer, float]] = deque()
        """Answers that c-ares has passed to callbacks.

        They are handed over after c-ares has returned, because receivers may call c-ares again.
        """
        self._channel = pycares.Channel(
            timeout=_FIRST_TRY_SECONDS, tries=_TRIES, servers=servers, sock_state_cb=self._watch
        )

    def is_needed(self, timed_out: float) -> bool:
        """Return whether callers wait for the channel; queries sent at `timed_out` or before have timed out."""
        return bool(self._answers or (self._open and self._asked_at > timed_out))

    def ask(self, host: str, receive: Receive) -> None:
        self.asked += 1
        self._asked_at = self._clock()
        self._open += 1
        self._channel.getaddrinfo(host, None, callback=partial(self._answered, host, receive))
        if self._open and self._tick_timer is None:
            self._start_tick()
        self._hand_over()

    def close(self) -> None:
        """Cancel all queries and close their sockets."""
        if self._tick_timer is not None:
            self._tick_timer.cancel()
        self._channel.cancel()
        self._answers.clear()
        self._channel.close()
        del self._channel  # Its callback refers back to this object.

    def _watch(self, fd: int, readable: bool, writable: bool) -> None:
        """Watch or unwatch a socket; c-ares calls this after it opens one and before it closes one."""
        events = (READABLE if readable else 0) | (WRITABLE if writable else 0)
        if events:
            self._loop.watch(fd, events, partial(self._process, fd))
        else:
            self._loop.unwatch(fd)

    def _process(self, fd: int, events: int) -> None:
        read = fd if events & (READABLE | FAILED) else _NO_SOCKET
        self._channel.process_fd(read, fd if events & WRITABLE else _NO_SOCKET)
        self._hand_over()

    def _start_tick(self) -> None:
        self._tick_timer = self._loop.call_at(self._clock() + _TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._tick_timer = None
        self._channel.process_fd(_NO_SOCKET, _NO_SOCKET)
        if self._open:
            self._start_tick()
        self._hand_over()

    def _answered(
        self, host: str, receive: Receive, result: pycares.AddrInfoResult | None, error: int | None
    ) -> None:
        self._open -= 1
        self._answers.append((receive, *_read_answer(host, result, error)))

    def _hand_over(self) -> None:
        while self._answers:
            receive, answer, seconds = self._answers.popleft()
            receive(answer, seconds)


def _read_answer(host: str, result: pycares.AddrInfoResult | None, error: int | None) -> tuple[Answer, float]:
    """Return the answer of c-ares and the seconds for which it may be cached."""
    if result is None or not result.nodes:
        reason = str(pycares.errno.strerror(error or pycares.errno.ARES_ENODATA))
        return NameNotResolved(f"{host} cannot be resolved: {reason}"), FAILURE_SECONDS
    ttl = min([node.ttl for node in result.nodes] + [alias.ttl for alias in result.cnames])
    addresses = tuple(ip_address(node.addr[0].decode()) for node in result.nodes)
    return addresses, min(max(ttl, MIN_TTL_SECONDS), MAX_TTL_SECONDS)
