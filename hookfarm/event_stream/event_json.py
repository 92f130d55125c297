"""JSON of an event in the stream, with writer and recogniser. Defines the order of the fields.

    {"chain_id":1,"block_number":…,"block_hash":"0x…","block_timestamp":…,"transaction_hash":"0x…",
     "transaction_index":…,"log_index":…,"address":"0x…","topics":["0x…"],"data":"0x…","removed":false}

This is the order of `records.Event` (of `records.Transfer` for a transfer), without spaces, in lower-case
hexadecimal. `chain.block` and `records.parse_chain_event` build records in this order, so encoding keeps it. A
webhook's `data` begins with the same fields in the same order. `matching.payload` writes them after

    {"type":"log.emitted","timestamp":"…",["original":"…",]"data":

and `parse_body_origin` recognises them there.

The recogniser accepts exactly the writer's output for a log. A match proves all checks of `parse_event` in a
quarter of the time, and the values need no normalisation.

Matching a character class takes 4 ns a character, and an event has some 400 hexadecimal ones. So the pattern
accepts any characters in these positions. A second check counts the characters that are not hexadecimal digits:
the text must have exactly as many as the pattern's literals.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import orjson

from hookfarm.errors import InvalidInput
from hookfarm.event_stream.read import StreamEntry
from hookfarm.records import ChainEvent, Event, parse_chain_event
from hookfarm.records.events import MAX_TIMESTAMP, MAX_TOPICS

MAX_EVENT_BYTES = 1024 * 1024

_HEXADECIMAL = b"0123456789abcdef"
_COUNT = "(?:0|[1-9][0-9]{0,18}+)"
"""Up to 10^19, within 64 bits; the few larger numbers use the slow parser."""
_SECONDS = "(?:0|[1-9][0-9]{0,10}+)"
_WORD = "0x.{64}"


def encode_events(events: Iterable[ChainEvent]) -> tuple[bytes, ...]:
    """Encode events or transfers as they are published."""
    return tuple(map(orjson.dumps, events))


def _pattern(topics: int) -> re.Pattern[str]:
    """Return the pattern of an event with this number of topics. Groups: chain id, address, topics, data."""
    listed = ",".join([f'"({_WORD})"'] * topics)
    return re.compile(
        r'{"chain_id":([1-9][0-9]{0,18}+)'
        rf',"block_number":{_COUNT},"block_hash":"{_WORD}","block_timestamp":{_SECONDS}'
        rf',"transaction_hash":"{_WORD}","transaction_index":{_COUNT},"log_index":{_COUNT}'
        rf',"address":"(0x.{{40}})","topics":\[{listed}\]'
        r',"data":"0x([^"]*+)","removed":false}'
    )


def _other_characters(text: bytes) -> int:
    """Return the number of characters that are not hexadecimal digits."""
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


_PATTERNS = {
    _other_characters(orjson.dumps(_sample(topics))): _pattern(topics) for topics in range(MAX_TOPICS + 1)
}
"""Patterns by the number of `_other_characters` of an event."""


def recognise_log(chain_id: int, raw: bytes) -> tuple[str, ...] | None:
    """Return address and topics if `raw` is a log of this chain, exactly as `encode_events` writes it.

    Returns None for all other input, valid or not.
    """
    if len(raw) > MAX_EVENT_BYTES:
        return None
    pattern = _PATTERNS.get(_other_characters(raw))
    found = None if pattern is None else pattern.fullmatch(raw.decode("latin-1"))
    if found is None:
        return None
    groups = found.groups()
    if int(groups[0]) != chain_id or len(groups[-1]) % 2:
        return None
    return groups[1:-1]


_BODY = re.compile(
    rb'\{"type":"(?:log|transfer)\.(emitted|removed|finalized)","timestamp":"[^"]{1,40}",'
    rb'(?:"original":(?:null|"[^"]{1,128}"),)?"data":\{(?:"kind":"(transfer)",)?'
    rb'"chain_id":"?([0-9]{1,20})"?,"block_number":"?[0-9]{1,20}"?,"block_hash":"(0x[0-9a-f]{64})",'
    rb'"block_timestamp":"?[0-9]{1,20}"?,"transaction_hash":"0x[0-9a-f]{64}","transaction_index":"?([0-9]{1,20})"?'
    rb'(?:,"log_index":"?([0-9]{1,20})"?)?'
)
"""Prefix of a webhook body about a log or a transfer."""


class BodyOrigin(NamedTuple):
    """The event of a webhook.

    `block` is `<chain>:<block hash>`. `position` is a log's index in it, or `t` and a transaction's index for a
    transfer.
    """

    block: str
    position: str
    is_removal: bool


def parse_body_origin(body: bytes) -> BodyOrigin | None:
    """Parse the origin of a webhook. Returns None for a body about anything but a log or a transfer."""
    found = _BODY.match(body)
    if found is None:
        return None
    kind, transfer, chain_id, block_hash, transaction, log = found.groups()
    if (transfer is None) != (log is not None):
        return None
    position = f"t{transaction.decode()}" if log is None else log.decode()
    return BodyOrigin(f"{chain_id.decode()}:{block_hash.decode()}", position, kind == b"removed")


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
