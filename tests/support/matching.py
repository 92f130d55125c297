"""Stream entries processed one by one, an unwanted one like any other."""

from hookfarm.delivery_queue import EntryResult
from hookfarm.event_stream import StreamEntry
from hookfarm.matching.index import Index
from hookfarm.matching.notifications import process_entry


def process(index: Index, entry: StreamEntry, history: str = "") -> EntryResult:
    """Return the entry's result, an empty one if no endpoint wants its event."""
    return process_entry(index, entry, history) or EntryResult(entry)
