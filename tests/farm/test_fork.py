"""The time between fork and the child's own handlers, held open by the test."""

import os
import random
import secrets
import signal
import threading
import uuid
from collections.abc import Iterator

import pytest

from hookfarm.farm.child import EXIT_CRASHED, Child
from hookfarm.farm.scoreboard import Scoreboard
from hookfarm.farm.spawn import fork, signals_blocked, unblock_signals

HEARD, DEAF = 11, 12


@pytest.fixture
def gate() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for file in (reading, writing):
        os.close(file)


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_sent_before_the_childs_handlers_stand_waits_for_them(
    gate: tuple[int, int], number: signal.Signals
) -> None:
    heard: list[int] = []

    def run() -> int:
        os.read(gate[0], 1)  # Until the signal has been sent.
        signal.signal(number, lambda n, _: heard.append(n))
        before = bool(heard)
        unblock_signals()
        return HEARD if heard == [number] and not before else DEAF

    pid = fork(run)
    os.kill(pid, number)
    os.write(gate[1], b".")
    assert exit_code(pid) == HEARD


def test_a_child_that_got_sigterm_before_its_handlers_were_installed_stops(gate: tuple[int, int]) -> None:
    scoreboard = Scoreboard({"service": 1})

    def run() -> int:
        os.read(gate[0], 1)
        child = Child("service", 0, scoreboard)
        child.handle_signals()
        unblock_signals()
        return HEARD if child.stopping and child.wait(60) else DEAF

    pid = fork(run)
    os.kill(pid, signal.SIGTERM)
    os.write(gate[1], b".")
    assert exit_code(pid) == HEARD


def test_a_child_does_not_run_the_handlers_of_its_parent(gate: tuple[int, int]) -> None:
    heard: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda n, _: heard.append(n))

    def run() -> int:
        os.read(gate[0], 1)
        unblock_signals()
        return DEAF  # Not reached: the default action of SIGTERM has come first.

    try:
        pid = fork(run)
        os.kill(pid, signal.SIGTERM)
        os.write(gate[1], b".")
        assert exit_code(pid) == -signal.SIGTERM
        assert heard == []
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_the_parents_signals_wait_for_the_end_of_the_fork_and_none_is_lost() -> None:
    heard: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda n, _: heard.append(n))
    try:
        with signals_blocked():
            # To this very thread: others that earlier tests have left block nothing.
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
            assert heard == []
        assert heard == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, previous)


def test_the_parents_mask_is_afterwards_what_it_was() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert exit_code(fork(lambda: 0)) == 0
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_a_child_ends_with_what_it_returns_and_never_comes_back_into_the_parents_code() -> None:
    assert exit_code(fork(lambda: 42)) == 42


def test_a_child_that_raises_ends_with_the_status_of_a_crash(capfd: pytest.CaptureFixture[str]) -> None:
    def run() -> int:
        raise KeyboardInterrupt

    assert exit_code(fork(run)) == EXIT_CRASHED
    capfd.readouterr()


def test_fifty_children_have_jitter_and_identifiers_of_their_own() -> None:
    """Python's generator is seeded anew in each child; the kernel's needs no seed."""
    children = 50
    scoreboard = Scoreboard({"service": children})
    random.random()  # Seeded before the forks, so that an inherited state would show.
    for index in range(children):

        def run(mine: int = index) -> int:
            slot = scoreboard.slots("service")[mine]
            slot.set_counter(0, random.getrandbits(62))
            slot.set_counter(1, int.from_bytes(secrets.token_bytes(7)))
            slot.set_counter(2, uuid.uuid4().int >> 66)
            return 0

        assert exit_code(fork(run)) == 0
    for counter in range(3):
        assert len({slot.counter(counter) for slot in scoreboard.slots("service")}) == children
