"""`hookfarm demo` as a user runs it: what it proves, and that nothing of it is left."""

import contextlib
import os
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import termios
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.support.commands import RunningCommand, running_command
from tests.support.farm_processes import CHECKOUT, COMMAND, environment, processes_of_session
from tests.support.waiting import eventually

FEW = ("--workers", "8", "--block-time", "0.25", "--logs-per-block", "20")


@dataclass
class Demo:
    """A running demo and what of it could be left behind."""

    command: RunningCommand
    temporary: Path
    processes: list[psutil.Process] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)

    def look(self) -> None:
        """Notes its processes and the ports they listen on, to look for them later."""
        self.processes = psutil.Process(self.command.pid).children(recursive=True)
        self.ports |= listening(self.processes)

    def master(self) -> int:
        [master] = psutil.Process(self.command.pid).children()
        return int(master.pid)

    def assert_nothing_left(self, master: int) -> None:
        def gone() -> bool:
            alive = processes_of_session(self.command.pid) + processes_of_session(master)
            return not alive and not any(self.temporary.iterdir())

        eventually(gone, what="the end of all processes and files")
        assert [process for process in self.processes if lives(process)] == []
        assert not self.ports & listening(self.processes)


def listening(processes: Iterable[psutil.Process]) -> set[int]:
    """The ports on which any of these listens; others may have been given the same numbers since."""
    pids = {process.pid for process in processes}
    return {
        connection.laddr.port
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.pid in pids
    }


def lives(process: psutil.Process) -> bool:
    """A zombie does not: its new parent will reap it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@contextlib.contextmanager
def running_demo(*options: str) -> Iterator[Demo]:
    # Not pytest's tmp_path: a socket's path must be short.
    temporary = Path(tempfile.mkdtemp(prefix="hf-"))
    try:
        with running_command("demo", *options, TMPDIR=str(temporary)) as command:
            yield Demo(command, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def numbers(output: str) -> tuple[int, int]:
    """Emitted, and delivered and verified."""
    found = [
        re.search(rf"^ *{words} +([\d,]+)", output, re.MULTILINE)
        for words in ("emitted on chain", "delivered and verified")
    ]
    emitted, verified = (int(match[1].replace(",", "")) if match else -1 for match in found)
    return emitted, verified


def test_every_log_is_delivered_and_verified_and_nothing_is_left() -> None:
    with running_demo("--seconds", "3") as demo:
        demo.command.wait_for_line("verified")
        demo.look()
        master = demo.master()
        assert len(demo.processes) > 50
        assert len(demo.ports) == 3
        assert demo.command.wait() == 0
        emitted, verified = numbers(demo.command.stdout)
        assert emitted == verified > 100
        assert demo.command.stderr == ""
        demo.assert_nothing_left(master)


def test_its_dashboard_and_chain_are_where_it_says() -> None:
    with running_demo(*FEW) as demo:
        demo.command.wait_for_line("verified")
        demo.look()
        said = {int(port) for port in re.findall(r"(?:http|ws)://127\.0\.0\.1:(\d+)", demo.command.stdout)}
        assert said == demo.ports
        demo.command.interrupt()
        demo.command.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_waits_for_what_was_emitted_and_ends_well(number: int) -> None:
    with running_demo(*FEW) as demo:
        demo.command.wait_for_line("verified")
        demo.look()
        master = demo.master()
        demo.command.process.send_signal(number)
        assert demo.command.wait() == 0
        emitted, verified = numbers(demo.command.stdout)
        assert emitted == verified > 0
        demo.assert_nothing_left(master)


def test_interrupted_during_its_start_it_leaves_nothing() -> None:
    with running_demo(*FEW) as demo:
        eventually(lambda: psutil.Process(demo.command.pid).children(), what="the farm being forked")
        master = demo.master()
        demo.command.interrupt()
        assert demo.command.wait() == 1
        assert "no logs were emitted" in demo.command.stdout
        assert demo.command.stderr == ""
        demo.assert_nothing_left(master)


def test_killed_it_takes_everything_along() -> None:
    with running_demo(*FEW) as demo:
        demo.command.wait_for_line("verified")
        demo.look()
        master = demo.master()
        demo.command.process.kill()
        demo.command.wait()
        demo.assert_nothing_left(master)


def test_a_farm_that_dies_ends_it_with_the_reason() -> None:
    with running_demo(*FEW) as demo:
        demo.command.wait_for_line("verified")
        master = demo.master()
        os.kill(master, signal.SIGKILL)
        assert demo.command.wait() == 1
        assert "the farm exited (SIGKILL)" in demo.command.stderr
        assert "Traceback" not in demo.command.stderr
        demo.assert_nothing_left(master)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--seconds", "0"), ("--workers", "0"), ("--block-time", "x"), ("--logs-per-block", "10001")],
)
def test_a_wrong_option_is_refused_in_one_line_that_names_it(option: str, value: str) -> None:
    with running_demo(option, value) as demo:
        assert demo.command.wait() == 2
        [line] = demo.command.stderr.splitlines()
        assert line.startswith(f"hookfarm: {option}: ")
        assert list(demo.temporary.iterdir()) == []


def test_in_a_terminal_it_shows_the_live_view_and_leaves_the_terminal_as_it_was() -> None:
    controlling, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    variables = environment(TERM="xterm-256color", COLUMNS="80", LINES="40")
    command = subprocess.Popen(
        [*COMMAND, "demo", *FEW, "--seconds", "2"],
        cwd=CHECKOUT,
        env=variables,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    try:
        screen = read_until_it_ends(controlling, command)
        assert command.wait(30) == 0, screen
        assert termios.tcgetattr(terminal) == before
    finally:
        command.kill()
        command.wait()
        os.close(terminal)
        os.close(controlling)
    assert "blocked in BRPOP" in screen
    assert "latest webhooks" in screen
    assert " info " not in screen  # No log line of the farm.
    emitted, verified = numbers(screen)
    assert emitted == verified > 0


def read_until_it_ends(controlling: int, command: "subprocess.Popen[bytes]") -> str:
    os.set_blocking(controlling, False)
    read = bytearray()

    def ended() -> bool:
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(controlling, 65536):
                read.extend(chunk)
        return command.poll() is not None

    eventually(ended, within=40, what="the end of the demo")
    ended()
    return read.decode().replace("\r\n", "\n")
