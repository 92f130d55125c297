"""When a worker says that Redis fails it, and when that it works again."""

import io
from collections.abc import Iterator

import pytest

from hookfarm import logs
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Board, State
from hookfarm.store import keys
from hookfarm.webhook_delivery.trouble import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, Trouble


class Bench:
    """A child with its trouble, a clock that stands, and what was logged."""

    def __init__(self) -> None:
        self.said = io.StringIO()
        logs.configure(stream=self.said)
        self.child = Child(keys.WEBHOOK_DELIVERY, 0, Board({keys.WEBHOOK_DELIVERY: 1}))
        self.child.mark_up()
        self.now = 100.0
        self.asked = 0
        self.trouble = Trouble(self.child, logs.get(keys.WEBHOOK_DELIVERY), lambda: self.now)

    def fail(self) -> float:
        return self.trouble.failed(self._reason)

    def _reason(self) -> str:
        self.asked += 1
        return "delivery_queue is a string; it must be a list"

    @property
    def lines(self) -> list[str]:
        return [line.partition(" webhook_delivery ")[2] for line in self.said.getvalue().splitlines()]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.child.close()


def test_the_first_of_many_failures_is_said_with_its_reason_and_stalls_the_child(bench: Bench) -> None:
    for _ in range(100):
        bench.fail()
    assert [line.partition(" ")[0] for line in bench.lines] == ["redis"]
    assert "delivery_queue is a string; it must be a list" in bench.lines[0]
    assert (bench.child.slot.state, bench.asked) == (State.STALLED, 1)
    assert bench.child.slot.reason == "Redis: delivery_queue is a string; it must be a list"
    assert bench.trouble.lasts


def test_the_next_success_is_said_once_with_how_long_it_took(bench: Bench) -> None:
    bench.fail()
    bench.now += 12.34
    bench.trouble.over()
    bench.trouble.over()
    assert len(bench.lines) == 2
    assert "redis is back" in bench.lines[1]
    assert "after_s=12.3" in bench.lines[1]
    assert (bench.child.slot.state, bench.child.slot.reason, bench.trouble.lasts) == (State.UP, "", False)


def test_a_success_without_a_failure_says_nothing_and_leaves_the_child_alone(bench: Bench) -> None:
    bench.child.mark_stalled("something else")
    bench.trouble.over()
    assert (bench.lines, bench.child.slot.state) == ([], State.STALLED)


def test_it_waits_ever_longer_and_begins_anew_after_a_success(bench: Bench) -> None:
    waits = [bench.fail() for _ in range(20)]
    assert waits[:3] == [FIRST_WAIT_SECONDS, 2 * FIRST_WAIT_SECONDS, 4 * FIRST_WAIT_SECONDS]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT_SECONDS
    bench.trouble.over()
    assert bench.fail() == FIRST_WAIT_SECONDS
    assert len(bench.lines) == 3
