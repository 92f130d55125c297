"""How the farm ends: in order, in time, wholly."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from hookfarm.farm.child import Child
from hookfarm.farm.plan import MasterTimeouts, Stage, WorkerGroup
from hookfarm.farm.scoreboard import State
from tests.farm.toys import LIVES, StartToys, idle, work
from tests.support.machine import promised
from tests.support.waiting import eventually

PATIENT = 30.0
"""A grace that no test here waits for."""


class Journal:
    """What children did, in the order in which they did it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def note(self, line: str) -> None:
        with self._path.open("a") as file:
            file.write(line + "\n")

    @property
    def lines(self) -> list[str]:
        return self._path.read_text().splitlines()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def noting(journal: Journal, *, leaves_after: str = "") -> Callable[[Child], None]:
    """A child that notes when it gets SIGTERM and when it exits; a keeper also that it is quiet."""

    def main(child: Child) -> None:
        work(child)
        journal.note(f"{child.name} stopping")
        if leaves_after:
            child.slot.state = State.QUIET
            eventually(
                lambda: not any(slot.pid for slot in child.scoreboard.slots(leaves_after)), what="the workers' end"
            )
        journal.note(f"{child.name} goes")

    return main


def stubborn(child: Child) -> None:
    """Does not go until it is out of grace."""
    work(child)
    while not child.grace_expired:
        child.slot.heartbeat(1.0)
        signal.sigtimedwait([], 0.005)


def deaf(child: Child) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    work(child)


def test_keepers_get_sigterm_first_then_the_workers_then_the_dependencies(
    start_toys: StartToys, journal: Journal
) -> None:
    farm = start_toys(
        WorkerGroup("dependency", 1, noting(journal), stage=Stage.DEPENDENCIES),
        WorkerGroup("keeper", 1, noting(journal, leaves_after="worker"), stage=Stage.KEEPER),
        WorkerGroup("worker", 2, noting(journal)),
    )
    farm.wait_ready()
    assert farm.stop() == 0
    lines = journal.lines
    assert lines[0] == "keeper 0 stopping"
    assert set(lines[1:5]) == {"worker 0 stopping", "worker 0 goes", "worker 1 stopping", "worker 1 goes"}
    assert lines[5:] == ["keeper 0 goes", "dependency 0 stopping", "dependency 0 goes"]
    assert not farm.survivors()


def test_no_worker_gets_sigterm_before_the_keepers_are_quiet(start_toys: StartToys, journal: Journal) -> None:
    def keeper(child: Child) -> None:
        work(child)
        eventually(lambda: child.slot.counter(1), what="the order to be quiet")
        journal.note("keeper quiet")
        child.slot.state = State.QUIET

    timeouts = MasterTimeouts(hang_seconds=0.3, abort_seconds=0.2, keeper_stop_seconds=PATIENT)
    farm = start_toys(
        WorkerGroup("keeper", 1, keeper, stage=Stage.KEEPER),
        WorkerGroup("worker", 1, noting(journal)),
        timeouts=timeouts,
    )
    farm.wait_ready()
    farm.signal(signal.SIGTERM)
    eventually(lambda: "stopping" in farm.output, what="the stop")
    assert journal.lines == []
    farm.order("keeper")
    assert farm.wait() == 0
    assert journal.lines == ["keeper quiet", "worker 0 stopping", "worker 0 goes"]


def test_a_keeper_that_hangs_does_not_keep_the_workers(start_toys: StartToys, journal: Journal) -> None:
    groups = WorkerGroup("keeper", 1, deaf, stage=Stage.KEEPER), WorkerGroup("worker", 1, noting(journal))
    timeouts = MasterTimeouts(hang_seconds=0.3, abort_seconds=0.2, keeper_stop_seconds=0.1)
    farm = start_toys(*groups, timeouts=timeouts)
    farm.wait_ready()
    assert farm.stop() == 0
    assert journal.lines == ["worker 0 stopping", "worker 0 goes"]
    assert not farm.survivors()


def test_workers_that_do_not_go_in_time_are_killed(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("worker", 2, deaf), grace_seconds=0.2)
    farm.wait_ready()
    assert farm.stop() == 0
    assert farm.output.count('reason="did not stop in time"') == 2
    assert not farm.survivors()


def test_a_stopped_worker_cannot_keep_the_farm(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("worker", 1, work), grace_seconds=0.2)
    farm.wait_ready()
    os.kill(farm.slot("worker").pid, signal.SIGSTOP)
    assert farm.stop() == 0
    assert not farm.survivors()


def test_a_second_term_ends_the_patience_of_master_and_workers(start_toys: StartToys) -> None:
    groups = (WorkerGroup("stubborn", 1, stubborn), WorkerGroup("deaf", 1, deaf))
    farm = start_toys(*groups, grace_seconds=PATIENT, timeouts=MasterTimeouts(second_sigterm_seconds=3.0))
    farm.wait_ready()
    farm.signal(signal.SIGTERM)
    eventually(lambda: "stopping" in farm.output, what="the stop")
    eventually(lambda: farm.slot("stubborn").pid, what="the stubborn worker")
    farm.signal(signal.SIGTERM)
    assert farm.wait(within=PATIENT / 3) == 0
    assert 'killed child="deaf 0"' in farm.output
    assert 'killed child="stubborn 0"' not in farm.output
    assert not farm.survivors()


def test_no_worker_is_replaced_while_the_farm_stops(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("worker", 2, stubborn), grace_seconds=PATIENT)
    farm.wait_ready()
    farm.signal(signal.SIGTERM)
    eventually(lambda: "stopping" in farm.output, what="the stop")
    os.kill(farm.slot("worker").pid, signal.SIGKILL)
    farm.signal(signal.SIGTERM)
    assert farm.wait() == 0
    assert [farm.lives("worker", index) for index in range(2)] == [1, 1]


def test_a_child_due_to_be_replaced_is_not_once_the_farm_stops(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("worker", 1, work))
    farm.wait_ready()
    os.kill(farm.slot("worker").pid, signal.SIGKILL)
    farm.signal(signal.SIGTERM)
    assert farm.wait() == 0
    assert not farm.survivors()


def test_a_storm_of_signals_stops_the_farm_once_and_well(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("worker", 20, work))
    farm.wait_ready()
    for round_of in range(200):
        os.kill(farm.scoreboard.slots("worker")[round_of % 20].pid or farm.pid, signal.SIGCHLD)
        farm.signal(signal.SIGCHLD)
    for slot in farm.scoreboard.slots("worker")[:10]:
        os.kill(slot.pid, signal.SIGKILL)
    for index in range(10):
        farm.wait_up("worker", index, lives=2)
    for _ in range(200):
        farm.signal(signal.SIGTERM)
        farm.signal(signal.SIGCHLD)
    assert farm.wait() == 0
    assert farm.output.count("info master stopping") == 1
    assert "Traceback" not in farm.output
    assert not farm.survivors()


def test_a_term_at_any_time_of_the_start_is_obeyed(start_toys: StartToys) -> None:
    """Ten farms, each stopped one fork later than the one before."""
    for forks in range(10):
        farm = start_toys(WorkerGroup("worker", 10, work))
        slots = farm.scoreboard.slots("worker")
        eventually(lambda n=forks, s=slots: s[n].pid, what="the fork")  # type: ignore[misc]
        farm.signal(signal.SIGTERM)
        assert farm.wait() == 0
        assert not farm.survivors()
        assert "killed" not in farm.output, "each child got its own SIGTERM"


@pytest.mark.alone
def test_the_death_of_the_master_takes_everybody_along(start_toys: StartToys) -> None:
    """Also children that do not listen, children in a gate, and programs that children have become."""

    def become_sleeper(child: Child) -> None:
        child.slot.add(LIVES)
        child.mark_up()
        child.slot.heartbeat(PATIENT)
        os.execv(sys.executable, [sys.executable, "-c", "import signal; signal.pause()"])

    farm = start_toys(
        WorkerGroup("dependency", 1, become_sleeper, stage=Stage.DEPENDENCIES, death_signal=signal.SIGTERM),
        WorkerGroup("deaf", 3, deaf),
        WorkerGroup("pending", 1, idle),
        WorkerGroup("gated", 2, work, prepare=lambda: None),
        timeouts=MasterTimeouts(boot_seconds=PATIENT),
    )
    farm.wait_up("deaf", 2)
    eventually(lambda: farm.slot("pending").pid, what="the last fork")
    base = psutil.Process(farm.slot("dependency").pid)
    eventually(lambda: "-c" in base.cmdline(), what="the exec")
    assert len(farm.survivors()) == 8
    farm.signal(signal.SIGKILL)
    eventually(lambda: not farm.survivors(), within=promised(1.0), what="all having exited")


@pytest.mark.alone
def test_a_child_forked_by_a_master_that_is_already_dead_goes_by_itself(start_toys: StartToys) -> None:
    """Kills the master while it forks and forks: no child escapes between fork and prctl."""
    for _ in range(5):
        farm = start_toys(WorkerGroup("worker", 40, work))
        eventually(lambda f=farm: f.scoreboard.slots("worker")[3].pid, what="the fourth fork")  # type: ignore[misc]
        farm.signal(signal.SIGKILL)
        eventually(lambda f=farm: not f.survivors(), within=promised(1.0), what="all having exited")  # type: ignore[misc]


def test_a_failed_start_uses_the_short_grace(start_toys: StartToys) -> None:
    def never(child: Child) -> None:
        idle(child)

    timeouts = MasterTimeouts(boot_seconds=0.2, second_sigterm_seconds=0.2)
    farm = start_toys(
        WorkerGroup("deaf", 1, deaf), WorkerGroup("never", 1, never), grace_seconds=PATIENT, timeouts=timeouts
    )
    assert farm.wait(within=PATIENT / 3) == 1
    assert not farm.survivors()
