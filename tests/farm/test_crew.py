"""The crew by itself, in this process: whom it signals, and what it makes of a child that is gone."""

import os
import signal
from collections.abc import Iterator

import pytest

from hookfarm.farm.plan import Group, Plan, board_for
from hookfarm.farm.scoreboard import State
from hookfarm.farm.timing import Timing
from hookfarm.farm.worker import Member
from hookfarm.farm.workers import Crew
from tests.farm.toys import work
from tests.support.waiting import eventually


@pytest.fixture
def crew() -> Iterator[Crew]:
    groups = [Group("service", 2, work)]
    made = Crew(Plan(groups, 5.0), board_for(groups), Timing(), lambda: None)
    made.starting = False
    yield made
    made.stopping = True
    made.kill(made.members)
    eventually(lambda: buried(made, *made.members), what="everybody's end")


def buried(crew: Crew, *members: Member) -> bool:
    crew.reap()
    return not any(member.pid for member in members)


def test_who_has_been_waited_for_is_not_signalled_any_more(crew: Crew) -> None:
    """Pid 0 would be everybody in this process's group, and the old one may be a stranger's by now."""
    heard: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        member = crew.members[0]
        crew.spawn(member)
        os.kill(member.pid, signal.SIGKILL)
        eventually(lambda: buried(crew, member), what="the burial")
        crew.signal(member, signal.SIGUSR1)
        assert heard == []
        assert member.slot.pid == 0
    finally:
        signal.signal(signal.SIGUSR1, previous)


def test_one_that_is_gone_but_not_waited_for_may_be_signalled(crew: Crew) -> None:
    member = crew.members[0]
    crew.spawn(member)
    os.kill(member.pid, signal.SIGKILL)
    os.waitid(os.P_PID, member.pid, os.WEXITED | os.WNOWAIT)
    crew.signal(member, signal.SIGTERM)
    crew.reap()
    assert member.pid == 0


def test_a_stranger_is_reaped_and_nobody_is_mourned(crew: Crew) -> None:
    crew.spawn(crew.members[0])
    stranger = os.fork()
    if not stranger:
        os._exit(0)
    os.waitid(os.P_PID, stranger, os.WEXITED | os.WNOWAIT)
    crew.reap()
    with pytest.raises(ChildProcessError):
        os.waitpid(stranger, 0)
    assert crew.members[0].pid
    assert crew.due() == []


def test_who_dies_is_due_again_and_says_of_what_it_died(crew: Crew) -> None:
    member = crew.members[1]
    crew.spawn(member)
    eventually(lambda: member.slot.state == State.UP, what="its coming up")
    os.kill(member.pid, signal.SIGTERM)
    eventually(lambda: buried(crew, member), what="the burial")
    assert member.slot.state == State.DUE
    assert member.slot.reason == "exit 0"
    assert crew.next_due_in() > 0
    assert crew.due() == []
