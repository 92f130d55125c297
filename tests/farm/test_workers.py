"""The workers by itself, in this process: whom it signals, and what it makes of a child that is gone."""

import os
import signal
from collections.abc import Iterator

import pytest

from hookfarm.farm.plan import FarmPlan, MasterTimeouts, WorkerGroup, scoreboard_for
from hookfarm.farm.scoreboard import State
from hookfarm.farm.worker import WorkerProcess
from hookfarm.farm.workers import Workers
from tests.farm.toys import work
from tests.support.waiting import eventually


@pytest.fixture
def workers() -> Iterator[Workers]:
    groups = [WorkerGroup("service", 2, work)]
    made = Workers(FarmPlan(groups, 5.0), scoreboard_for(groups), MasterTimeouts(), lambda: None)
    made.starting = False
    yield made
    made.stopping = True
    made.kill(made.all)
    eventually(lambda: is_reaped(made, *made.all), what="all having exited")


def is_reaped(workers: Workers, *members: WorkerProcess) -> bool:
    workers.reap()
    return not any(worker.pid for worker in members)


def test_who_has_been_waited_for_is_not_signalled_any_more(workers: Workers) -> None:
    """Pid 0 would be this process's whole group, and the old pid may be in use again."""
    heard: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        worker = workers.all[0]
        workers.spawn(worker)
        os.kill(worker.pid, signal.SIGKILL)
        eventually(lambda: is_reaped(workers, worker), what="it being reaped")
        workers.signal(worker, signal.SIGUSR1)
        assert heard == []
        assert worker.slots[0].pid == 0
    finally:
        signal.signal(signal.SIGUSR1, previous)


def test_one_that_is_gone_but_not_waited_for_may_be_signalled(workers: Workers) -> None:
    worker = workers.all[0]
    workers.spawn(worker)
    os.kill(worker.pid, signal.SIGKILL)
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    workers.signal(worker, signal.SIGTERM)
    workers.reap()
    assert worker.pid == 0


def test_an_unknown_child_is_reaped_and_counts_as_no_crash(workers: Workers) -> None:
    workers.spawn(workers.all[0])
    stranger = os.fork()
    if not stranger:
        os._exit(0)
    os.waitid(os.P_PID, stranger, os.WEXITED | os.WNOWAIT)
    workers.reap()
    with pytest.raises(ChildProcessError):
        os.waitpid(stranger, 0)
    assert workers.all[0].pid
    assert workers.due() == []


def test_a_worker_that_dies_is_due_again_and_its_slot_has_the_cause(workers: Workers) -> None:
    worker = workers.all[1]
    workers.spawn(worker)
    eventually(lambda: worker.slots[0].state == State.UP, what="its coming up")
    os.kill(worker.pid, signal.SIGTERM)
    eventually(lambda: is_reaped(workers, worker), what="it being reaped")
    assert worker.slots[0].state == State.BACKOFF
    assert worker.slots[0].reason == "exit 0"
    assert workers.next_due_in() > 0
    assert workers.due() == []
