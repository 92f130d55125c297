"""A storm that has failed ends at once."""

import os
import random
import subprocess
import sys

import pytest

from tests.chaos.abort import Aborted, AbortSignal
from tests.chaos.killer import Killer
from tests.chaos.load import Pace
from tests.support.waiting import eventually

LONG_SECONDS = 20.0


def aborted() -> AbortSignal:
    abort = AbortSignal()
    abort.set()
    return abort


def test_a_sleep_ends_when_the_signal_is_set() -> None:
    AbortSignal().sleep(0.001)
    with pytest.raises(Aborted):
        aborted().sleep(LONG_SECONDS)


def test_a_failure_sets_the_signal() -> None:
    abort = AbortSignal()
    with pytest.raises(ZeroDivisionError), abort.set_on_failure():
        _ = 1 / 0
    with pytest.raises(Aborted):
        abort.sleep(0)


def test_a_load_that_cannot_be_sent_ends_the_storm_and_says_why() -> None:
    def send(first: int, count: int) -> None:
        raise ValueError("no such event")

    abort = AbortSignal()
    pace = Pace(send, 1000, abort)
    pace.start()
    with pytest.raises(Aborted):
        abort.sleep(LONG_SECONDS)
    with pytest.raises(ValueError, match="no such event"):
        pace.stop()


def test_no_process_is_killed_after_the_abort() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as victim:
        killer = Killer(os.getpid(), sys.executable, random.Random(1), abort=aborted())
        eventually(lambda: victim.pid in killer.victims(), 20, "the victim being there")
        with pytest.raises(Aborted):
            next(killer.storm(0.0, LONG_SECONDS))
        assert killer.kills == 0


def test_a_storm_over_a_dead_master_ends_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as master:
        pass
    with pytest.raises(AssertionError, match="their master is dead: no title"):
        next(Killer(master.pid, "no title", random.Random(1)).storm(0.01, LONG_SECONDS))
