"""The spans of enqueued stream entries."""

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from hookfarm.delivery_queue import EntryResult

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans


def record_matches(
    spans: "Spans", results: Iterable[EntryResult], skipped: Container[bytes], read_ns: int
) -> None:
    """Record one span for each event that an endpoint wants; none for the ids `skipped`, not enqueued yet."""
    for result in results:
        endpoints = _endpoints(result)
        if result.history is not None and endpoints and result.entry.entry_id not in skipped:
            is_removal = bool(result.retractions)
            spans.match(result.history.block, result.history.position, is_removal, endpoints, read_ns)


def _endpoints(result: EntryResult) -> int:
    """Return how many endpoints are notified; 1 for a log that is stored only for its finality."""
    notified = len(result.jobs) + len(result.unconfirmed) + len(result.retractions)
    return notified or int(result.awaits_finality is not None and bool(result.awaits_finality.stored))
