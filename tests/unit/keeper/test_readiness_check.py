"""Whether a service is ready, judged from its slots."""

import time
from dataclasses import dataclass

import pytest

from hookfarm.farm.scoreboard import Scoreboard, Slot, State
from hookfarm.keeper.process import TICK_SECONDS
from hookfarm.status.readiness import (
    LATE_TOLERANCE_SECONDS,
    UNREADY_GRACE_SECONDS,
    ServiceReadiness,
    backoffs,
    check,
)
from hookfarm.webhook_delivery.worker import HEARTBEAT_SECONDS

HEARTBEAT_WITHIN_SECONDS = 1.0


@dataclass
class Looks:
    """How a slot looks; `late` seconds after its heartbeat was due."""

    state: State = State.UP
    pid: int = 4711
    reason: str = ""
    late: float = -HEARTBEAT_WITHIN_SECONDS


GOOD = Looks()


def judged(*looks: Looks) -> ServiceReadiness:
    slots = Scoreboard({"service": len(looks)}).slots("service")
    now = time.monotonic_ns()
    for slot, look in zip(slots, looks, strict=True):
        show(slot, look, now)
    return check("service", slots, now)


def show(slot: Slot, look: Looks, now: int) -> None:
    slot.on_fork(10)
    slot.on_forked(look.pid)
    slot.state, slot.reason = look.state, look.reason
    slot.heartbeat(-look.late - (time.monotonic_ns() - now) / 1e9)


@pytest.mark.parametrize("count", [1, 2, 50])
def test_a_service_is_ready_when_all_its_children_are_up_and_in_time(count: int) -> None:
    assert judged(*[GOOD] * count) == ServiceReadiness(True, "")


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
        (Looks(late=LATE_TOLERANCE_SECONDS + 0.4), f"heartbeat late by {LATE_TOLERANCE_SECONDS + 0.4:.1f} s"),
    ],
)
def test_one_child_in_trouble_is_enough_and_is_named(look: Looks, trouble: str) -> None:
    assert judged(GOOD, look, GOOD) == ServiceReadiness(False, f"service 1 ({trouble})")


@pytest.mark.parametrize(
    ("late", "ready"),
    [(-0.01, True), (LATE_TOLERANCE_SECONDS - 0.01, True), (LATE_TOLERANCE_SECONDS + 0.01, False)],
)
def test_a_heartbeat_may_be_a_little_late(late: float, ready: bool) -> None:
    assert judged(Looks(late=late)).ready is ready


def test_a_child_that_is_up_is_not_excused_by_an_old_reason() -> None:
    assert judged(Looks(reason="no node")).ready


def test_five_are_named_and_the_others_counted() -> None:
    named = ", ".join(f"service {index} (gone)" for index in range(5))
    assert judged(*[Looks(pid=0)] * 5).reason == named
    assert judged(*[Looks(pid=0)] * 7).reason == f"{named} and 2 more"


def test_a_service_without_children_is_not_ready() -> None:
    assert judged() == ServiceReadiness(False, "no processes")


def test_an_idle_worker_that_hangs_shows_within_two_seconds() -> None:
    assert HEARTBEAT_SECONDS + LATE_TOLERANCE_SECONDS + UNREADY_GRACE_SECONDS + TICK_SECONDS < 2.0


def test_a_child_that_is_missing_as_planned_is_excused() -> None:
    slots = Scoreboard({"service": 2}).slots("service")
    now = time.monotonic_ns()
    for slot in slots:
        show(slot, GOOD, now)
    slots[0].mark_replacing(10)
    assert check("service", slots, now) == ServiceReadiness(True), "it is not missing"
    slots[0].on_exit()
    assert check("service", slots, now) == ServiceReadiness(True, replacing=True)
    assert check("service", slots, now + 11 * 10**9).reason.startswith("service 0 (gone), service 1 (heart")


def test_an_excuse_holds_for_its_own_child_alone() -> None:
    slots = Scoreboard({"service": 2}).slots("service")
    slots[0].mark_replacing(10)
    assert check("service", slots, time.monotonic_ns()) == ServiceReadiness(
        False, "service 1 (gone)", replacing=True
    )


def test_who_is_tried_again_and_again_is_shown_with_reason_and_date() -> None:
    slots = Scoreboard({"service": 3}).slots("service")
    now = time.monotonic_ns()
    show(slots[0], GOOD, now)
    slots[1].reason = "the disk is full"
    slots[1].schedule_fork(12.34, tries=7)
    slots[2].schedule_fork(0.0, tries=0)  # It had worked, and is replaced at once.
    [shown] = backoffs("service", slots)
    assert 12_150 <= shown["retry_in_ms"] <= 12_340
    rest = {name: value for name, value in shown.items() if name != "retry_in_ms"}
    assert rest == {"process": "service 1", "reason": "the disk is full", "tries": 7}
    assert "service 1 (the disk is full, forked again in 12.3 s)" in check("service", slots, now).reason
