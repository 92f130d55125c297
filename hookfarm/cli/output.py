"""Text for people (tables, numbers, untrusted text, progress bars, questions) and JSON for programs."""

import contextlib
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import click
import orjson
from rich.console import Console
from rich.progress import Progress

from hookfarm import timestamps
from hookfarm.errors import OperatorError

T = TypeVar("T")

UNKNOWN = "-"
BAR_AFTER_SECONDS = 1.0
"""A progress bar appears only after this time."""
BATCH_SIZE = 100
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_INDENT = "  "
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-=+*%#"

# JSON and questions


def print_json(value: object) -> None:
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))


def confirm(question: str, yes: bool) -> None:
    """Ask a question, unless `yes`. Raises OperatorError without a terminal, Abort if the answer is not yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise OperatorError(f"{question} Without a terminal, give --yes")
    click.confirm(question, abort=True, err=True)


# Tables and text


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a line for each row. Cells are never cut, so that ids and URLs can be copied."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()


def pluralize(number: int, noun: str, plural: str = "s") -> str:
    """Return a count with its noun: `1 address`, `2 addresses`."""
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def plain(text: str) -> str:
    """Return untrusted `text` in one line, with control characters escaped."""
    return "".join(map(_plain_character, text))


def indented(json_text: str) -> Iterator[str]:
    """Yield JSON with one member per line. Numbers and strings are copied: decoding could change them."""
    tokens = _TOKEN.findall(json_text)
    depth, line = 0, ""
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if token in ("]", "}") and not line.endswith(("[", "{")):
            yield plain(line)
            depth -= 1
            line = _INDENT * depth
        line += f"{token} " if token == ":" else token
        if token == "," or (token in ("[", "{") and following not in ("]", "}")):
            yield plain(line)
            depth += token != ","
            line = _INDENT * depth
    if line:
        yield plain(line)


def _plain_character(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "backslashreplace").decode()


# Numbers; UNKNOWN for None


def count(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"


def rate(per_second: float | None) -> str:
    return UNKNOWN if per_second is None else f"{per_second:,.1f}"


def time_of(at_ms: int | None) -> str:
    """Return a time in UTC, ISO 8601 to the millisecond."""
    return UNKNOWN if at_ms is None else timestamps.format_ms(at_ms)


def duration(seconds: float | None) -> str:
    """Return two or three digits and a unit: `840 µs`, `1.2 ms`, `42 ms`, `3.1 s`."""
    if seconds is None:
        return UNKNOWN
    for factor, unit in ((1e6, "µs"), (1e3, "ms"), (1.0, "s")):
        amount = seconds * factor
        if amount < 1000 or unit == "s":
            break
    return f"{amount:.1f} {unit}" if amount < 10 and unit != "µs" else f"{amount:,.0f} {unit}"


def duration_of_attempt(duration_ms: int) -> str:
    """Return the duration of an attempt, which is stored in whole ms."""
    return duration(duration_ms / 1000) if duration_ms else "<1 ms"


def elapsed(seconds: float) -> str:
    """Return a time span as `0:42`, `12:03`, `1:00:00`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def sparkline(values: Sequence[float], *, ascii_only: bool = False) -> str:
    """Return a bar for each value, the highest one full."""
    bars, top = (_ASCII_BARS if ascii_only else _BARS), max(values, default=0.0)
    if top <= 0:
        return bars[0] * len(values)
    return "".join(bars[min(len(bars) - 1, int(max(0.0, value) / top * len(bars)))] for value in values)


# Progress bars, on a terminal's stderr only


@contextlib.contextmanager
def progress_bar(
    label: str, total: int | None = None, console: Console | None = None, after_seconds: float = BAR_AFTER_SECONDS
) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of finished items. `total` None = unknown: the bar only moves.

    A timer draws the bar, so that it appears even during a long first step. The bar is removed at the end.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda _done: None
        return
    progress = Progress(console=console, transient=True)
    task = progress.add_task(label, total=total)
    timer = threading.Timer(after_seconds, progress.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda done: progress.update(task, completed=done)
    finally:
        timer.cancel()
        timer.join()
        if progress.live.is_started:
            progress.stop()


def track(items: Sequence[T], label: str) -> Iterator[T]:
    """Yield the items under a progress bar."""
    with progress_bar(label, len(items)) as update:
        for done, item in enumerate(items, 1):
            yield item
            update(done)


def track_batches(
    items: Sequence[T], label: str, console: Console | None = None, after_seconds: float = BAR_AFTER_SECONDS
) -> Iterator[Sequence[T]]:
    """Yield the items in batches under a progress bar."""
    with progress_bar(label, len(items), console, after_seconds) as update:
        for start in range(0, len(items), BATCH_SIZE):
            yield items[start : start + BATCH_SIZE]
            update(min(start + BATCH_SIZE, len(items)))
