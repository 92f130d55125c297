"""The delivery processes as a grid of states."""

from collections import Counter
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

ROW = 10
MOST_IN_ROWS_OF_TEN = 60
DENSE_ROW = 30
MOST_SHOWN = 10 * DENSE_ROW

STATES = {
    "b": ("blocked in BRPOP", "■", "#", "green"),
    "p": ("posting", "●", "o", "bold cyan"),
    "r": ("restarting", "○", "r", "yellow"),
    "s": ("stalled", "✗", "s", "bold red"),
}  # fmt: skip
"""Letter of the status' `activity` -> words, glyph, the same in ASCII, colour."""
_UNKNOWN_STATE = ("unknown", "?", "?", "dim")


def workers(activity: str, *, ascii_only: bool = False) -> RenderableType:
    """`activity` is one letter a worker; letters this version does not know are shown as `?`."""
    title = f"{len(activity)} workers" if activity else "workers"
    content = Group(*_grid(activity, ascii_only), Text(), _legend(activity, ascii_only))
    return Panel(content, title=Text(title), title_align="left", border_style="dim", padding=(0, 1))


def _grid(activity: str, ascii_only: bool) -> Iterator[Text]:
    roomy = len(activity) <= MOST_IN_ROWS_OF_TEN
    length, gap = (ROW, " ") if roomy else (DENSE_ROW, "")
    shown = activity[:MOST_SHOWN]
    for start in range(0, len(shown), length):
        row = Text(no_wrap=True)
        for letter in shown[start : start + length]:
            _, glyph, plain, colour = STATES.get(letter, _UNKNOWN_STATE)
            row.append((plain if ascii_only else glyph) + gap, style=colour)
        yield row
    if len(activity) > MOST_SHOWN:
        yield Text(f"and {len(activity) - MOST_SHOWN:,} more", style="dim")


def _legend(activity: str, ascii_only: bool) -> Table:
    counts = Counter(activity)
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", min_width=3)
    table.add_column()
    table.add_column()
    for letter, (words, glyph, plain, colour) in STATES.items():
        mark = Text(plain if ascii_only else glyph, style=colour)
        number = counts[letter]
        table.add_row(f"{number:,}", mark, Text(words, style="" if number else "dim"))
    return table
