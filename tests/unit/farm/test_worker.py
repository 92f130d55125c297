"""A place in the farm, in words."""

import os
import signal

import pytest

from hookfarm.farm.plan import Group
from hookfarm.farm.scoreboard import Board, State
from hookfarm.farm.worker import Member, cause_of_death


def occupied(state: State, reason: str = "", pid: int = 4711) -> Member:
    slot = Board({"service": 3}).slots("service")[2]
    slot.occupy(10)
    slot.state, slot.reason = state, reason
    return Member(Group("service", 3, lambda child: None), 2, slot, pid)


@pytest.mark.parametrize(
    ("member", "described"),
    [
        (occupied(State.BOOTING), "service 2 (booting)"),
        (occupied(State.STALLED, "no node"), "service 2 (no node)"),
        (occupied(State.UP, pid=0), "service 2 (gone)"),
        (occupied(State.EMPTY, "cannot fork", pid=0), "service 2 (cannot fork)"),
    ],
)
def test_a_member_is_described_by_name_and_trouble(member: Member, described: str) -> None:
    assert member.describe() == described


def test_only_a_living_child_is_up() -> None:
    assert occupied(State.UP).up
    assert not occupied(State.UP, pid=0).up
    assert not occupied(State.STALLED).up


def test_who_is_gone_is_quiet_too() -> None:
    assert occupied(State.QUIET).quiet
    assert occupied(State.UP, pid=0).quiet
    assert not occupied(State.UP).quiet


def test_having_come_up_once_is_remembered() -> None:
    member = occupied(State.UP)
    member.note_up()
    member.slot.state = State.STALLED
    member.note_up()
    assert member.came_up


@pytest.mark.parametrize("core", [0, 0x80], ids=["", "with a core dump"])
@pytest.mark.parametrize(
    ("number", "cause"), [(9, "SIGKILL"), (6, "SIGABRT"), (35, "signal 35"), (signal.SIGRTMAX, "SIGRTMAX")]
)
def test_a_death_by_signal_is_named(number: int, core: int, cause: str) -> None:
    status = number | core
    assert os.WIFSIGNALED(status)
    assert cause_of_death(status) == cause


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_an_exit_is_named_by_its_code(code: int) -> None:
    assert cause_of_death(code << 8) == f"exit {code}"
