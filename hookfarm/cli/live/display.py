"""Display of a live view (redrawn in a terminal, lines in a pipe), and its interruption."""

import contextlib
import os
import select
import signal
import sys
import termios
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Protocol

import click
from rich.console import Console
from rich.live import Live

from hookfarm.cli.live.view import FarmView
from hookfarm.cli.live.view_model import ViewModel
from hookfarm.cli.output import count, duration, rate

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LINE_QUEUE = ("queued", "parked", "retry", "dead")


class Display(Protocol):
    """Interface of a display of view models; `step_seconds` is the time between two updates."""

    step_seconds: float

    def show(self, model: ViewModel) -> None: ...


class LineDisplay:
    """Display that prints a line at the first verified webhook and every `every_seconds`, from 0 if `at_once`."""

    step_seconds = 0.1

    def __init__(self, every_seconds: float, *, at_once: bool = False) -> None:
        self._every = every_seconds
        self._due = 0.0 if at_once else every_seconds
        self._begun = False

    def show(self, model: ViewModel) -> None:
        first = not self._begun and model.audit is not None and model.audit.verified > 0
        if first or model.seconds >= self._due:
            self._begun = self._begun or first
            self._due = model.seconds - model.seconds % self._every + self._every
            click.echo(line(model))


@contextlib.contextmanager
def display(
    title: str, lines: LineDisplay, step_seconds: float, *, full_screen: bool = False
) -> Iterator[Display]:
    """Yield `lines` in a pipe; in a terminal, a view that is redrawn, and removed at the end.

    A full-screen view passes single keys to stdin.
    """
    console = terminal()
    if console is None:
        yield lines
        return
    live = Live(
        console=console, auto_refresh=False, transient=True, redirect_stdout=False, screen=full_screen,
        vertical_overflow="crop",
    )  # fmt: skip
    with _quiet(single_keys=full_screen), live:
        yield ScreenDisplay(live, title, step_seconds)


def terminal() -> Console | None:
    """Return the terminal of stdout; None if it cannot draw."""
    if not sys.stdout.isatty():
        return None
    console = Console()
    return None if console.is_dumb_terminal else console


class ScreenDisplay:
    """Display that redraws the view in a terminal."""

    def __init__(self, live: Live, title: str, step_seconds: float) -> None:
        self.step_seconds = step_seconds
        self._live = live
        self._title = title

    def show(self, model: ViewModel) -> None:
        self._live.update(FarmView(model, self._title), refresh=True)


@contextlib.contextmanager
def _quiet(*, single_keys: bool) -> Iterator[None]:
    """Turn off the echo of typed keys, which would move the view."""
    if not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    quiet = termios.tcgetattr(terminal)
    quiet[3] &= ~(termios.ECHO | termios.ECHOCTL | (termios.ICANON if single_keys else 0))
    termios.tcsetattr(terminal, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def line(model: ViewModel) -> str:
    """Return a view model in one line."""
    parts = [f"{model.seconds:6.1f} s"]
    parts += [f"block {count(chain.head)}" for chain in model.chains]
    if model.audit is not None:
        parts += [f"emitted {count(model.audit.emitted)}", f"verified {count(model.audit.verified)}"]
    else:
        parts.append(f"delivered {count(model.delivered)}")
    parts.append(f"{rate(model.per_second)}/s")
    parts.append(f"POST p50 {duration(model.post.p50)} p99 {duration(model.post.p99)}")
    if model.queue is not None:
        shown = _LINE_QUEUE[:1] if model.audit else _LINE_QUEUE
        parts += [f"{name} {count(model.queue.get(name))}" for name in shown]
    if model.lost:
        parts.append(model.lost)
    return "  ".join(parts)


class Interrupts:
    """Counter of ctrl-C, SIGTERM and SIGHUP, which no longer raise; each of them ends a `wait`."""

    def __init__(self) -> None:
        self.count = 0
        self._previous: dict[signal.Signals, Any] = {}
        self._woken = self._waker = -1

    def __enter__(self) -> "Interrupts":
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._previous = {number: signal.signal(number, self._count_signal) for number in _SIGNALS}
        return self

    def __exit__(self, *_exception: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self.close()

    def close(self) -> None:
        """Close the pipe; forked children call it, too."""
        os.close(self._woken)
        os.close(self._waker)

    def wait(self, seconds: float, *files: int) -> list[int]:
        """Wait for `seconds`, another signal or a readable file; return the readable `files`."""
        readable, _, _ = select.select([self._woken, *files], [], [], max(0.0, seconds))
        if self._woken in readable:
            os.read(self._woken, 4096)
        return [file for file in files if file in readable]

    def _count_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        os.write(self._waker, b".")
