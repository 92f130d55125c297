"""Many things one after the other, and a bar when they last."""

import io

import pytest
from rich.console import Console

from hookfarm.cli.bars import BATCH, bar, batches, each
from tests.support.waiting import eventually


@pytest.mark.parametrize("count", [0, 1, BATCH, BATCH + 1, 3 * BATCH])
def test_everything_comes_once_and_in_order(count: int) -> None:
    found = list(batches(range(count), "sending", Console(file=io.StringIO())))
    assert [item for batch in found for item in batch] == list(range(count))
    assert all(0 < len(batch) <= BATCH for batch in found)
    assert list(each(range(count), "sealing")) == list(range(count))


def test_a_bar_is_drawn_while_the_first_step_lasts_and_is_gone_at_the_end() -> None:
    file = io.StringIO()
    with bar("sending", 3, Console(file=file, force_terminal=True, width=80), after_seconds=0.0):
        eventually(lambda: "sending" in file.getvalue(), within=10.0, what="a bar")
    assert file.getvalue().endswith("\x1b[2K"), "the line is erased"


def test_a_bar_says_how_many_are_done() -> None:
    file = io.StringIO()
    found = batches(range(2 * BATCH), "sending", Console(file=file, force_terminal=True, width=80), 0.0)
    next(found)
    next(found)
    eventually(lambda: "50%" in file.getvalue(), within=10.0, what="half of the bar")
    assert list(found) == []


def test_what_is_soon_done_draws_nothing() -> None:
    file = io.StringIO()
    assert list(batches(range(3), "sending", Console(file=file, force_terminal=True), 3600.0))
    assert file.getvalue() == ""


def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    with bar("sending", 3, Console(file=file), after_seconds=0.0) as tell:
        tell(1)
    assert file.getvalue() == ""
