"""The epoll loop: descriptors, timers, and descriptors that are reused within one turn."""

import gc
import os
import socket
from collections.abc import Iterator
from functools import partial

import pytest

from hookfarm.event_loop import MIN_SWEEP, READABLE, WRITABLE, EventLoop, Timer


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    event_loop = EventLoop()
    yield event_loop
    event_loop.close()


def test_a_readable_descriptor_is_called_until_it_is_unwatched(loop: EventLoop) -> None:
    reader, writer = os.pipe()
    seen: list[int] = []
    loop.watch(reader, READABLE, seen.append)
    os.write(writer, b"x")
    loop.run_once(5)
    loop.run_once(5)
    loop.unwatch(reader)
    loop.run_once(0)
    assert seen == [READABLE, READABLE]
    os.close(reader)
    os.close(writer)


def test_watching_again_replaces_events_and_callback(loop: EventLoop) -> None:
    left, right = socket.socketpair()
    seen: list[str] = []
    loop.watch(left.fileno(), READABLE, lambda _: seen.append("readable"))
    loop.watch(left.fileno(), WRITABLE, lambda _: seen.append("writable"))
    right.send(b"x")
    loop.run_once(5)
    assert seen == ["writable"]
    loop.unwatch(left.fileno())
    left.close()
    right.close()


def test_timers_are_called_in_order_once_each_unless_cancelled() -> None:
    now = [100.0]
    loop = EventLoop(clock=lambda: now[0])
    seen: list[str] = []
    loop.call_at(102, lambda: seen.append("second"))
    loop.call_at(101, lambda: seen.append("first"))
    loop.call_at(101.5, lambda: seen.append("never")).cancel()
    loop.run_once(0)
    assert seen == []
    now[0] = 103
    loop.run_once(60)
    loop.run_once(0)
    assert seen == ["first", "second"]
    loop.close()


def test_cancelled_timers_do_not_pile_up_behind_one_that_waits(loop: EventLoop) -> None:
    def timers() -> int:
        return sum(isinstance(each, Timer) for each in gc.get_objects())

    before = timers()
    loop.call_later(60, lambda: None)
    for _ in range(10 * MIN_SWEEP):
        loop.call_later(90, lambda: None).cancel()
        loop.run_once(0)
    assert timers() - before <= MIN_SWEEP + 1


def test_no_live_timer_is_swept_away() -> None:
    now = [100.0]
    loop = EventLoop(clock=lambda: now[0])
    seen: list[int] = []
    timers = [loop.call_at(200 - number / 10, partial(seen.append, number)) for number in range(3 * MIN_SWEEP)]
    for timer in timers[::2]:
        timer.cancel()
    loop.call_at(300, lambda: None)
    now[0] = 250
    loop.run_once(0)
    assert seen == list(range(3 * MIN_SWEEP))[::-2]
    loop.close()


def test_events_of_a_closed_descriptor_do_not_reach_its_successor_of_the_same_number(loop: EventLoop) -> None:
    pipes = [os.pipe(), os.pipe()]
    seen: list[str] = []

    def replace(other: int) -> None:
        """Close the other reader, which is ready as well, and watch a new one of the same number."""
        loop.unwatch(other)
        os.close(other)
        reader, writer = os.pipe()
        opened.extend((reader, writer))
        loop.watch(other, READABLE, lambda _: seen.append("successor"))
        assert reader == other

    opened: list[int] = []
    (first, first_writer), (second, second_writer) = pipes
    loop.watch(first, READABLE, lambda _: replace(second))
    loop.watch(second, READABLE, lambda _: replace(first))
    os.write(first_writer, b"x")
    os.write(second_writer, b"x")
    loop.run_once(5)
    assert seen == []
    for fd in {first, second, first_writer, second_writer, *opened}:
        loop.unwatch(fd)
        os.close(fd)
