"""What the tests themselves rely on when they are spread over several processes."""

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.machine import use_of_the_machine
from tests.support.waiting import eventually


class User:
    """Somebody who wants the machine, on a thread, and has it until told to go."""

    def __init__(self, place: Path, alone: bool) -> None:
        self.place, self.alone = place, alone
        self.has_it, self.may_go = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._use)
        self.thread.start()

    def _use(self) -> None:
        with use_of_the_machine(self.place, self.alone):
            self.has_it.set()
            self.may_go.wait(20)

    def go(self) -> None:
        self.may_go.set()
        self.thread.join()


@pytest.fixture
def users() -> Iterator[ExitStack]:
    with ExitStack() as leaving:
        yield leaving


def user(users: ExitStack, place: Path, *, alone: bool) -> User:
    one = User(place, alone)
    users.callback(one.go)
    return one


def wait_in_line(place: Path) -> None:
    """Until somebody who waits for the machine keeps the turn."""

    def kept() -> bool:
        with (place / "turn").open() as turn:
            try:
                fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            fcntl.flock(turn, fcntl.LOCK_UN)
        return False

    eventually(kept, what="the turn being kept")


def test_several_use_it_beside_each_other(users: ExitStack, tmp_path: Path) -> None:
    for one in [user(users, tmp_path, alone=False) for _ in range(3)]:
        assert one.has_it.wait(20)


def test_who_wants_it_alone_waits_for_the_others_and_newcomers_wait_behind(
    users: ExitStack, tmp_path: Path
) -> None:
    first = user(users, tmp_path, alone=False)
    assert first.has_it.wait(20)
    alone = user(users, tmp_path, alone=True)
    wait_in_line(tmp_path)
    late = user(users, tmp_path, alone=False)
    assert not alone.has_it.is_set()
    first.go()
    assert alone.has_it.wait(20)
    assert not late.has_it.is_set()
    alone.go()
    assert late.has_it.wait(20)


def test_a_child_that_was_forked_meanwhile_does_not_keep_it(users: ExitStack, tmp_path: Path) -> None:
    with use_of_the_machine(tmp_path, alone=True):
        child = os.fork()
        if child == 0:
            signal.pause()
    try:
        assert user(users, tmp_path, alone=True).has_it.wait(20)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
