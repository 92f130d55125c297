"""SIGHUP: every worker is replaced by one of the new plan, a few at a time."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hookfarm.errors import CouldNotBoot, InvalidInput
from hookfarm.farm.child import Child
from hookfarm.farm.plan import FarmPlan, MasterTimeouts, Stage, WorkerGroup
from hookfarm.farm.rolling_restart import LoadPlan
from hookfarm.farm.scoreboard import State
from tests.farm.toys import QUICK, StartToys, ToyFarm, await_order, idle, work
from tests.support.waiting import eventually

VERSION = 3
"""Counter: of which plan the child in this slot is."""
GRACE_SECONDS = 5.0


def version(number: int, main: Callable[[Child], None] = work) -> Callable[[Child], None]:
    def of_this_version(child: Child) -> None:
        child.slot.set_counter(VERSION, number)
        main(child)

    return of_this_version


def planned(*plans: Sequence[WorkerGroup]) -> LoadPlan:
    """One after the other; what is asked after the last is refused."""
    left = list(plans)

    def load_plan() -> FarmPlan:
        if not left:
            raise InvalidInput("workers", "'0' is out of range; allowed are 1 to 2000")
        return FarmPlan(left.pop(0), GRACE_SECONDS)

    return load_plan


def versions(farm: ToyFarm, service: str = "service") -> list[int]:
    return [s.counter(VERSION) if s.pid else 0 for s in farm.scoreboard.slots(service)]


def all_up(farm: ToyFarm, service: str = "service") -> bool:
    wanted = farm.scoreboard.slots(service)[: farm.sizes[service]]
    return all(slot.pid and slot.state == State.UP for slot in wanted)


def test_every_worker_is_replaced_by_one_of_the_new_plan(start_toys: StartToys) -> None:
    old, new = (
        [
            WorkerGroup("one", 1, version(n)),
            WorkerGroup("service", 10, version(n), max_unavailable=3),
            WorkerGroup("last", 2, version(n)),
        ]
        for n in (1, 2)
    )
    farm = start_toys(*old, load_plan=planned(new))
    farm.wait_ready()
    farm.signal(signal.SIGHUP)
    farm.wait_logged("master reloaded")
    assert [versions(farm, service) for service in ("one", "service", "last")] == [[2], [2] * 10, [2, 2]]
    assert all(farm.lives("service", index) == 2 for index in range(10)), "each once"
    assert "reloading one=1 service=10 last=2" in farm.output
    assert "child died" not in farm.output
    assert farm.stop() == 0


def test_no_more_are_missing_at_once_than_the_plan_allows(start_toys: StartToys, tmp_path: Path) -> None:
    journal = tmp_path / "journal"

    def noting(child: Child) -> None:
        with journal.open("a", buffering=1) as file:
            child.slot.heartbeat(5.0)
            file.write("1\n")
            child.mark_up()
            idle(child)
            file.write("-1\n")

    group = [WorkerGroup("service", 20, noting, max_unavailable=5)]
    farm = start_toys(*group, load_plan=planned([WorkerGroup("service", 20, noting, max_unavailable=5)]))
    farm.wait_ready()
    farm.signal(signal.SIGHUP)
    farm.wait_logged("master reloaded")
    present, fewest = 0, 20
    for number, line in enumerate(journal.read_text().splitlines()):
        present += int(line)
        fewest = min(fewest, present) if number > 20 else fewest
    assert present == 20
    assert fewest >= 15
    assert fewest < 20, "they were replaced one after the other, not beside each other"


def test_groups_are_replaced_one_after_the_other_in_the_order_of_the_plan(start_toys: StartToys) -> None:
    def held(child: Child) -> None:
        if await_order(child):
            work(child)

    old = [WorkerGroup("first", 2, version(1)), WorkerGroup("second", 2, version(1))]
    new = [WorkerGroup("first", 2, version(2, held)), WorkerGroup("second", 2, version(2))]
    farm = start_toys(*old, load_plan=planned(new))
    farm.wait_ready()
    farm.signal(signal.SIGHUP)
    eventually(lambda: versions(farm, "first") == [2, 1], what="the first of the first group")
    farm.settle("second")
    assert versions(farm, "second") == [1, 1]
    assert versions(farm, "first") == [2, 1]
    farm.order("first")
    eventually(lambda: versions(farm, "first") == [2, 2], what="its second")
    assert versions(farm, "second") == [1, 1]
    farm.order("first", 1)
    farm.wait_logged("master reloaded")
    assert versions(farm, "second") == [2, 2]


def test_keepers_and_what_the_others_stand_on_stay(start_toys: StartToys) -> None:
    def plan() -> list[WorkerGroup]:
        return [
            WorkerGroup("dependency", 1, work, stage=Stage.DEPENDENCIES),
            WorkerGroup("keeper", 1, work, stage=Stage.KEEPER),
            WorkerGroup("service", 2, work),
        ]

    farm = start_toys(*plan(), load_plan=planned(plan()))
    farm.wait_ready()
    before = farm.pids("dependency"), farm.pids("keeper")
    farm.signal(signal.SIGHUP)
    farm.wait_logged("master reloaded")
    assert (farm.pids("dependency"), farm.pids("keeper")) == before
    assert farm.lives("service") == 2


@pytest.mark.parametrize(("before", "after"), [(3, 6), (6, 3), (0, 2), (2, 0)])
def test_a_new_plan_may_want_more_or_fewer(start_toys: StartToys, before: int, after: int) -> None:
    old, new = (
        [WorkerGroup("service", n, version(n), max_count=6), WorkerGroup("other", 1, work)]
        for n in (before, after)
    )
    farm = start_toys(*old, load_plan=planned(new))
    farm.wait_ready()
    farm.signal(signal.SIGHUP)
    farm.wait_logged("master reloaded")
    assert [v for v in versions(farm) if v] == [after] * after
    assert farm.sizes["service"] == after
    assert len(farm.children()) == after + 1


def test_slots_beyond_the_target_are_empty_before_others_take_over_their_work(
    start_toys: StartToys, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"

    def leave_on_order(child: Child) -> None:
        work(child)
        if child.index == 1:
            eventually(lambda: child.slot.counter(1), what="the order to leave")
            gone.touch()

    def needs_the_gap(child: Child) -> None:
        assert gone.exists()
        work(child)

    farm = start_toys(
        WorkerGroup("service", 2, leave_on_order),
        load_plan=planned([WorkerGroup("service", 1, version(2, needs_the_gap))]),
    )
    farm.wait_ready()
    farm.signal(signal.SIGHUP)
    eventually(lambda: farm.slot("service", 1).stop_requested, what="the second being stopped")
    farm.settle("service")
    assert versions(farm)[0] == 0
    farm.order("service", 1)
    farm.wait_logged("master reloaded")
    assert versions(farm) == [2, 0]


def test_more_than_there_is_room_for_is_refused(start_toys: StartToys) -> None:
    farm = start_toys(
        WorkerGroup("service", 2, work, max_count=3), load_plan=planned([WorkerGroup("service", 4, work)])
    )
    farm.wait_ready()
    before = farm.pids("service")
    farm.signal(signal.SIGHUP)
    farm.wait_logged('reload refused reason="service: 4 processes; without a restart at most 3"')
    assert farm.pids("service") == before


def test_a_refused_plan_changes_nothing_and_is_said_in_one_line(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("service", 3, work), load_plan=planned())
    farm.wait_ready()
    before = farm.pids("service")
    farm.signal(signal.SIGHUP)
    farm.wait_logged("reload refused")
    farm.settle("service")
    [line] = [line for line in farm.output.splitlines() if "reload" in line]
    assert line.endswith(
        "error master reload refused reason=\"workers: '0' is out of range; allowed are 1 to 2000\""
        ' consequence="the current configuration stays"'
    )
    assert farm.pids("service") == before
    assert farm.stop() == 0


def test_a_plan_that_cannot_even_be_made_does_not_harm_the_farm(start_toys: StartToys) -> None:
    def load_plan() -> FarmPlan:
        raise ZeroDivisionError("whatever")

    farm = start_toys(WorkerGroup("service", 1, work), load_plan=load_plan)
    farm.wait_ready()
    before = farm.pids("service")
    farm.signal(signal.SIGHUP)
    farm.wait_logged('reload refused reason="ZeroDivisionError: whatever"')
    farm.settle("service")
    assert farm.pids("service") == before
    assert farm.stop() == 0


def could_not(child: Child) -> None:
    raise CouldNotBoot("the certificate is missing")


@pytest.mark.parametrize(
    ("broken", "why"),
    [(could_not, "could not start: the certificate is missing"), (idle, "did not come up within 1s")],
    ids=["could not boot", "never up"],
)
def test_a_new_child_that_does_not_come_up_brings_the_plan_before_it_back(
    start_toys: StartToys, broken: Callable[[Child], None], why: str
) -> None:
    """Also where a part of the farm is of the new plan already, and of another size."""
    old = [
        WorkerGroup("first", 2, version(1), max_count=3),
        WorkerGroup("service", 4, version(1), max_unavailable=2),
    ]
    new = [WorkerGroup("first", 3, version(2)), WorkerGroup("service", 4, version(2, broken), max_unavailable=2)]
    timeouts = MasterTimeouts(
        restart_boot_seconds=1.0, hang_seconds=QUICK.hang_seconds, abort_seconds=QUICK.abort_seconds
    )
    farm = start_toys(*old, load_plan=planned(new), timeouts=timeouts)
    farm.wait_ready()
    farm.signal(signal.SIGHUP)
    farm.wait_logged("reload failed")
    farm.wait_logged("master reverted")
    assert why in farm.output
    assert versions(farm) == [1, 1, 1, 1]
    assert [v for v in versions(farm, "first") if v] == [1, 1]
    assert farm.sizes == {"first": 2, "service": 4}
    assert [farm.lives("service", index) for index in (2, 3)] == [1, 1], "these were never touched"
    assert farm.stop() == 0


def test_who_is_missing_already_is_forked_anew_at_once_for_the_plan_may_be_the_cure(
    start_toys: StartToys, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"

    def until_broken(child: Child) -> None:
        if broken.exists():
            raise CouldNotBoot("the node is gone")
        work(child)

    farm = start_toys(
        WorkerGroup("service", 2, version(1, until_broken)),
        load_plan=planned([WorkerGroup("service", 2, version(2))]),
    )
    farm.wait_ready()
    broken.touch()
    for pid in farm.pids("service"):
        os.kill(pid, signal.SIGKILL)
    eventually(
        lambda: all(s.tries >= 4 for s in farm.scoreboard.slots("service")), what="four quick exits of both"
    )
    farm.signal(signal.SIGHUP)
    farm.wait_logged("master reloaded")
    assert versions(farm) == [2, 2]


def test_a_worker_that_does_not_leave_in_its_grace_is_killed_and_replaced(start_toys: StartToys) -> None:
    def deaf(child: Child) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        work(child)

    def load_plan() -> FarmPlan:
        return FarmPlan([WorkerGroup("service", 2, version(2))], 0.3)

    farm = start_toys(WorkerGroup("service", 2, version(1, deaf)), load_plan=load_plan)
    farm.wait_ready()
    farm.signal(signal.SIGHUP)
    farm.wait_logged("master reloaded")
    assert farm.output.count("did not exit in time") == 2
    assert versions(farm) == [2, 2]


def test_a_hangup_during_a_roll_ends_with_the_newest_plan_everywhere(start_toys: StartToys) -> None:
    def held(child: Child) -> None:
        if await_order(child):
            work(child)

    plans = [[WorkerGroup("service", 4, version(2, held))], [WorkerGroup("service", 3, version(3))]]
    farm = start_toys(WorkerGroup("service", 4, version(1)), load_plan=planned(*plans))
    farm.wait_ready()
    farm.signal(signal.SIGHUP)
    eventually(lambda: versions(farm)[0] == 2, what="the first roll")
    farm.signal(signal.SIGHUP)
    farm.wait_logged("reloaded")
    assert versions(farm) == [3, 3, 3, 0]
    assert all_up(farm)


def test_a_term_during_a_roll_stops_the_farm(start_toys: StartToys) -> None:
    farm = start_toys(
        WorkerGroup("service", 4, version(1)), load_plan=planned([WorkerGroup("service", 4, version(2, idle))])
    )
    farm.wait_ready()
    farm.signal(signal.SIGHUP)
    eventually(lambda: versions(farm)[0] == 2, what="the roll")
    assert farm.stop() == 0
    assert not farm.survivors()


def test_a_worker_killed_during_a_roll_is_replaced_like_any_other(start_toys: StartToys) -> None:
    def held(child: Child) -> None:
        if await_order(child):
            work(child)

    new = [WorkerGroup("service", 3, version(2, held))]
    farm = start_toys(WorkerGroup("service", 3, version(1)), load_plan=planned(new))
    farm.wait_ready()
    farm.signal(signal.SIGHUP)
    eventually(lambda: versions(farm)[0] == 2, what="the roll")
    os.kill(farm.slot("service", 2).pid, signal.SIGKILL)
    for index in range(3):
        farm.order("service", index)
    farm.wait_logged("master reloaded")
    assert versions(farm) == [2, 2, 2]


def test_who_is_replaced_as_planned_is_excused_until_its_successor_is_up(start_toys: StartToys) -> None:
    def held(child: Child) -> None:
        if await_order(child):
            work(child)

    farm = start_toys(
        WorkerGroup("service", 2, version(1)), load_plan=planned([WorkerGroup("service", 2, version(2, held))])
    )
    farm.wait_ready()
    first, second = farm.scoreboard.slots("service")
    farm.signal(signal.SIGHUP)
    eventually(lambda: versions(farm)[0] == 2, what="the first successor")
    assert first.is_replacing(time.monotonic_ns())
    assert not second.is_replacing(time.monotonic_ns())
    for index in range(2):
        farm.order("service", index)
    farm.wait_logged("master reloaded")
    assert not first.is_replacing(0)
    assert not second.is_replacing(0)


def test_a_farm_that_cannot_reload_stops_at_a_hangup(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("service", 1, work))
    farm.wait_ready()
    farm.signal(signal.SIGHUP)
    assert farm.wait() == 0
    assert "stopping signal=SIGHUP" in farm.output


def test_twenty_rolls_leave_the_masters_files_as_they_were(start_toys: StartToys) -> None:
    plans = [[WorkerGroup("service", 3, version(n), prepare=lambda: None)] for n in range(1, 22)]
    farm = start_toys(*plans[0], load_plan=planned(*plans[1:]))
    farm.wait_ready()
    before = os.listdir(f"/proc/{farm.pid}/fd")
    for times in range(1, 21):
        farm.signal(signal.SIGHUP)
        farm.wait_logged("master reloaded", times)
    assert os.listdir(f"/proc/{farm.pid}/fd") == before
    assert versions(farm) == [21, 21, 21]
