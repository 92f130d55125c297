"""A bar on the terminal's stderr for what lasts longer than a second; elsewhere, and before that, nothing."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

T = TypeVar("T")

AFTER_SECONDS = 1.0
BATCH = 100


@contextlib.contextmanager
def bar(
    doing: str, total: int | None = None, console: Console | None = None, after_seconds: float = AFTER_SECONDS
) -> Iterator[Callable[[int], None]]:
    """What to tell of how many are done. None as `total`: nobody knows how many there are, and it only moves.

    It is drawn by a timer, so that it also comes where the first step is what lasts, and is gone at the end.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda _done: None
        return
    progress = Progress(console=console, transient=True)
    task = progress.add_task(doing, total=total)
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


def each(items: Sequence[T], doing: str) -> Iterator[T]:
    """The items one after the other, under a bar."""
    with bar(doing, len(items)) as tell:
        for done, item in enumerate(items, 1):
            yield item
            tell(done)


def batches(
    items: Sequence[T], doing: str, console: Console | None = None, after_seconds: float = AFTER_SECONDS
) -> Iterator[Sequence[T]]:
    """The items a hundred at a time, under a bar."""
    with bar(doing, len(items), console, after_seconds) as tell:
        for start in range(0, len(items), BATCH):
            yield items[start : start + BATCH]
            tell(min(start + BATCH, len(items)))
