"""Whether a service is ready, judged from its slots."""

import time
from dataclasses import dataclass

import pytest

from hookfarm.farm.scoreboard import Board, Slot, State
from hookfarm.keeper.process import TICK_SECONDS
from hookfarm.keeper.readiness_check import DOUBT_SECONDS, LATE_SECONDS, Verdict, backing_off, judge
from hookfarm.webhook_delivery.worker import POLL_HEARTBEAT_SECONDS

PROMISE_SECONDS = 1.0


@dataclass
class Looks:
    """How a slot looks; `late` seconds after its promise was broken."""

    state: State = State.UP
    pid: int = 4711
    reason: str = ""
    late: float = -PROMISE_SECONDS


GOOD = Looks()


def judged(*looks: Looks) -> Verdict:
    slots = Board({"service": len(looks)}).slots("service")
    now = time.monotonic_ns()
    for slot, look in zip(slots, looks, strict=True):
        show(slot, look, now)
    return judge("service", slots, now)


def show(slot: Slot, look: Looks, now: int) -> None:
    slot.occupy(10)
    slot.occupied_by(look.pid)
    slot.state, slot.reason = look.state, look.reason
    slot.promise(-look.late - (time.monotonic_ns() - now) / 1e9)


@pytest.mark.parametrize("count", [1, 2, 50])
def test_a_service_is_ready_when_all_its_children_are_up_and_in_time(count: int) -> None:
    assert judged(*[GOOD] * count) == Verdict(True, "")


@pytest.mark.parametrize(
    ("look", "trouble"),
    [
        (Looks(pid=0), "gone"),
        (Looks(pid=0, state=State.EMPTY), "gone"),
        (Looks(pid=0, reason="the disk is full"), "the disk is full"),
        (Looks(State.BOOTING), "booting"),
        (Looks(State.STALLED), "stalled"),
        (Looks(State.STALLED, reason="no node"), "no node"),
        (Looks(State.QUIET), "quiet"),
        (Looks(State.EMPTY), "empty"),
        (Looks(late=LATE_SECONDS + 0.4), f"silent for {LATE_SECONDS + 0.4:.1f} s"),
    ],
)
def test_one_child_in_trouble_is_enough_and_is_named(look: Looks, trouble: str) -> None:
    assert judged(GOOD, look, GOOD) == Verdict(False, f"service 1 ({trouble})")


@pytest.mark.parametrize(
    ("late", "ready"), [(-0.01, True), (LATE_SECONDS - 0.01, True), (LATE_SECONDS + 0.01, False)]
)
def test_a_heartbeat_may_be_a_little_late(late: float, ready: bool) -> None:
    assert judged(Looks(late=late)).ready is ready


def test_a_child_that_is_up_is_not_excused_by_an_old_reason() -> None:
    assert judged(Looks(reason="no node")).ready


def test_five_are_named_and_the_others_counted() -> None:
    named = ", ".join(f"service {index} (gone)" for index in range(5))
    assert judged(*[Looks(pid=0)] * 5).why == named
    assert judged(*[Looks(pid=0)] * 7).why == f"{named} and 2 more"


def test_a_service_without_children_is_not_ready() -> None:
    assert judged() == Verdict(False, "no process")


def test_an_idle_worker_that_hangs_shows_within_two_seconds() -> None:
    assert POLL_HEARTBEAT_SECONDS + LATE_SECONDS + DOUBT_SECONDS + TICK_SECONDS < 2.0


def test_a_child_that_is_missing_as_planned_is_excused() -> None:
    slots = Board({"service": 2}).slots("service")
    now = time.monotonic_ns()
    for slot in slots:
        show(slot, GOOD, now)
    slots[0].excuse(10)
    assert judge("service", slots, now) == Verdict(True), "it is not missing"
    slots[0].vacate()
    assert judge("service", slots, now) == Verdict(True, excused=True)
    assert judge("service", slots, now + 11 * 10**9).why.startswith("service 0 (gone), service 1 (silent")


def test_an_excuse_holds_for_its_own_child_alone() -> None:
    slots = Board({"service": 2}).slots("service")
    slots[0].excuse(10)
    assert judge("service", slots, time.monotonic_ns()) == Verdict(False, "service 1 (gone)", excused=True)


def test_who_is_tried_again_and_again_is_shown_with_reason_and_date() -> None:
    slots = Board({"service": 3}).slots("service")
    now = time.monotonic_ns()
    show(slots[0], GOOD, now)
    slots[1].reason = "the disk is full"
    slots[1].await_fork(12.34, tries=7)
    slots[2].await_fork(0.0, tries=0)  # It had worked, and is replaced at once.
    [told] = backing_off("service", slots)
    assert told.pop("again_in_s") in (12.3, 12.2)
    assert told == {"process": "service 1", "reason": "the disk is full", "tries": 7}
    assert "service 1 (the disk is full, tried again in 12.3 s)" in judge("service", slots, now).why
