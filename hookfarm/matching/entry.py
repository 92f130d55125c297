"""A stream entry -> the Event or the Transfer it carries. Anyone may XADD, so anything may be in it.

What our own ingestor writes of logs is recognised by its text: that proves all that `parse_event` would check and
leaves nothing for it to change, in a quarter of the time. Whatever else is JSON is taken apart and checked.

A pattern knows where each value begins and ends, but a class of characters costs it 4 ns a character, some 400 of
which are hexadecimal. So it takes any characters there, and the text without its hexadecimal digits must be no
longer than what the pattern itself spells out.
"""

import re

import orjson

from hookfarm.errors import InvalidInput
from hookfarm.event_stream import Entry
from hookfarm.matching.filters import MAX_TOPICS, Log
from hookfarm.matching.payload import LAST_TIMESTAMP
from hookfarm.records import ChainEvent, Event, parse_chain_event

MAX_EVENT_BYTES = 1024 * 1024

_HEXADECIMAL = b"0123456789abcdef"
_COUNT = "(?:0|[1-9][0-9]{0,18}+)"
"""Up to 10^19, within 64 bits; the few numbers above are checked the other way."""
_SECONDS = "(?:0|[1-9][0-9]{0,10}+)"
_WORD = "0x.{64}"


def _pattern(topics: int) -> re.Pattern[str]:
    """An Event as the ingestor writes it, in this order and without spaces. Groups: chain, the Log, data."""
    listed = ",".join([f'"({_WORD})"'] * topics)
    return re.compile(
        r'{"chain_id":([1-9][0-9]{0,18}+)'
        rf',"block_number":{_COUNT},"block_hash":"{_WORD}","block_timestamp":{_SECONDS}'
        rf',"transaction_hash":"{_WORD}","transaction_index":{_COUNT},"log_index":{_COUNT}'
        rf',"address":"(0x.{{40}})","topics":\[{listed}\]'
        r',"data":"0x([^"]*+)","removed":false}'
    )


def _characters(text: bytes) -> int:
    """How many are no hexadecimal digits."""
    return len(text.translate(None, _HEXADECIMAL))


def _sample(topics: int) -> Event:
    return {
        "chain_id": 1,
        "block_number": 1,
        "block_hash": "0x",
        "block_timestamp": 1,
        "transaction_hash": "0x",
        "transaction_index": 1,
        "log_index": 1,
        "address": "0x",
        "topics": ["0x"] * topics,
        "data": "0x",
        "removed": False,
    }


_PATTERNS = {_characters(orjson.dumps(_sample(topics))): _pattern(topics) for topics in range(MAX_TOPICS + 1)}
"""By what `_characters` says of an event."""


def canonical_log(entry: Entry) -> Log | None:
    """The log of an event in the ingestor's own words; None for every other entry, right or wrong."""
    raw = entry.event
    if raw is None or len(raw) > MAX_EVENT_BYTES:
        return None
    pattern = _PATTERNS.get(_characters(raw))
    found = None if pattern is None else pattern.fullmatch(raw.decode("latin-1"))
    if found is None:
        return None
    groups = found.groups()
    if int(groups[0]) != entry.chain_id or len(groups[-1]) % 2:
        return None
    return groups[1:-1]


def read_event(entry: Entry) -> ChainEvent:
    """What an entry tells of, checked; InvalidInput says in one line why it is none."""
    if entry.event is not None and canonical_log(entry) is not None:
        event: Event = orjson.loads(entry.event)
        return event
    return _checked(entry)


def _checked(entry: Entry) -> ChainEvent:
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
