"""Children that hang: late, then aborted so that they print where, then killed, then replaced."""

import os
import signal
from collections.abc import Callable

import pytest

from hookfarm.farm.child import Child
from hookfarm.farm.plan import WorkerGroup
from tests.farm.toys import LIVES, StartToys, ToyFarm, idle, work
from tests.support.waiting import eventually


def hang_here() -> None:
    while True:
        signal.pause()


def hang_once(child: Child) -> None:
    """The first process in the slot hangs; its successors work."""
    child.slot.add(LIVES)
    child.mark_up()
    child.slot.heartbeat(0.1)
    if child.slot.counter(LIVES) == 1:
        hang_here()
    idle(child)


def hang_deaf_once(child: Child) -> None:
    """As `hang_once`, and the first ignores SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    hang_once(child)


def spin_once(child: Child) -> None:
    child.slot.add(LIVES)
    child.mark_up()
    child.slot.heartbeat(0.1)
    while child.slot.counter(LIVES) == 1:
        pass
    idle(child)


def dies_of(farm: ToyFarm, number: signal.Signals) -> bool:
    return f'child="service 0" cause={number.name}' in farm.output


def test_a_child_that_breaks_its_promise_prints_where_it_hangs_and_is_replaced(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("service", 1, hang_once))
    farm.wait_up("service", lives=2)
    assert 'child hangs child="service 0"' in farm.output
    assert "in hang_here" in farm.output
    assert dies_of(farm, signal.SIGABRT)


def test_the_successor_of_a_child_that_hung_is_given_its_own_time(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("service", 1, hang_once))
    successor = farm.wait_up("service", lives=2)
    farm.settle("service")
    assert farm.slot("service").pid == successor
    assert farm.lives("service") == 2


@pytest.mark.parametrize(
    ("main", "cause"), [(hang_deaf_once, signal.SIGKILL), (spin_once, signal.SIGABRT)], ids=["deaf", "spins"]
)
def test_a_child_that_is_deaf_or_spins_is_killed_and_replaced(
    start_toys: StartToys, main: Callable[[Child], None], cause: signal.Signals
) -> None:
    farm = start_toys(WorkerGroup("service", 1, main))
    farm.wait_up("service", lives=2)
    assert dies_of(farm, cause)


def test_a_child_that_is_stopped_is_killed_and_replaced_and_its_neighbour_is_not(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("service", 2, work))
    farm.wait_ready()
    neighbour = farm.slot("service", 1).pid
    os.kill(farm.slot("service").pid, signal.SIGSTOP)
    farm.wait_up("service", lives=2)
    assert dies_of(farm, signal.SIGKILL)
    assert farm.slot("service", 1).pid == neighbour
    assert farm.lives("service", 1) == 1


def test_a_child_that_comes_back_within_the_patience_lives(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("service", 1, work), WorkerGroup("other", 1, hang_once))
    slot = farm.slot("service")
    farm.wait_up("service")
    os.kill(slot.pid, signal.SIGSTOP)
    eventually(lambda: slot.seconds_late() > 0.05, what="a late heartbeat")
    os.kill(slot.pid, signal.SIGCONT)
    farm.wait_up("other", lives=2)
    assert farm.lives("service") == 1


def test_a_child_that_waits_for_its_turn_is_not_taken_for_one_that_hangs(start_toys: StartToys) -> None:
    def slow(child: Child) -> None:
        while not child.wait(0.02) and child.scoreboard.slots("probe")[0].counter(LIVES) < 2:
            child.slot.heartbeat(1.0)
        work(child)

    # The probe hangs and is killed, so as much time has passed as kills; the gated child must still live.
    probe, gated = WorkerGroup("probe", 1, hang_once), WorkerGroup("gated", 1, work, prepare=lambda: None)
    farm = start_toys(probe, WorkerGroup("slow", 1, slow), gated)
    first = eventually(lambda: farm.slot("gated").pid, what="the gated child")
    farm.slot("gated").heartbeat(0.0)
    farm.wait_up("gated")
    assert farm.slot("gated").pid == first
    assert farm.lives("probe") == 2
