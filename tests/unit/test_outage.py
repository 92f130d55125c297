"""When a child logs that a dependency is down, when that it is up again, and how it is marked meanwhile."""

import io
from collections.abc import Callable, Iterator

import pytest

from hookfarm import logs
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard, State
from hookfarm.outage import FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS, Outage

BOOTING, UP, STALLED = State.BOOTING, State.UP, State.STALLED
SERVICE = "webhook_delivery"


class Bench:
    """A child with its outage, a clock that is set by hand, no jitter, and what was logged."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        logs.configure(stream=self.stream)
        self.child = Child(SERVICE, 0, Scoreboard({SERVICE: 1}))
        self.child.slot.state = BOOTING
        self.now = 100.0
        self.reasons_read = 0

    def outage(
        self,
        *,
        booting: bool = False,
        on_change: Callable[[tuple[str, ...]], None] = lambda _sources: None,
        **fields: object,
    ) -> Outage:
        return Outage(
            self.child,
            logs.get(SERVICE),
            booting=booting,
            on_change=on_change,
            clock=lambda: self.now,
            chance=lambda: 0.5,
            **fields,
        )

    def reason(self) -> str:
        self.reasons_read += 1
        return "delivery_queue is a string; it must be a list"

    @property
    def state(self) -> State:
        return self.child.slot.state

    @property
    def lines(self) -> list[str]:
        return [line.partition(f" {SERVICE} ")[2] for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.child.close()


def test_the_first_of_many_failures_is_logged_with_its_reason_and_stalls_the_child(bench: Bench) -> None:
    outage = bench.outage()
    for _ in range(100):
        outage.fail("redis", bench.reason)
    assert bench.lines == ['redis down reason="delivery_queue is a string; it must be a list"']
    assert (bench.state, bench.reasons_read) == (STALLED, 1)
    assert bench.child.slot.reason == outage.reason == "delivery_queue is a string; it must be a list"
    assert outage.is_ongoing
    assert outage.sources == ("redis",)


def test_the_next_success_is_logged_once_with_the_downtime(bench: Bench) -> None:
    outage = bench.outage()
    for reason in ("refused", "refused", "reset"):
        outage.fail("redis", reason)
        bench.now += 4.114
    outage.recover("redis")
    outage.recover("redis")
    assert bench.lines == ["redis down reason=refused", "redis up downtime_s=12.3"]
    assert (bench.state, bench.child.slot.reason) == (UP, "")
    assert (outage.is_ongoing, outage.reason, outage.sources) == (False, "", ())


def test_a_success_without_a_failure_logs_nothing_and_leaves_the_child_as_it_is(bench: Bench) -> None:
    bench.child.mark_stalled("something else")
    bench.outage().recover("redis")
    assert (bench.lines, bench.state) == ([], STALLED)


def test_the_fields_are_in_each_line(bench: Bench) -> None:
    outage = bench.outage(chain=137)
    outage.fail("stream 1", "refused")
    outage.recover("stream 1")
    assert bench.lines == ["stream 1 down chain=137 reason=refused", "stream 1 up chain=137 downtime_s=0.0"]


def test_delays_double_up_to_the_longest_and_begin_again_after_a_recovery(bench: Bench) -> None:
    outage = bench.outage()
    delays = [outage.fail("redis", "refused") for _ in range(20)]
    assert delays[:3] == pytest.approx([FIRST_DELAY_SECONDS, 2 * FIRST_DELAY_SECONDS, 4 * FIRST_DELAY_SECONDS])
    assert delays == sorted(delays)
    assert delays[-1] == pytest.approx(MAX_DELAY_SECONDS)
    outage.recover("redis")
    assert outage.fail("redis", "refused") == pytest.approx(FIRST_DELAY_SECONDS)


def test_each_source_has_its_own_delays(bench: Bench) -> None:
    outage = bench.outage()
    for _ in range(10):
        outage.fail("redis", "refused")
    assert outage.fail("chain", "no node") == pytest.approx(FIRST_DELAY_SECONDS)


def test_delays_are_jittered_between_four_and_six_fifths(bench: Bench) -> None:
    chance: Callable[[], float]
    for chance, factor in ((lambda: 0.0, 0.8), (lambda: 1.0, 1.2)):
        outage = Outage(bench.child, logs.get(SERVICE), chance=chance)
        assert outage.fail("redis", "refused") == pytest.approx(factor * FIRST_DELAY_SECONDS)


def test_two_children_forked_from_one_parent_do_not_retry_together(bench: Bench) -> None:
    one, another = (Outage(bench.child, logs.get(SERVICE)) for _ in range(2))
    assert [one.fail("redis", "gone") for _ in range(5)] != [another.fail("redis", "gone") for _ in range(5)]


def test_stalled_with_the_first_reason_until_all_sources_have_recovered(bench: Bench) -> None:
    outage = bench.outage()
    outage.fail("chain", "no node")
    outage.fail("redis", "no server")
    assert outage.sources == ("chain", "redis")
    assert (bench.state, bench.child.slot.reason) == (STALLED, "no node")
    outage.recover("chain")
    assert (bench.state, bench.child.slot.reason) == (STALLED, "no server")
    outage.recover("redis")
    assert (bench.state, bench.child.slot.reason) == (UP, "")


def test_the_newest_reason_is_shown(bench: Bench) -> None:
    outage = bench.outage()
    outage.fail("chain", "refused")
    outage.fail("chain", "another chain")
    assert bench.child.slot.reason == "another chain"


def test_the_child_is_not_up_before_the_boot_is_over(bench: Bench) -> None:
    outage = bench.outage(booting=True)
    assert bench.state == BOOTING
    outage.fail("chain", "no node")
    assert (bench.state, outage.reason) == (STALLED, "no node")
    outage.recover("chain")
    assert bench.state == STALLED


def test_booted_without_a_failure_is_up(bench: Bench) -> None:
    outage = bench.outage(booting=True)
    outage.fail("chain", "no node")
    outage.recover("chain")
    outage.booted()
    assert bench.state == UP


def test_booted_during_an_outage_is_stalled(bench: Bench) -> None:
    outage = bench.outage(booting=True)
    outage.fail("chain", "no node")
    outage.booted()
    assert (bench.state, bench.child.slot.reason) == (STALLED, "no node")


def test_each_change_of_the_sources_is_reported_while_the_child_boots_too(bench: Bench) -> None:
    seen: list[tuple[str, ...]] = []
    outage = bench.outage(booting=True, on_change=seen.append)
    outage.fail("chain", "no node")
    outage.booted()
    outage.fail("redis", "gone")
    outage.recover("chain")
    outage.recover("redis")
    assert seen == [("chain",), ("chain",), ("chain", "redis"), ("redis",), ()]


def test_a_newer_reason_replaces_the_older_one(bench: Bench) -> None:
    outage = bench.outage()
    outage.fail("chain", "refused")
    outage.fail("chain", "another chain")
    assert bench.child.slot.reason == "another chain"
