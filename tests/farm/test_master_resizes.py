"""SIGTTIN and SIGTTOU: one process more, one fewer."""

import itertools
import os
import random
import re
import signal
from functools import partial
from pathlib import Path

import pytest

from hookfarm.errors import InvalidInput
from hookfarm.farm.child import Child
from hookfarm.farm.plan import FarmPlan, WorkerGroup
from hookfarm.farm.scoreboard import State
from tests.farm.toys import StartToys, ToyFarm, idle, work
from tests.support.waiting import eventually

SEED = 20261122
elastic = partial(WorkerGroup, resizable=True)


def count(farm: ToyFarm) -> int:
    return farm.sizes["service"]


def living(farm: ToyFarm) -> int:
    return sum(slot.pid != 0 and slot.state == State.UP for slot in farm.scoreboard.slots("service"))


def test_one_more_comes_up_beside_the_others(start_toys: StartToys) -> None:
    farm = start_toys(elastic("service", 2, work, max_count=3))
    farm.wait_ready()
    before = farm.pids("service")
    farm.signal(signal.SIGTTIN)
    farm.wait_up("service", 1)
    eventually(lambda: living(farm) == 3, what="the third")
    assert farm.pids("service")[:2] == before
    assert "resized service=service processes=3 before=2" in farm.output


def test_one_fewer_exits_and_is_not_replaced(start_toys: StartToys) -> None:
    farm = start_toys(elastic("service", 3, work))
    farm.wait_ready()
    kept = farm.pids("service")[:2]
    farm.signal(signal.SIGTTOU)
    eventually(lambda: len(farm.children()) == 2, what="one leaving")
    farm.settle("service")
    assert farm.pids("service") == [*kept, 0]
    assert farm.slot("service", 2).state == State.EMPTY
    assert "child died" not in farm.output
    assert "killed" not in farm.output


def test_a_hundred_of_them_mixed_end_at_the_right_count(start_toys: StartToys) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    changes = [1] * 55 + [-1] * 45
    chance.shuffle(changes)
    assert min(itertools.accumulate(changes)) > -20, "this seed never asks for fewer than one"
    farm = start_toys(elastic("service", 20, work, max_count=100))
    farm.wait_ready()
    wanted = 20
    for change in changes:
        wanted += change
        farm.signal(signal.SIGTTIN if change > 0 else signal.SIGTTOU)
        # The kernel would make one of two that come while the master does not wait.
        eventually(lambda n=wanted: count(farm) == n, what=f"{wanted} being wanted")  # type: ignore[misc]
    assert count(farm) == 30
    eventually(lambda: living(farm) == 30 and len(farm.children()) == 30, what="30 working")
    assert farm.stop() == 0
    assert not farm.survivors()


@pytest.mark.parametrize(
    ("number", "size", "most", "said"),
    [(signal.SIGTTOU, 1, 3, "requested=0"), (signal.SIGTTIN, 2, 2, "requested=3")],
    ids=["below one", "beyond the most"],
)
def test_it_stays_within_its_bounds_and_logs_it(
    start_toys: StartToys, number: int, size: int, most: int, said: str
) -> None:
    farm = start_toys(elastic("service", size, work, max_count=most))
    farm.wait_ready()
    before = farm.pids("service")
    farm.signal(number)
    farm.wait_logged("resize limited")
    assert f'{said} reason="the count must be from 1 to {most}"' in farm.output
    farm.settle("service")
    assert farm.pids("service") == before


def test_who_is_wanted_again_while_it_leaves_is_replaced_once_it_has_left(start_toys: StartToys) -> None:
    def slow_to_leave(child: Child) -> None:
        work(child)
        eventually(lambda: child.slot.counter(1), what="the order to leave")

    farm = start_toys(elastic("service", 2, slow_to_leave))
    farm.wait_ready()
    leaving = farm.slot("service", 1).pid
    farm.signal(signal.SIGTTOU)
    eventually(lambda: count(farm) == 1, what="one fewer being wanted")
    farm.signal(signal.SIGTTIN)
    eventually(lambda: count(farm) == 2, what="it being wanted again")
    assert farm.slot("service", 1).pid == leaving
    farm.order("service", 1)
    farm.wait_up("service", 1, lives=2)
    assert farm.slot("service", 1).pid not in (0, leaving)


def test_who_does_not_leave_in_its_grace_is_killed_and_the_others_work_on(start_toys: StartToys) -> None:
    def deaf(child: Child) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        work(child)

    farm = start_toys(elastic("service", 2, deaf), grace_seconds=0.3)
    farm.wait_ready()
    farm.signal(signal.SIGTTOU)
    eventually(lambda: len(farm.children()) == 1, what="one leaving")
    assert 'killed child="service 1" reason="did not exit in time"' in farm.output
    assert count(farm) == 1


def test_a_place_that_is_not_wanted_any_more_is_not_filled_when_its_date_comes(start_toys: StartToys) -> None:
    def main(child: Child) -> None:
        if child.index == 1 and child.slot.counter(0):
            raise RuntimeError("no")
        work(child)

    farm = start_toys(elastic("service", 2, main))
    farm.wait_ready()
    os.kill(farm.slot("service", 1).pid, signal.SIGKILL)
    eventually(lambda: farm.slot("service", 1).tries >= 2, what="two quick exits")
    farm.signal(signal.SIGTTOU)
    eventually(lambda: farm.slot("service", 1).state == State.EMPTY, what="the slot being empty")
    said = farm.output.count("child died")
    farm.settle("service")
    assert farm.output.count("child died") == said


def test_what_is_asked_during_the_start_is_done_after_it(start_toys: StartToys) -> None:
    def slow(child: Child) -> None:
        eventually(lambda: child.slot.counter(1), what="the order to come up")
        work(child)

    farm = start_toys(elastic("service", 1, work, max_count=4), WorkerGroup("slow", 1, slow))
    eventually(lambda: farm.slot("slow").pid, what="the second group")
    farm.signal(signal.SIGTTIN)
    farm.settle("service")
    assert count(farm) == 1
    farm.order("slow")
    farm.wait_up("service", 0)
    eventually(lambda: living(farm) == 2, what="the second process")


def test_several_that_come_while_the_master_is_busy_all_count(start_toys: StartToys, tmp_path: Path) -> None:
    busy, free = tmp_path / "busy", tmp_path / "free"

    def load_plan() -> FarmPlan:
        busy.touch()
        eventually(free.exists, what="the master being free again")
        raise InvalidInput("workers", "none")

    farm = start_toys(elastic("service", 1, work, max_count=9), load_plan=load_plan)
    farm.wait_ready()
    farm.signal(signal.SIGHUP)
    eventually(busy.exists, what="the master being busy")
    for number in [signal.SIGTTIN] * 5 + [signal.SIGTTOU] * 2:
        farm.signal(number)
        eventually(lambda: not pending(farm.pid), what="the signal's delivery")
    free.touch()
    eventually(lambda: count(farm) == 4, what="all seven being counted")


def pending(pid: int) -> int:
    """The signals that the kernel still keeps for the process, as a bit mask."""
    [mask] = re.findall(r"^ShdPnd:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(mask, 16)


def test_a_farm_without_a_resizable_service_logs_it(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("service", 1, idle_up))
    farm.wait_ready()
    farm.signal(signal.SIGTTIN)
    farm.wait_logged('not resized reason="this farm has no resizable service"')
    assert farm.stop() == 0


def idle_up(child: Child) -> None:
    child.mark_up()
    idle(child)
