"""Asynchronous name resolution: c-ares asks the name servers, a cache remembers the answers."""

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
"""Names in the cache; the name that was not asked for longest goes first."""
MIN_TTL_SECONDS = 1.0
MAX_TTL_SECONDS = 300.0
FAILURE_SECONDS = 5.0
"""How long a failure is remembered."""
CHANNEL_SECONDS = 5.0
MAX_NAMES_PER_CHANNEL = 200
"""A channel is replaced after so long or so many names.

Each reads resolv.conf anew and begins with an empty cache. c-ares bounds its cache neither in number, at 2 kB a
name, nor well in time: it keeps the answer that a name has no addresses for an hour.
"""

_FIRST_TRY_SECONDS = 1.0
"""Until c-ares has measured the server; then five times its latency, at least 0.25 s. It doubles with each try."""
_TRIES = 6
"""Enough for c-ares not to give up before the time-out: 8 s at least."""
_TICK_SECONDS = 0.1
"""How often c-ares looks for questions to repeat while any is open."""
_NO_SOCKET = pycares.ARES_SOCKET_BAD

Answer = tuple[IPAddress, ...] | NameNotResolved
"""Addresses, preferred first and never none; a failure is handed over, not raised."""


class Waiter:
    """One caller's claim to an answer, until it is cancelled."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[Answer], None] | None) -> None:
        self.callback = callback

    def cancel(self) -> None:
        """Drop the call. A second cancel, or one after the call, does nothing."""
        self.callback = None


_ANSWERED = Waiter(None)


class _Lookup:
    """A name under way, with the callers that wait for it."""

    __slots__ = ("deadline", "host", "waiters")

    def __init__(self, host: str, deadline: float, first: Waiter) -> None:
        self.host = host
        self.deadline = deadline
        self.waiters = [first]


class Resolver:
    """Resolves names as getaddrinfo does (hosts file, search domains, IPv4 and IPv6), and never blocks.

    To be made after the fork: pycares starts a thread, which does nothing but free closed channels.
    c-ares opens a socket when it asks and closes it after the last answer.
    `clock` is the loop's. `servers`, as ADDRESS:PORT, replace the name servers of resolv.conf.
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
        """Host -> until when, and the answer."""
        self._under_way: dict[str, _Lookup] = {}
        """In the order of their deadlines."""
        self._deadline_timer: Timer | None = None
        self._channels = _Channels(lambda: _Channel(loop, clock, servers), clock, timeout_seconds)

    def resolve(self, host: str, callback: Callable[[Answer], None]) -> Waiter:
        """Call `callback` once with the addresses of `host` or the failure, at the latest after `timeout_seconds`.

        Addresses and names that need no server are answered before `resolve` returns.
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
        """Drop all lookups under way, uncalled, with their descriptors. Not to be called from a callback."""
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
        """Take an answer; addresses that come after the time-out are remembered for the next caller."""
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
"""Called with an answer and the seconds for which it may be remembered."""


class _Channels:
    """The channel that is asked, and its predecessors while callers wait for them."""

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
        """Close the channels without callers; those who asked until `timed_out` have gone."""
        for channel in [each for each in self._predecessors if not each.is_needed(timed_out)]:
            self._predecessors.remove(channel)
            channel.close()


class _Channel:
    """One c-ares channel: its configuration, its sockets on the loop, its questions."""

    def __init__(self, loop: EventLoop, clock: Callable[[], float], servers: Sequence[str]) -> None:
        self.made_at = self._asked_at = clock()
        self.asked = 0
        """How many names."""
        self._open = 0
        """Names that c-ares has not answered."""
        self._loop = loop
        self._clock = clock
        self._tick_timer: Timer | None = None
        self._answers: deque[tuple[Receive, Answer, float]] = deque()
        """Answers of the call into c-ares that is running: it must not be entered again by their receivers."""
        self._channel = pycares.Channel(
            timeout=_FIRST_TRY_SECONDS, tries=_TRIES, servers=servers, sock_state_cb=self._watch
        )

    def is_needed(self, timed_out: float) -> bool:
        """Return whether callers wait for it; those who asked until `timed_out` do not."""
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
        """End all questions, unanswered, and close their sockets."""
        if self._tick_timer is not None:
            self._tick_timer.cancel()
        self._channel.cancel()
        self._answers.clear()
        self._channel.close()
        del self._channel  # it refers back by its callback

    def _watch(self, fd: int, readable: bool, writable: bool) -> None:
        """Follow c-ares, which calls this for a new socket and for one that it is about to close."""
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
    """Return what c-ares found, and for how many seconds it holds."""
    if result is None or not result.nodes:
        reason = str(pycares.errno.strerror(error or pycares.errno.ARES_ENODATA))
        return NameNotResolved(f"{host} cannot be resolved: {reason}"), FAILURE_SECONDS
    ttl = min([node.ttl for node in result.nodes] + [alias.ttl for alias in result.cnames])
    addresses = tuple(ip_address(node.addr[0].decode()) for node in result.nodes)
    return addresses, min(max(ttl, MIN_TTL_SECONDS), MAX_TTL_SECONDS)
