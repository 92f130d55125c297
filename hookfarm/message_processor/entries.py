"""A stream entry -> the Event or the Transfer it carries. Anyone may XADD, so anything may be in it."""

import orjson

from hookfarm.errors import InvalidInput
from hookfarm.event_stream import Entry
from hookfarm.message_processor.payload import LAST_TIMESTAMP
from hookfarm.records import ChainEvent, parse_chain_event

MAX_EVENT_BYTES = 1024 * 1024


def read_event(entry: Entry) -> ChainEvent:
    """What an entry tells of, checked; InvalidInput says in one line why it is none."""
    if entry.event is None:
        raise InvalidInput("event", "the entry has no such field")
    if len(entry.event) > MAX_EVENT_BYTES:
        raise InvalidInput("event", f"{len(entry.event)} bytes; at most {MAX_EVENT_BYTES} are allowed")
    event = _parsed(entry.event)
    if event["chain_id"] != entry.chain_id:
        raise InvalidInput("chain_id", f"{event['chain_id']} in the stream of chain {entry.chain_id}")
    if event["block_timestamp"] > LAST_TIMESTAMP:
        problem = f"{event['block_timestamp']} is beyond the year 9999; it must be in seconds"
        raise InvalidInput("block_timestamp", problem)
    return event


def _parsed(raw: bytes) -> ChainEvent:
    try:
        return parse_chain_event(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        raise InvalidInput("event", f"is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidInput("event", "is nested too deeply") from error
