"""A storm that has failed ends at once."""

import os
import random
import subprocess
import sys

import pytest

from tests.chaos.alarm import Abandoned, Alarm
from tests.chaos.killer import Killer
from tests.chaos.load import Pace
from tests.support.waiting import eventually

LONG_SECONDS = 20.0


def rung() -> Alarm:
    alarm = Alarm()
    alarm.ring()
    return alarm


def test_a_rest_ends_when_the_alarm_is_rung() -> None:
    Alarm().rest(0.001)
    with pytest.raises(Abandoned):
        rung().rest(LONG_SECONDS)


def test_a_failure_rings_the_alarm() -> None:
    alarm = Alarm()
    with pytest.raises(ZeroDivisionError), alarm.rung_by_failure():
        _ = 1 / 0
    with pytest.raises(Abandoned):
        alarm.rest(0)


def test_a_load_that_cannot_be_sent_ends_the_storm_and_says_why() -> None:
    def send(first: int, count: int) -> None:
        raise ValueError("no such event")

    alarm = Alarm()
    pace = Pace(send, 1000, alarm)
    pace.start()
    with pytest.raises(Abandoned):
        alarm.rest(LONG_SECONDS)
    with pytest.raises(ValueError, match="no such event"):
        pace.stop()


def test_nobody_is_killed_after_the_alarm() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as victim:
        killer = Killer(os.getpid(), sys.executable, random.Random(1), alarm=rung())
        eventually(lambda: victim.pid in killer.victims(), 20, "the victim being there")
        with pytest.raises(Abandoned):
            next(killer.storm(0.0, LONG_SECONDS))
        assert killer.kills == 0


def test_a_storm_over_a_dead_master_ends_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as master:
        pass
    with pytest.raises(AssertionError, match="their master is dead: nobody"):
        next(Killer(master.pid, "nobody", random.Random(1)).storm(0.01, LONG_SECONDS))
