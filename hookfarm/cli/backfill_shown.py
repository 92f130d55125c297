"""How a backfill is shown while it runs: a bar on a terminal, lines where there is none, JSON for programs."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from hookfarm.backfill.progress import Progress
from hookfarm.cli.tables import plain
from hookfarm.cli.view_numbers import UNKNOWN, count, elapsed, rate

LINE_SECONDS = 5.0
JSON_SECONDS = 1.0
Show = Callable[[Progress], None]


@contextlib.contextmanager
def shown(
    as_json: bool, console: Console | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Show]:
    """What to tell of the progress, as often as anything happens; people read it on stderr."""
    console = console or Console(stderr=True)
    if as_json:
        yield _now_and_then(lambda progress: print_state("running", progress), JSON_SECONDS, clock)
    elif console.is_terminal:
        with Bar(TextColumn("backfill"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[told]}"),
                 console=console) as bar:  # fmt: skip
            task = bar.add_task("backfill", total=None, told="")
            yield lambda progress: bar.update(
                task, total=progress.total, completed=progress.blocks, told=line(progress)
            )
    else:
        yield _now_and_then(lambda progress: click.echo(line(progress), err=True), LINE_SECONDS, clock)


def line(progress: Progress) -> str:
    """One line for people; a note instead of the speed where it does not get on."""
    left = UNKNOWN if progress.seconds_left is None else elapsed(progress.seconds_left)
    speed = progress.note or f"{rate(progress.blocks_per_second)} blocks/s  {left} left"
    done = f"{count(progress.blocks)} of {count(progress.total)} blocks"
    return plain(f"{done}  {count(progress.added)} matches  {count(progress.waiting)} waiting  {speed}")


def print_state(state: str, progress: Progress) -> None:
    """`running`, `stopped` or `done`, with the numbers, as one line of JSON."""
    numbers: dict[str, Any] = {
        "state": state,
        "at_block": progress.at_block,
        "blocks": progress.blocks,
        "total": progress.total,
        "added": progress.added,
        "known": progress.known,
        "waiting": progress.waiting,
        "blocks_per_second": progress.blocks_per_second,
        "seconds_left": progress.seconds_left,
        "note": progress.note,
    }
    click.echo(orjson.dumps(numbers))


def _now_and_then(tell: Show, every_seconds: float, clock: Callable[[], float]) -> Show:
    told_at, told_note = float("-inf"), ""

    def maybe(progress: Progress) -> None:
        nonlocal told_at, told_note
        kind = progress.note[:7]
        if clock() - told_at < every_seconds and kind == told_note:
            return
        told_at, told_note = clock(), kind
        tell(progress)

    return maybe
