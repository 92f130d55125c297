"""How the demo shows itself: the live view in a terminal, a line now and then in a pipe."""

import contextlib
import sys
import termios
from collections.abc import Iterator
from typing import Protocol

import click

from hookfarm.cli.view_numbers import count, duration, rate
from hookfarm.cli.view_snapshot import Snapshot

TITLE = "hookfarm demo"
LINE_SECONDS = 2.0


class Display(Protocol):
    """Takes each snapshot; `step_seconds` is how often it wants one."""

    step_seconds: float

    def show(self, snapshot: Snapshot) -> None: ...


@contextlib.contextmanager
def display() -> Iterator[Display]:
    """The display that stdout can show; what it drew is gone at the end, lines stay."""
    if not sys.stdout.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if console.is_dumb_terminal:
        yield Lines()
        return
    with _no_echo(), Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False) as live:

        class Screen:
            step_seconds = 0.25

            def show(self, snapshot: Snapshot) -> None:
                from hookfarm.cli.view import View

                live.update(View(snapshot, TITLE), refresh=True)

        yield Screen()


@contextlib.contextmanager
def _no_echo() -> Iterator[None]:
    """What is typed, ctrl-C above all, does not appear in the middle of the view and move it."""
    if not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    quiet = termios.tcgetattr(terminal)
    quiet[3] &= ~(termios.ECHO | termios.ECHOCTL)
    termios.tcsetattr(terminal, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


class Lines:
    """A line at the first webhook, and every LINE_SECONDS after."""

    step_seconds = 0.1

    def __init__(self) -> None:
        self._due = LINE_SECONDS
        self._begun = False

    def show(self, snapshot: Snapshot) -> None:
        first = not self._begun and snapshot.proof is not None and snapshot.proof.verified > 0
        if first or snapshot.seconds >= self._due:
            self._begun = self._begun or first
            self._due = snapshot.seconds - snapshot.seconds % LINE_SECONDS + LINE_SECONDS
            click.echo(line(snapshot))


def line(snapshot: Snapshot) -> str:
    """A snapshot in one line."""
    parts = [f"{snapshot.seconds:6.1f} s"]
    parts += [f"block {count(chain.head)}" for chain in snapshot.chains]
    if snapshot.proof is not None:
        parts += [f"emitted {count(snapshot.proof.emitted)}", f"verified {count(snapshot.proof.verified)}"]
    parts.append(f"{rate(snapshot.per_second)}/s")
    parts.append(f"POST p50 {duration(snapshot.post.p50)} p99 {duration(snapshot.post.p99)}")
    if snapshot.queue is not None:
        parts.append(f"queued {count(snapshot.queue.get('queued'))}")
    return "  ".join(parts)
