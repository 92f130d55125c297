"""`hookfarm top`, in a terminal and in a pipe."""

import fcntl
import os
import pty
import re
import subprocess
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from hookfarm.status import readiness
from hookfarm.store import keys
from hookfarm.store.clients import command_client
from tests.support.commands import running_command
from tests.support.farm_processes import CHECKOUT, COMMAND, environment
from tests.support.finished_command import done, refused, run
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


@pytest.fixture
def farm(redis_url: str) -> None:
    """What a farm would publish."""
    with command_client(redis_url) as client:
        readiness.publish(client, keys.MESSAGE_PROCESSOR, {"workers": 1, "workers_up": 1, "chains": [7]})
        readiness.publish(
            client, keys.WEBHOOK_DELIVERY, {"workers": 3, "workers_up": 3, "activity": "bbp", "delivered": 4711}
        )
        readiness.publish(client, keys.EVENT_INGESTOR, {"workers": 0, "workers_up": 0})
        client.xadd(keys.events(7), {"event": "x"})


@dataclass
class Terminal:
    """`top` on a terminal of its own."""

    process: "subprocess.Popen[bytes]"
    controlling: int
    before: list[Any]
    settings: Callable[[], list[Any]]
    said: bytearray = field(default_factory=bytearray)

    def screen(self) -> str:
        """All that it has drawn so far, without what moves the cursor and colours."""
        try:
            while chunk := os.read(self.controlling, 65536):
                self.said.extend(chunk)
        except BlockingIOError:
            pass
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.said.decode("utf-8", "replace"))

    def wait_for(self, words: str) -> None:
        eventually(lambda: words in self.screen(), what=f"{words!r} on the screen")

    def type(self, keys: bytes) -> None:
        os.write(self.controlling, keys)

    def ended(self) -> bool:
        self.screen()
        return self.process.poll() is not None


@pytest.fixture
def terminal(farm: None, redis_url: str) -> Iterator[Terminal]:
    controlling, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        [*COMMAND, "top", "--redis-url", redis_url, "--interval", "0.2"],
        cwd=CHECKOUT,
        env=environment(TERM="xterm-256color", COLUMNS="80", LINES="40"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_the_terminal,
    )
    os.set_blocking(controlling, False)
    try:
        yield Terminal(process, controlling, before, lambda: termios.tcgetattr(theirs))
    finally:
        process.kill()
        process.wait()
        os.close(theirs)
        os.close(controlling)


def _take_the_terminal() -> None:
    """In the child: only a session's own terminal sends it ctrl-C."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_in_a_terminal_it_is_live(terminal: Terminal, redis_url: str) -> None:
    terminal.wait_for("4,711")
    terminal.wait_for("blocked in BRPOP")
    with command_client(redis_url) as client:
        readiness.publish(client, keys.WEBHOOK_DELIVERY, {"workers": 3, "activity": "bbb", "delivered": 4712})
    terminal.wait_for("4,712")


@pytest.mark.parametrize("key", [b"q", b"Q", b"\x03"])
def test_q_and_ctrl_c_end_it_and_leave_the_terminal_as_it_was(terminal: Terminal, key: bytes) -> None:
    terminal.wait_for("4,711")
    terminal.type(b"x" + key)
    eventually(terminal.ended, what="its end")
    assert terminal.process.returncode == 0, terminal.screen()
    assert terminal.settings() == terminal.before
    assert "Traceback" not in terminal.screen()


def test_without_redis_it_shows_since_when_and_goes_on(terminal: Terminal, redis_server: RedisServer) -> None:
    terminal.wait_for("4,711")
    redis_server.kill()
    terminal.wait_for("no answer from Redis since")
    terminal.wait_for("no connection")
    assert not terminal.ended()


def test_once_is_one_view_without_colours(farm: None, redis_url: str) -> None:
    said = done(run(redis_url, "top", "--once"))
    assert re.search(r"delivered +4,711 ", said)
    assert "2 ■ blocked in BRPOP" in said
    assert "\x1b" not in said


def test_once_without_a_farm_shows_that(redis_url: str) -> None:
    assert "no farm" in done(run(redis_url, "top", "--once"))


def test_in_a_pipe_it_is_a_line_for_each_look(farm: None, redis_url: str) -> None:
    with running_command("top", "--redis-url", redis_url, "--interval", "0.1") as command:
        eventually(lambda: command.stdout.count("\n") >= 3, what="three lines")
        command.interrupt()
        assert command.wait() == 0
        lines = command.stdout.splitlines()
        assert all("delivered 4,711" in line for line in lines)
        assert "\x1b" not in command.stdout
        assert command.stderr == ""


def test_a_redis_that_does_not_answer_at_first_is_an_error() -> None:
    finished = run("redis://127.0.0.1:1/0", "top")
    assert "Redis at redis://127.0.0.1:1/0 does not answer" in refused(finished, 1)
