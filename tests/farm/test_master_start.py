"""How the master brings its groups up, and how it fails to."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from hookfarm.errors import CouldNotBoot
from hookfarm.farm.child import Child
from hookfarm.farm.plan import MasterTimeouts, Stage, WorkerGroup
from hookfarm.farm.scoreboard import Slot, State
from tests.farm.toys import HEARTBEAT_WITHIN_SECONDS, LIVES, QUICK, StartToys, await_order, idle, work
from tests.support.waiting import eventually


def come_up_on_order(child: Child) -> None:
    child.slot.add(LIVES)
    if await_order(child):
        child.mark_up()
        idle(child)


def sleeps(pid: int) -> bool:
    return bool(psutil.Process(pid).status() == psutil.STATUS_SLEEPING)


def test_a_group_is_forked_only_once_the_one_before_is_ready(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("first", 2, come_up_on_order), WorkerGroup("second", 1, work))
    eventually(lambda: farm.lives("first") and farm.lives("first", 1), what="the first group")
    farm.order("first")
    eventually(lambda: farm.slot("first").state == State.UP, what="one of two being up")
    assert farm.slot("second").pid == 0
    assert not farm.ready
    farm.order("first", 1)
    farm.wait_up("second")
    farm.wait_ready()


def test_a_prepared_group_prepares_at_once_but_works_only_at_its_turn(
    start_toys: StartToys, tmp_path: Path
) -> None:
    prepared = tmp_path / "prepared"
    farm = start_toys(
        WorkerGroup("first", 1, come_up_on_order), WorkerGroup("second", 1, work, prepare=prepared.touch)
    )
    eventually(prepared.exists, what="the second group preparing")
    eventually(lambda: farm.lives("first"), what="the first group")
    assert farm.slot("second").state == State.BOOTING
    assert farm.lives("second") == 0
    farm.order("first")
    farm.wait_up("second")


def test_a_child_that_dies_before_its_turn_is_replaced_and_its_successor_waits_too(
    start_toys: StartToys, tmp_path: Path
) -> None:
    prepared = tmp_path / "prepared"
    prepared.touch()

    def prepare() -> None:
        with prepared.open("a") as file:
            file.write(".")

    farm = start_toys(WorkerGroup("first", 1, come_up_on_order), WorkerGroup("second", 1, work, prepare=prepare))
    slot = farm.slot("second")
    eventually(lambda: prepared.read_text() == "." and slot.pid, what="the second group preparing")
    os.kill(slot.pid, signal.SIGKILL)
    eventually(lambda: prepared.read_text() == "..", what="the successor preparing")
    # It either works already, or sleeps at its gate.
    eventually(lambda: slot.pid and (farm.lives("second") or sleeps(slot.pid)), what="the successor's next step")
    assert farm.lives("second") == 0
    eventually(lambda: farm.lives("first"), what="the first group")
    farm.order("first")
    farm.wait_up("second")
    farm.wait_ready()


def test_a_group_may_be_ready_only_when_the_keeper_has_announced_it(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("service", 1, work, ready_when_announced=True), WorkerGroup("next", 1, work))
    farm.wait_up("service")
    assert farm.slot("next").pid == 0
    farm.scoreboard.set_ready("service", True)
    farm.wait_up("next")


def test_a_child_that_could_not_boot_ends_the_start_with_its_reason(start_toys: StartToys) -> None:
    def refuse(child: Child) -> None:
        raise CouldNotBoot("port 8400 is taken")

    farm = start_toys(
        WorkerGroup("dependency", 2, work, stage=Stage.DEPENDENCIES),
        WorkerGroup("service", 1, refuse),
        WorkerGroup("never", 1, work),
    )
    assert farm.wait() == 1
    assert farm.failure == "service 0 could not start: port 8400 is taken"
    assert not farm.survivors()
    assert farm.lives("never") == 0
    assert "Traceback" not in farm.output


def test_a_group_that_is_not_ready_in_time_ends_the_start_and_names_who_is_missing(start_toys: StartToys) -> None:
    def stall(child: Child) -> None:
        child.mark_stalled("the node does not answer")
        idle(child)

    def main(child: Child) -> None:
        (stall if child.index == 1 else work)(child)

    farm = start_toys(WorkerGroup("service", 3, main), timeouts=MasterTimeouts(boot_seconds=0.5))
    assert farm.wait() == 1
    expected = "service did not signal readiness within 0.5s: service 1 (the node does not answer)"
    assert farm.failure == expected
    assert not farm.survivors()


PROGRESS = 3
"""Counter: how far a child is that takes long to come up."""
PATIENT = MasterTimeouts(boot_seconds=1.0)


def progress_of(slot: Slot) -> int:
    return slot.counter(PROGRESS)


def test_a_start_goes_on_beyond_its_time_while_the_group_makes_progress(start_toys: StartToys) -> None:
    def load(child: Child) -> None:
        began = time.monotonic()
        while time.monotonic() < began + 2.5 * PATIENT.boot_seconds and not child.wait(0.01):
            child.slot.heartbeat(HEARTBEAT_WITHIN_SECONDS)
            child.slot.add(PROGRESS)
            child.slot.reason = f"loading {child.slot.counter(PROGRESS)} of many"
        work(child)

    farm = start_toys(WorkerGroup("service", 1, load, progress=progress_of), timeouts=PATIENT)
    farm.wait_ready()
    farm.wait_logged('starting service=service waiting_for="service 0 (loading ')


def test_a_start_without_further_progress_fails_and_names_how_far_it_came(start_toys: StartToys) -> None:
    def load(child: Child) -> None:
        child.slot.set_counter(PROGRESS, 4)
        child.slot.reason = "loading 4 of 9"
        idle(child)

    farm = start_toys(WorkerGroup("service", 1, load, progress=progress_of), timeouts=PATIENT)
    assert farm.wait() == 1
    assert farm.failure == "service did not signal readiness within 1s: service 0 (loading 4 of 9)"


def test_progress_that_begins_anew_is_none(start_toys: StartToys) -> None:
    def load_again_and_again(child: Child) -> None:
        while not child.wait(0.01):
            child.slot.heartbeat(HEARTBEAT_WITHIN_SECONDS)
            child.slot.set_counter(PROGRESS, child.slot.counter(PROGRESS) % 5 + 1)

    group = WorkerGroup("service", 1, load_again_and_again, progress=progress_of)
    assert start_toys(group, timeouts=PATIENT).wait() == 1


def test_of_many_missing_children_five_are_named_and_the_others_counted(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("service", 7, idle), timeouts=MasterTimeouts(boot_seconds=0.5))
    assert farm.wait() == 1
    named = ", ".join(f"service {index} (booting)" for index in range(5))
    assert farm.failure == f"service did not signal readiness within 0.5s: {named} and 2 more"


def test_when_all_are_up_and_the_readiness_is_not_published_the_keepers_are_named(start_toys: StartToys) -> None:
    def mute(child: Child) -> None:
        child.mark_up()
        child.slot.reason = "Redis does not answer"
        idle(child)

    groups = (
        WorkerGroup("keeper", 1, mute, stage=Stage.KEEPER),
        WorkerGroup("service", 1, work, ready_when_announced=True),
    )
    farm = start_toys(*groups, timeouts=MasterTimeouts(boot_seconds=0.5))
    assert farm.wait() == 1
    assert farm.failure.endswith("not published by keeper 0 (Redis does not answer)")


def test_a_child_that_crashes_while_starting_gets_another_chance(start_toys: StartToys) -> None:
    def crash_once(child: Child) -> None:
        if child.slot.counter(LIVES) == 0:
            child.slot.add(LIVES)
            raise ZeroDivisionError("the first time")
        work(child)

    farm = start_toys(WorkerGroup("service", 1, crash_once))
    farm.wait_ready()
    assert farm.lives("service") == 2
    assert 'reason="ZeroDivisionError: the first time"' in farm.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_start_that_is_stopped_ends_well_and_opens_no_gate(start_toys: StartToys, number: int) -> None:
    gated = WorkerGroup("gated", 3, work, prepare=lambda: None)
    farm = start_toys(WorkerGroup("first", 1, come_up_on_order), gated)
    eventually(lambda: all(slot.pid for slot in farm.scoreboard.slots("gated")), what="the gated children")
    eventually(lambda: farm.lives("first"), what="the first group")
    farm.signal(number)
    assert farm.wait() == 0
    assert [farm.lives("gated", index) for index in range(3)] == [0, 0, 0]
    assert not farm.ready
    assert not farm.survivors()


def test_the_master_handles_signals_that_its_parent_had_blocked(start_toys: StartToys) -> None:
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])
    try:
        farm = start_toys(WorkerGroup("service", 1, work))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
    farm.wait_ready()
    assert farm.stop() == 0


def test_timing_refuses_budgets_that_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="shorter than hang_seconds"):
        MasterTimeouts(hang_seconds=QUICK.abort_seconds)


def stall(child: Child) -> None:
    """Has a child that is alive and unable to work."""
    child.mark_stalled("no node")
    idle(child)


def refuse(_child: Child) -> None:
    raise CouldNotBoot("another chain")


def by_index(*mains: Callable[[Child], None]) -> Callable[[Child], None]:
    return lambda child: mains[child.index](child)


@pytest.mark.parametrize("trouble", [stall, refuse])
@pytest.mark.parametrize("required", [frozenset(), frozenset({1})])
def test_a_start_goes_on_without_what_a_group_does_not_require(
    start_toys: StartToys, trouble: Callable[[Child], None], required: frozenset[int]
) -> None:
    first = WorkerGroup("first", 2, by_index(trouble, work), required=required)
    farm = start_toys(first, WorkerGroup("second", 1, work))
    farm.wait_ready()
    assert farm.slot("second").state == State.UP


def test_a_start_waits_for_what_is_neither_up_nor_in_trouble(start_toys: StartToys) -> None:
    first = WorkerGroup("first", 2, by_index(come_up_on_order, work), required=frozenset())
    farm = start_toys(first, WorkerGroup("second", 1, work))
    eventually(lambda: farm.lives("first", 1) and farm.slot("first", 1).state == State.UP, what="one being up")
    assert farm.lives("second") == 0
    farm.order("first")
    farm.wait_ready()


@pytest.mark.parametrize(
    ("required", "problem"),
    [
        (frozenset({0}), "service did not signal readiness within 1s: service 0 (no node)"),
        (frozenset({0, 1}), "service did not signal readiness within 1s: service 0 (no node)"),
    ],
)
def test_a_required_process_that_is_stalled_ends_the_start(
    start_toys: StartToys, required: frozenset[int], problem: str
) -> None:
    group = WorkerGroup("service", 2, by_index(stall, work), required=required)
    farm = start_toys(group, timeouts=PATIENT)
    assert farm.wait() == 1
    assert farm.failure == problem


@pytest.mark.parametrize(("mains", "index"), [((refuse, work), 0), ((refuse, refuse), 1)])
def test_a_process_that_could_not_boot_ends_the_start_if_it_is_required_or_the_last(
    start_toys: StartToys, mains: tuple[Callable[[Child], None], ...], index: int
) -> None:
    required = frozenset({0}) if index == 0 else frozenset()
    farm = start_toys(WorkerGroup("service", 2, by_index(*mains), required=required))
    assert farm.wait() == 1
    assert farm.failure.endswith("could not start: another chain")
