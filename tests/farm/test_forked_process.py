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
    """Starts a companion that lives until a signal, and returns it once it does."""
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
        eventually(lambda: said.exists() and said.read_text(), what="the companion running")
        return started[-1]

    yield start
    for companion in started:
        companion.stop(0.0, hurry=lambda: True)
        assert companion.has_exited


def test_it_lives_in_a_session_of_its_own(start: Callable[..., ForkedProcess], tmp_path: Path) -> None:
    start()
    pid, session = (tmp_path / "0").read_text().split()
    assert pid == session
    assert int(session) != os.getsid(0)


def test_stopped_it_has_ended_and_is_reaped(start: Callable[..., ForkedProcess]) -> None:
    companion = start()
    assert not companion.has_exited
    assert companion.exit_cause == ""
    companion.stop(10.0, hurry=lambda: False)
    assert (companion.has_exited, companion.exit_cause) == (True, "exit 0")


def test_an_end_of_its_own_is_noticed(start: Callable[..., ForkedProcess]) -> None:
    companion = start(on_term=7)
    companion.terminate()
    eventually(lambda: companion.has_exited, what="its end")
    assert companion.exit_cause == "exit 7"


def test_one_that_does_not_stop_is_killed(start: Callable[..., ForkedProcess]) -> None:
    companion = start(on_term=None)
    companion.stop(0.1, hurry=lambda: False)
    assert (companion.has_exited, companion.exit_cause) == (True, "SIGKILL")


def test_hurry_tells_it_once_more(start: Callable[..., ForkedProcess], tmp_path: Path) -> None:
    companion = start(on_term=0, after=2)
    companion.stop(10.0, hurry=(tmp_path / "heard").exists)
    assert companion.exit_cause == "exit 0"


def test_stopping_it_twice_harms_nobody(start: Callable[..., ForkedProcess]) -> None:
    companion = start()
    companion.stop(10.0, hurry=lambda: False)
    companion.stop(10.0, hurry=lambda: True)
    assert companion.exit_cause == "exit 0"


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
