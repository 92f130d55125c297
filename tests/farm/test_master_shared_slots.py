"""Processes that share the slots of their service: kills, hangs, the start, and reloads to more or fewer slots."""

import os
import signal
from collections.abc import Sequence
from dataclasses import replace

from hookfarm.errors import CouldNotBoot
from hookfarm.farm.child import Child
from hookfarm.farm.plan import FarmPlan, WorkerGroup
from hookfarm.farm.scoreboard import State
from tests.farm.toys import HEARTBEAT_WITHIN_SECONDS, LIVES, QUICK, StartToys, ToyFarm
from tests.support.waiting import eventually

GRACE_SECONDS = 5.0
STALLED = 4
"""Counter that the test sets: the slot's work is stalled."""


def share(child: Child) -> None:
    """Come up in all slots, except in those that the test has stalled, and wait for SIGTERM."""
    for slot in child.slots:
        slot.add(LIVES)
    while True:
        for slot in child.slots:
            slot.heartbeat(HEARTBEAT_WITHIN_SECONDS)
            if slot.counter(STALLED):
                slot.mark_stalled("no node")
            else:
                slot.mark_up()
        if child.wait(0.02):
            return


def group(slots: int, required: frozenset[int] | None = None) -> WorkerGroup:
    return WorkerGroup("service", slots, share, max_count=8, max_processes=2, required=required)


def lives(farm: ToyFarm) -> list[int]:
    return [slot.counter(LIVES) for slot in farm.scoreboard.slots("service")]


def await_up(farm: ToyFarm, slots: Sequence[int]) -> None:
    found = farm.scoreboard.slots("service")
    eventually(lambda: all(found[place].is_up for place in slots), what=f"the slots {slots} being up")


def test_the_processes_take_the_slots_in_turns_and_a_killed_one_is_replaced_in_all_its_slots(
    start_toys: StartToys,
) -> None:
    farm = start_toys(group(5))
    farm.wait_ready()
    even, odd, *_ = pids = farm.pids("service")
    assert pids == [even, odd, even, odd, even]
    assert even != odd
    os.kill(even, signal.SIGKILL)
    eventually(lambda: lives(farm) == [2, 1, 2, 1, 2], what="its replacement")
    await_up(farm, range(5))
    assert [slot.crashes for slot in farm.scoreboard.slots("service")] == [1, 0, 1, 0, 1]
    assert farm.pids("service")[1] == odd
    assert farm.stop() == 0
    assert farm.pids("service") == [0] * 5


def test_a_hung_process_is_replaced_in_all_its_slots(start_toys: StartToys) -> None:
    farm = start_toys(group(3), timeouts=QUICK)
    farm.wait_ready()
    os.kill(farm.pids("service")[0], signal.SIGSTOP)
    farm.wait_logged("child hangs")
    eventually(lambda: lives(farm)[0] >= 2 and lives(farm)[2] >= 2, what="its replacement")
    await_up(farm, range(3))
    assert farm.stop() == 0


def test_a_start_waits_for_the_required_slots_of_shared_processes(start_toys: StartToys) -> None:
    def stall(child: Child) -> None:
        child.slots[0].set_counter(STALLED, 1)
        share(child)

    plan = replace(group(4, required=frozenset({2, 3})), main=stall)
    farm = start_toys(plan)
    farm.wait_ready()
    assert 'started without service=service missing="service 0 (no node), service 1 (no node)"' in farm.output
    await_up(farm, [2, 3])
    assert farm.stop() == 0


def test_one_that_could_not_boot_ends_the_start_if_it_has_a_required_slot(start_toys: StartToys) -> None:
    def refuse(child: Child) -> None:
        if child.index == 1:
            raise CouldNotBoot("no such chain")
        share(child)

    needs = WorkerGroup("service", 4, refuse, max_processes=2, required=frozenset({3}))
    farm = start_toys(needs)
    assert farm.wait() == 1
    assert farm.failure == "service 1 could not start: no such chain"


def test_a_reload_to_more_and_to_fewer_slots_keeps_each_slot_in_its_process(start_toys: StartToys) -> None:
    plans = [FarmPlan([group(5)], GRACE_SECONDS), FarmPlan([group(1)], GRACE_SECONDS)]
    farm = start_toys(group(2), load_plan=lambda: plans.pop(0))
    farm.wait_ready()
    farm.signal(signal.SIGHUP)
    farm.wait_logged("master reloaded")
    await_up(farm, range(5))
    even, odd, *_ = pids = farm.pids("service")
    assert pids == [even, odd, even, odd, even]
    assert lives(farm) == [2, 2, 1, 1, 1]
    farm.signal(signal.SIGHUP)
    farm.wait_logged("master reloaded", times=2)
    assert [bool(pid) for pid in farm.pids("service")] == [True, False, False, False, False]
    assert lives(farm)[0] == 3
    assert "child died" not in farm.output
    assert farm.stop() == 0


def test_a_reload_excuses_a_slot_that_was_stalled_before_but_no_other_one(
    start_toys: StartToys,
) -> None:
    def stall_another(child: Child) -> None:
        for slot in child.slots[1:]:
            slot.set_counter(STALLED, 1)
        share(child)

    groups = [group(4, frozenset()), replace(group(4, frozenset()), main=stall_another)]
    plans = [FarmPlan([each], GRACE_SECONDS) for each in groups]
    farm = start_toys(group(4, frozenset()), load_plan=lambda: plans.pop(0))
    farm.wait_ready()
    stalled, neighbour = farm.slot("service", 0), farm.slot("service", 2)
    stalled.set_counter(STALLED, 1)
    eventually(lambda: stalled.state == State.STALLED, what="the stall")
    farm.signal(signal.SIGHUP)
    farm.wait_logged("master reloaded")
    assert (stalled.state, neighbour.state) == (State.STALLED, State.UP)
    assert lives(farm) == [2] * 4
    farm.signal(signal.SIGHUP)
    farm.wait_logged("reload failed")
    assert 'reason="service 0 (no node) did not come up within 5s"' in farm.output
    for slot in farm.scoreboard.slots("service"):
        slot.set_counter(STALLED, 0)
    farm.wait_logged("master reverted")
    await_up(farm, range(4))
    assert farm.stop() == 0
