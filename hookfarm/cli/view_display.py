"""How a live view is shown: drawn over and over in a terminal, a line now and then in a pipe."""

import contextlib
import sys
import termios
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import click

from hookfarm.cli.view_numbers import count, duration, rate
from hookfarm.cli.view_snapshot import Snapshot

if TYPE_CHECKING:
    from rich.console import Console  # Costs 0.05 s, which a pipe need not wait for.
    from rich.live import Live

_LINE_QUEUE = ("queued", "parked", "retry", "dead")


class Display(Protocol):
    """Takes each snapshot; `step_seconds` is how often it wants one."""

    step_seconds: float

    def show(self, snapshot: Snapshot) -> None: ...


class Lines:
    """A line at the first webhook that a proof tells of, and every `every_seconds`, from 0 on if `at_once`."""

    step_seconds = 0.1

    def __init__(self, every_seconds: float, *, at_once: bool = False) -> None:
        self._every = every_seconds
        self._due = 0.0 if at_once else every_seconds
        self._begun = False

    def show(self, snapshot: Snapshot) -> None:
        first = not self._begun and snapshot.proof is not None and snapshot.proof.verified > 0
        if first or snapshot.seconds >= self._due:
            self._begun = self._begun or first
            self._due = snapshot.seconds - snapshot.seconds % self._every + self._every
            click.echo(line(snapshot))


@contextlib.contextmanager
def display(title: str, lines: Lines, step_seconds: float, *, full_screen: bool = False) -> Iterator[Display]:
    """What stdout can show: `lines` in a pipe; in a terminal the view, gone at the end, `step_seconds` apart.

    A view that has the full screen lets single keys through to stdin.
    """
    console = terminal()
    if console is None:
        yield lines
        return
    from rich.live import Live

    live = Live(
        console=console, auto_refresh=False, transient=True, redirect_stdout=False, screen=full_screen,
        vertical_overflow="crop",
    )  # fmt: skip
    with _quiet(single_keys=full_screen), live:
        yield _Drawn(live, title, step_seconds)


def terminal() -> "Console | None":
    """The terminal that stdout is, if it can draw."""
    if not sys.stdout.isatty():
        return None
    from rich.console import Console

    console = Console()
    return None if console.is_dumb_terminal else console


class _Drawn:
    """The view in a terminal."""

    def __init__(self, live: "Live", title: str, step_seconds: float) -> None:
        self.step_seconds = step_seconds
        self._live = live
        self._title = title

    def show(self, snapshot: Snapshot) -> None:
        from hookfarm.cli.view import View

        self._live.update(View(snapshot, self._title), refresh=True)


@contextlib.contextmanager
def _quiet(*, single_keys: bool) -> Iterator[None]:
    """What is typed, ctrl-C above all, does not appear in the middle of the view and move it."""
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


def line(snapshot: Snapshot) -> str:
    """A snapshot in one line."""
    parts = [f"{snapshot.seconds:6.1f} s"]
    parts += [f"block {count(chain.head)}" for chain in snapshot.chains]
    if snapshot.proof is not None:
        parts += [f"emitted {count(snapshot.proof.emitted)}", f"verified {count(snapshot.proof.verified)}"]
    else:
        parts.append(f"delivered {count(snapshot.delivered)}")
    parts.append(f"{rate(snapshot.per_second)}/s")
    parts.append(f"POST p50 {duration(snapshot.post.p50)} p99 {duration(snapshot.post.p99)}")
    if snapshot.queue is not None:
        shown = _LINE_QUEUE[:1] if snapshot.proof else _LINE_QUEUE
        parts += [f"{name} {count(snapshot.queue.get(name))}" for name in shown]
    if snapshot.lost:
        parts.append(snapshot.lost)
    return "  ".join(parts)
