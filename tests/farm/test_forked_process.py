"""A farm beside a command: forked into a session of its own, stopped with a deadline."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hookfarm.farm.spawn import ForkedProcess
from tests.support.waiting import eventually


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ForkedProcess]]:
    """Starts a process that lives until a signal, and returns it once it does."""
    started: list[ForkedProcess] = []

    def start(on_term: int | None = 0, after: int = 1) -> ForkedProcess:
        """It exits with `on_term` at the `after`th SIGTERM; None ignores them all."""
        said = tmp_path / str(len(started))

        def run() -> int:
            heard = []

            def note(number: int, _frame: object) -> None:
                heard.append(number)
                (tmp_path / "heard").touch()

            signal.signal(signal.SIGTERM, note)
            said.write_text(f"{os.getpid()} {os.getsid(0)}")
            while on_term is None or len(heard) < after:
                signal.pause()
            return on_term

        started.append(ForkedProcess(run))
        eventually(lambda: said.exists() and said.read_text(), what="the process running")
        return started[-1]

    yield start
    for process in started:
        process.stop(0.0, hurry=lambda: True)
        assert process.has_exited


def test_it_lives_in_a_session_of_its_own(start: Callable[..., ForkedProcess], tmp_path: Path) -> None:
    start()
    pid, session = (tmp_path / "0").read_text().split()
    assert pid == session
    assert int(session) != os.getsid(0)


def test_stopped_it_has_ended_and_is_reaped(start: Callable[..., ForkedProcess]) -> None:
    process = start()
    assert not process.has_exited
    assert process.exit_cause == ""
    process.stop(10.0, hurry=lambda: False)
    assert (process.has_exited, process.exit_cause) == (True, "exit 0")


def test_an_end_of_its_own_is_noticed(start: Callable[..., ForkedProcess]) -> None:
    process = start(on_term=7)
    process.terminate()
    eventually(lambda: process.has_exited, what="its end")
    assert process.exit_cause == "exit 7"


def test_one_that_does_not_stop_is_killed(start: Callable[..., ForkedProcess]) -> None:
    process = start(on_term=None)
    process.stop(0.1, hurry=lambda: False)
    assert (process.has_exited, process.exit_cause) == (True, "SIGKILL")


def test_hurry_sends_a_second_sigterm(start: Callable[..., ForkedProcess], tmp_path: Path) -> None:
    process = start(on_term=0, after=2)
    process.stop(10.0, hurry=(tmp_path / "heard").exists)
    assert process.exit_cause == "exit 0"


def test_stopping_it_twice_does_no_harm(start: Callable[..., ForkedProcess]) -> None:
    process = start()
    process.stop(10.0, hurry=lambda: False)
    process.stop(10.0, hurry=lambda: True)
    assert process.exit_cause == "exit 0"


def test_it_gets_sigterm_when_its_parent_is_killed(tmp_path: Path) -> None:
    heard = tmp_path / "heard"

    def grandchild() -> int:
        def note(_number: int, _frame: object) -> None:
            heard.write_text("SIGTERM")
            os._exit(0)

        signal.signal(signal.SIGTERM, note)
        (tmp_path / "up").touch()
        while True:
            signal.pause()

    def child() -> int:
        ForkedProcess(grandchild)
        while True:
            signal.pause()

    parent = ForkedProcess(child)
    eventually((tmp_path / "up").exists, what="the grandchild running")
    parent.stop(0.0, hurry=lambda: False)
    eventually(heard.exists, what="SIGTERM in the grandchild")
