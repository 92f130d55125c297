"""An epoll loop for one process: callbacks for descriptors and timers, on one thread.

A callback must not block, because it delays all others and the heartbeat of the process.
"""

import heapq
import select
import time
from collections.abc import Callable

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
FAILED = select.EPOLLERR | select.EPOLLHUP
"""Always reported, without registration."""

MIN_SWEEP = 512
"""With fewer timers, cancelled ones are not removed."""

Callback = Callable[[int], None]
"""Called with the events of its descriptor, a mask of READABLE, WRITABLE and FAILED."""


class Timer:
    """One call at a point in time, until it is cancelled."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Drop the call. A second cancel, or one after the call, does nothing."""
        self.callback = None


class EventLoop:
    """Loop over descriptors and timers. The owner of the process calls `run_once` repeatedly."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._stale: set[int] = set()
        """Descriptors watched since the current events were read; such events belong to a closed predecessor."""
        self._timers: list[tuple[float, int, Timer]] = []
        self._timers_added = 0
        self._sweep_at = MIN_SWEEP

    def watch(self, fd: int, events: int, callback: Callback) -> None:
        """Call `callback` whenever `fd` is ready for one of `events`, until `unwatch`. Level-triggered."""
        if fd in self._callbacks:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
            self._stale.add(fd)
        self._callbacks[fd] = callback

    def unwatch(self, fd: int) -> None:
        """Stop watching a descriptor; call it before closing. Unknown descriptors are ignored."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once at `when`, in seconds of the loop's clock (monotonic)."""
        if len(self._timers) >= self._sweep_at:
            self._sweep()
        timer = Timer(callback)
        self._timers_added += 1
        heapq.heappush(self._timers, (when, self._timers_added, timer))
        return timer

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, `seconds` from now."""
        return self.call_at(self._clock() + seconds, callback)

    def time(self) -> float:
        """Return the time of the timers' clock in seconds."""
        return self._clock()

    def run_once(self, max_wait_seconds: float) -> None:
        """Wait at most `max_wait_seconds` for events or timers, and call all due callbacks."""
        ready = self._epoll.poll(self._wait_seconds(max_wait_seconds))
        self._stale.clear()
        for fd, events in ready:
            callback = self._callbacks.get(fd)
            if callback is not None and fd not in self._stale:
                callback(events)
        self._call_timers()

    def close(self) -> None:
        self._callbacks.clear()
        self._timers.clear()
        self._epoll.close()

    def _sweep(self) -> None:
        """Remove cancelled timers, which would otherwise stay until the earlier ones are due."""
        self._timers[:] = [entry for entry in self._timers if entry[2].callback is not None]
        heapq.heapify(self._timers)
        self._sweep_at = max(MIN_SWEEP, 2 * len(self._timers))

    def _wait_seconds(self, max_wait_seconds: float) -> float:
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        return max(0.0, min(max_wait_seconds, timers[0][0] - self._clock())) if timers else max_wait_seconds

    def _call_timers(self) -> None:
        now, timers = self._clock(), self._timers
        while timers and (timers[0][2].callback is None or timers[0][0] <= now):
            timer = heapq.heappop(timers)[2]
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
