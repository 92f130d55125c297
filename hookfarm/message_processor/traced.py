"""The spans of what was handed off, where traces are wanted."""

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from hookfarm.delivery_queue import Handled

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans


def handed_off(spans: "Spans", done: Iterable[Handled], again: Container[bytes], read_ns: int) -> None:
    """One span for each event that somebody wants; none for the entries `again`, which are yet to be done."""
    for handled in done:
        concerned = _concerned(handled)
        if handled.log is not None and concerned and handled.entry.entry_id not in again:
            removed = bool(handled.removals)
            spans.match(handled.log.block, handled.log.log_index, removed, concerned, read_ns)


def _concerned(handled: Handled) -> int:
    """How many endpoints are told; 1 for a log that is kept only to tell of it once it is final."""
    told = len(handled.jobs) + len(handled.waiting) + len(handled.removals)
    return told or int(handled.unfinalized is not None and bool(handled.unfinalized.kept))
