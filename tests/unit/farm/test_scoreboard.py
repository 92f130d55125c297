"""Slots: one process writes, all others read."""

import os
import time

import pytest

from hookfarm.farm.scoreboard import COUNTERS, LABEL_BYTES, LABELS, REASON_BYTES, Scoreboard, Slot, State


@pytest.fixture
def slot() -> Slot:
    return Scoreboard({"service": 1}).slots("service")[0]


def test_a_fresh_slot_is_empty(slot: Slot) -> None:
    assert (slot.pid, slot.state, slot.activity, slot.reason) == (0, State.EMPTY, 0, "")


def test_what_another_process_writes_is_read_here() -> None:
    scoreboard = Scoreboard({"service": 2})
    pid = os.fork()
    if not pid:
        slot = scoreboard.slots("service")[1]
        slot.state, slot.activity, slot.reason = State.STALLED, 7, "no node"
        slot.set_counter(COUNTERS - 1, 2**62)
        os._exit(0)
    os.waitpid(pid, 0)
    slot = scoreboard.slots("service")[1]
    assert (slot.state, slot.activity, slot.reason) == (State.STALLED, 7, "no node")
    assert slot.counter(COUNTERS - 1) == 2**62
    assert scoreboard.slots("service")[0].state == State.EMPTY


def test_slots_of_all_services_are_apart() -> None:
    scoreboard = Scoreboard({"one": 2, "none": 0, "two": 3})
    slots = [slot for service in scoreboard.services for slot in scoreboard.slots(service)]
    for number, slot in enumerate(slots, start=1):
        slot.on_forked(number)
        slot.set_counter(COUNTERS - 1, number)
        slot.reason = str(number) * REASON_BYTES
    for service in scoreboard.services:
        scoreboard.set_ready(service, True)
    assert [slot.pid for slot in slots] == [1, 2, 3, 4, 5]
    assert [slot.counter(COUNTERS - 1) for slot in slots] == [1, 2, 3, 4, 5]
    assert [slot.reason for slot in slots] == [str(number) * REASON_BYTES for number in range(1, 6)]


def test_the_failure_of_a_farm_is_read_by_its_parent() -> None:
    scoreboard = Scoreboard({"service": 1})
    assert scoreboard.failure == ""
    pid = os.fork()
    if not pid:
        scoreboard.failure = "service 0 could not start: no node"
        os._exit(0)
    os.waitpid(pid, 0)
    assert scoreboard.failure == "service 0 could not start: no node"
    assert [slot.label(0) for slot in scoreboard.slots("service")] == [""]


def test_labels_are_apart_from_each_other_and_the_reason_and_outlive_the_process(slot: Slot) -> None:
    slot.reason = "x" * REASON_BYTES
    labels = [f"ws://{index}" for index in range(LABELS)]
    for index, label in enumerate(labels):
        slot.set_label(index, label)
    slot.on_fork(1)
    slot.on_exit()
    assert ([slot.label(index) for index in range(LABELS)], slot.reason) == (labels, "")
    slot.set_label(1, "é" * LABEL_BYTES)
    assert [slot.label(index) for index in range(3)] == ["ws://0", "é" * (LABEL_BYTES // 2), "ws://2"]
    slot.clear_counters()
    assert not any(slot.label(index) for index in range(LABELS))


def test_processes_that_were_started_and_that_died_are_counted(slot: Slot) -> None:
    for _ in range(3):
        slot.on_fork(1)
        slot.on_exit()
    slot.count_crash()
    slot.clear_counters()
    assert (slot.forks, slot.crashes) == (3, 1)


def test_there_is_no_counter_beyond_the_last(slot: Slot) -> None:
    with pytest.raises(IndexError):
        slot.set_counter(COUNTERS, 1)


def test_counters_add_up(slot: Slot) -> None:
    slot.add(3)
    slot.add(3, 4)
    slot.set_counter(4, 9)
    assert [slot.counter(index) for index in (2, 3, 4)] == [0, 5, 9]


def test_a_reason_is_one_line(slot: Slot) -> None:
    slot.reason = "  first\n\tsecond   third\r\n"
    assert slot.reason == "first second third"


@pytest.mark.parametrize("letter", ["a", "ä", "€", "🐂"])
@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_a_long_reason_is_cut_between_letters(slot: Slot, letter: str, before: int) -> None:
    text = "x" * before + letter * REASON_BYTES
    slot.reason = text
    assert text.startswith(slot.reason)
    assert REASON_BYTES - 3 <= len(slot.reason.encode()) <= REASON_BYTES


def test_a_short_reason_leaves_nothing_of_a_long_one(slot: Slot) -> None:
    slot.reason = "x" * REASON_BYTES
    slot.reason = "short"
    assert slot.reason == "short"


def test_a_reason_that_is_not_text_is_still_said(slot: Slot) -> None:
    slot.reason = os.fsdecode(b"no such file: \xff")
    assert slot.reason == r"no such file: \udcff"


def test_a_reason_keeps_secrets_out(slot: Slot) -> None:
    slot.reason = "wss://user:canary@node.example/canary?key=canary does not answer"
    assert slot.reason == "wss://node.example does not answer"


def test_a_promise_is_kept_until_its_time_and_then_late(slot: Slot) -> None:
    before = time.monotonic_ns()
    slot.heartbeat(2.5)
    after = time.monotonic_ns()
    assert slot.seconds_late(before) >= -2.5 - (after - before) / 1e9
    assert slot.seconds_late(before) <= -2.5 + 1e-9
    assert slot.seconds_late(after + 3_000_000_000) >= 0.5


def test_occupying_starts_over_but_keeps_the_counters(slot: Slot) -> None:
    slot.state, slot.activity, slot.reason = State.UP, 3, "old"
    slot.set_counter(5, 8)
    slot.on_fork(boot_seconds=10)
    slot.on_forked(4711)
    assert (slot.pid, slot.state, slot.activity, slot.reason) == (4711, State.BOOTING, 0, "")
    assert slot.counter(5) == 8
    assert -10 <= slot.seconds_late() < -9


def test_what_a_child_writes_before_its_pid_is_recorded_stays(slot: Slot) -> None:
    slot.on_fork(boot_seconds=10)
    slot.state = State.UP
    slot.on_forked(4711)
    assert slot.state == State.UP


def test_a_slot_without_a_process_is_empty_but_keeps_the_reason(slot: Slot) -> None:
    slot.on_fork(boot_seconds=10)
    slot.on_forked(4711)
    slot.reason = "the disk is full"
    slot.on_exit()
    assert (slot.pid, slot.state, slot.reason) == (0, State.EMPTY, "the disk is full")


def test_announcements_are_per_service_and_remembered() -> None:
    scoreboard = Scoreboard({"one": 1, "two": 1})
    assert not scoreboard.is_ready("one")
    scoreboard.set_ready("one", False)
    assert not scoreboard.has_been_ready("one")
    scoreboard.set_ready("one", True)
    assert scoreboard.is_ready("one")
    scoreboard.set_ready("one", False)
    assert not scoreboard.is_ready("one")
    assert scoreboard.has_been_ready("one")
    assert not scoreboard.has_been_ready("two")


def test_a_service_may_come_to_want_as_many_slots_as_it_has_room_for() -> None:
    scoreboard = Scoreboard({"one": 1, "two": 2}, {"one": 3})
    slots = scoreboard.slots("one")
    assert (len(slots), slots.capacity, scoreboard.target("one")) == (1, 3, 1)
    scoreboard.set_target("one", 3)
    slots[2].on_forked(4711)
    assert (len(slots), scoreboard.target("one")) == (3, 3)
    assert [slot.pid for slot in slots] == [0, 0, 4711]
    assert [slot.pid for slot in scoreboard.slots("two")] == [0, 0]
    assert scoreboard.slots("two").capacity == 2


def test_a_slot_that_is_not_wanted_any_more_is_still_there_for_who_leaves_it() -> None:
    scoreboard = Scoreboard({"service": 3})
    slots = scoreboard.slots("service")
    slots[2].on_forked(4711)
    scoreboard.set_target("service", 1)
    assert scoreboard.target("service") == 1
    assert [slot.pid for slot in slots] == [0, 0, 4711]
    assert slots[2].pid == slots[-1].pid == slots[1:][1].pid == 4711


def test_who_holds_the_slots_of_another_process_sees_them_grow() -> None:
    scoreboard = Scoreboard({"service": 1}, {"service": 2})
    slots = scoreboard.slots("service")
    assert len(list(slots)) == 1
    pid = os.fork()
    if not pid:
        scoreboard.set_target("service", 2)
        scoreboard.slots("service")[1].set_counter(0, 7)
        os._exit(0)
    os.waitpid(pid, 0)
    assert [slot.counter(0) for slot in slots] == [0, 7]


def test_a_slot_in_backoff_has_the_time_of_its_next_fork_and_its_tries(slot: Slot) -> None:
    assert (slot.next_fork_seconds(), slot.tries) == (0.0, 0)
    slot.on_exit()
    slot.schedule_fork(30.0, tries=4)
    assert slot.state == State.BACKOFF
    assert 29 < slot.next_fork_seconds() <= 30
    assert slot.tries == 4
    slot.on_fork(10)
    assert (slot.next_fork_seconds(), slot.tries) == (0.0, 0)


def test_a_date_that_has_passed_is_now(slot: Slot) -> None:
    slot.schedule_fork(-1.0, tries=1)
    assert slot.next_fork_seconds() == 0.0


def test_an_excuse_has_an_end_and_can_be_taken_back(slot: Slot) -> None:
    now = time.monotonic_ns()
    assert not slot.is_replacing(now)
    slot.mark_replacing(10)
    assert slot.is_replacing(now + 9 * 10**9)
    assert not slot.is_replacing(now + 11 * 10**9)
    slot.on_fork(10)
    slot.on_exit()
    assert slot.is_replacing(now), "it outlives the one that it excuses"
    slot.mark_replacing(0)
    assert not slot.is_replacing(0)


def test_a_new_process_has_no_stop_request(slot: Slot) -> None:
    slot.request_stop()
    assert slot.stop_requested
    slot.on_fork(10)
    assert not slot.stop_requested


def test_a_slot_taken_over_for_something_else_begins_at_nothing(slot: Slot) -> None:
    slot.on_forked(4711)
    for index in (0, COUNTERS - 1):
        slot.add(index, 5)
    slot.clear_counters()
    assert [slot.counter(index) for index in (0, COUNTERS - 1)] == [0, 0]
    assert slot.pid == 4711
