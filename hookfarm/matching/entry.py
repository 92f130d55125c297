"""Stream entry -> event. Anyone may XADD, so an entry may contain anything."""

import orjson

from hookfarm.errors import InvalidInput
from hookfarm.event_stream import StreamEntry
from hookfarm.event_stream.event_json import MAX_EVENT_BYTES, recognise_log
from hookfarm.matching.payload import MAX_TIMESTAMP
from hookfarm.records import ChainEvent, Event, parse_chain_event


def read_event(entry: StreamEntry) -> ChainEvent:
    """Return an entry's event. Raises InvalidInput with a one-line reason."""
    if entry.event is not None and recognise_log(entry.chain_id, entry.event) is not None:
        return load_recognised_log(entry.event)
    return parse_entry(entry)


def load_recognised_log(raw: bytes) -> Event:
    """Parse a log that `recognise_log` has accepted, without further checks."""
    event: Event = orjson.loads(raw)
    return event


def parse_entry(entry: StreamEntry) -> ChainEvent:
    """Parse and check any entry. Raises InvalidInput with a one-line reason."""
    if entry.event is None:
        raise InvalidInput("event", "missing in the entry; must be an Event as JSON")
    if len(entry.event) > MAX_EVENT_BYTES:
        raise InvalidInput("event", f"{len(entry.event)} bytes; at most {MAX_EVENT_BYTES} are allowed")
    event = _parse(entry.event)
    if event["chain_id"] != entry.chain_id:
        raise InvalidInput("chain_id", f"{event['chain_id']} is not the stream's chain {entry.chain_id}")
    if event["block_timestamp"] > MAX_TIMESTAMP:
        problem = f"{event['block_timestamp']} is beyond the year 9999; it must be in seconds"
        raise InvalidInput("block_timestamp", problem)
    return event


def _parse(raw: bytes) -> ChainEvent:
    try:
        return parse_chain_event(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        raise InvalidInput("event", f"is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidInput("event", "is nested too deeply") from error
