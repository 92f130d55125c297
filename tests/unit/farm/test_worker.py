"""A slot of the farm, as text."""

import os
import signal

import pytest

from hookfarm.farm.plan import WorkerGroup
from hookfarm.farm.scoreboard import Scoreboard, State
from hookfarm.farm.spawn import exit_cause
from hookfarm.farm.worker import WorkerProcess


def occupied(state: State, reason: str = "", pid: int = 4711) -> WorkerProcess:
    slot = Scoreboard({"service": 3}).slots("service")[2]
    slot.on_fork(10)
    slot.on_forked(pid)
    slot.state, slot.reason = state, reason
    return WorkerProcess(WorkerGroup("service", 3, lambda child: None), 2, [slot], pid)


@pytest.mark.parametrize(
    ("worker", "described"),
    [
        (occupied(State.BOOTING), "service 2 (booting)"),
        (occupied(State.STALLED, "no node"), "service 2 (no node)"),
        (occupied(State.UP, pid=0), "service 2 (gone)"),
        (occupied(State.EMPTY, "cannot fork", pid=0), "service 2 (cannot fork)"),
    ],
)
def test_a_member_is_described_by_name_and_trouble(worker: WorkerProcess, described: str) -> None:
    assert worker.describe() == described


def test_only_a_living_child_is_up() -> None:
    assert occupied(State.UP).is_up
    assert not occupied(State.UP, pid=0).is_up
    assert not occupied(State.STALLED).is_up


def test_who_is_gone_is_quiet_too() -> None:
    assert occupied(State.QUIET).is_quiet
    assert occupied(State.UP, pid=0).is_quiet
    assert not occupied(State.UP).is_quiet


def test_having_come_up_once_is_remembered() -> None:
    worker = occupied(State.UP)
    worker.record_up()
    worker.slots[0].state = State.STALLED
    worker.record_up()
    assert worker.has_come_up


@pytest.mark.parametrize("core", [0, 0x80], ids=["", "with a core dump"])
@pytest.mark.parametrize(
    ("number", "cause"), [(9, "SIGKILL"), (6, "SIGABRT"), (35, "signal 35"), (signal.SIGRTMAX, "SIGRTMAX")]
)
def test_a_death_by_signal_is_named(number: int, core: int, cause: str) -> None:
    status = number | core
    assert os.WIFSIGNALED(status)
    assert exit_cause(status) == cause


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_an_exit_is_named_by_its_code(code: int) -> None:
    assert exit_cause(code << 8) == f"exit {code}"
