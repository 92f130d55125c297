"""A child as it sees itself."""

import os
import select
import signal
from collections.abc import Iterator

import pytest

from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard, State

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def child() -> Iterator[Child]:
    """With its handlers installed in this process."""
    previous = {number: signal.getsignal(number) for number in HANDLED}
    scoreboard = Scoreboard({"service": 1})
    one = Child("service", 0, scoreboard, grace_seconds=60.0)
    one.handle_signals()
    yield one
    for number, handler in previous.items():
        signal.signal(number, handler)
    one.close()


def term() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_term_is_noticed_and_wakes_a_waiting_child(child: Child) -> None:
    assert not child.wait(0)
    term()
    assert child.stopping
    assert child.wait(60)
    assert select.select([child.stop_fd], [], [], 0)[0] == [child.stop_fd]
    assert not child.grace_expired


def test_a_second_term_ends_the_grace_period(child: Child) -> None:
    term()
    term()
    assert child.grace_expired


def test_the_grace_of_a_child_ends_before_the_farms() -> None:
    child = Child("service", 0, Scoreboard({"service": 1}), grace_seconds=0.5)
    previous = signal.getsignal(signal.SIGTERM)
    child.handle_signals()
    try:
        term()
        assert child.grace_expired
    finally:
        signal.signal(signal.SIGTERM, previous)
        child.close()


def test_ctrl_c_is_the_masters_affair(child: Child) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(os.getpid(), number)
    assert not child.stopping


def test_being_up_clears_the_reason_for_having_been_stalled(child: Child) -> None:
    child.mark_stalled("no node")
    assert (child.slot.state, child.slot.reason) == (State.STALLED, "no node")
    child.mark_up()
    assert (child.slot.state, child.slot.reason) == (State.UP, "")


def test_a_child_whose_master_lives_is_no_orphan(child: Child) -> None:
    assert not child.is_orphaned


def test_a_child_whose_master_is_dead_is_an_orphan() -> None:
    master = os.fork()
    if not master:
        os._exit(0)
    os.waitpid(master, 0)
    child = Child("service", 0, Scoreboard({"service": 1}), master_pid=master)
    assert child.is_orphaned
    child.close()
