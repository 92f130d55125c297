"""Wire format of a job: writer and recogniser side by side.

In the ledger, a job is one JSON object without spaces. The order of these fields is part of the format:

    {"id":"…","endpoint":"…","attempt":N,…,"payload":{…}}

The fields before `payload` are the header. Optional fields may follow `attempt`, in any order:

    base         number of attempts before the last redelivery, which restarts the retry schedule
    orphaned     number of workers that died while they held the job
    interrupted  true if a stop interrupted the last attempt
    outcomes     results of the attempts, oldest first, at most MAX_OUTCOMES
    reason       reason of a dead letter
    source, raw  origin and first bytes of an invalid job

`attempt` is the number of the next attempt, from 1. A job has no optional fields before its first attempt.
`payload` is never parsed: the body of each attempt consists of the bytes that the processor wrote.
Scripts read the same format by position; store/lua/shared/job.lua is the counterpart of this module.

A list element is an index entry, `{"seq":N,"id":"…"}`. N is the sequence; only scripts assign it
(store/lua/shared/sequence.lua). The job itself is in the ledger.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from hookfarm.errors import InvalidInput
from hookfarm.store import keys
from hookfarm.timestamps import format_seconds

MAX_JOB_BYTES = 1024 * 1024
MAX_RAW_BYTES = 4096
"""Maximum bytes of an invalid job that its dead letter contains."""
MAX_OUTCOMES = 100
"""Maximum number of outcomes in a job; a usual schedule has fewer attempts."""
MAX_NESTING = 512
"""Maximum nesting of a payload: half of the depth at which `json` raises RecursionError."""
_PAYLOAD = b',"payload":'
_ELEMENT = re.compile(rb'\{"seq":([0-9]{1,16}),"id":"([0-9A-Za-z_.:-]{1,128})"\}')
_SEQUENCE_LIMIT = 2**53
"""Integers below this are exact as scores of a ZSET. Sequences (µs) reach it in the year 2255."""
_NO_OUTCOMES: list[object] = []
_POSITIONS = json.JSONDecoder(parse_int=lambda _: 0, parse_float=lambda _: 0.0)
"""Decoder that finds the end of a value; accepts numbers of any size."""
_BRACKET_OR_STRING = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*"')
_ID = re.compile(r"[0-9A-Za-z_.:-]{1,128}")
_MAX_TIME = 253_402_300_800
"""The year 10000, in Unix seconds."""


@dataclass(frozen=True)
class Job:
    """A job before it is enqueued; `body` is the JSON body of the webhook."""

    id: str
    endpoint: str
    body: bytes

    def encoded(self) -> bytes:
        """Return the ledger entry before the first attempt."""
        return encode({"id": self.id, "endpoint": self.endpoint, "attempt": 1}, self.body)


class ClaimedJob(NamedTuple):
    """A job that a worker has claimed; `header` contains all fields but the payload."""

    sequence: int
    id: str
    endpoint: str
    attempt: int
    header: dict[str, Any]
    body: bytes

    @property
    def attempt_since_redrive(self) -> int:
        """Number of this attempt on the retry schedule, which a redelivery restarts."""
        return self.attempt - int(self.header.get("base", 0))

    def with_outcome(self, outcome: dict[str, Any], **changes: Any) -> bytes:
        """Return the ledger entry after an attempt with `outcome`, with `changes` to the header."""
        outcomes = [*self.header.get("outcomes", []), outcome][-MAX_OUTCOMES:]
        return self.with_fields(outcomes=outcomes, **changes)

    def with_fields(self, **changes: Any) -> bytes:
        """Return the ledger entry with `changes` to the header."""
        return encode({**self.header, **changes}, self.body)


class ListElement(NamedTuple):
    """An element of the list: the index entry of a job in the ledger."""

    sequence: int
    id: str


@dataclass(frozen=True)
class ForeignElement:
    """A list element that hookfarm's scripts did not write. It becomes a job by adoption."""

    raw: bytes


def attempt_json(outcome: object) -> dict[str, Any]:
    """Return an outcome of a job as the API's attempt. Missing or invalid fields are null."""
    fields: Mapping[str, Any] = outcome if isinstance(outcome, Mapping) else {}
    at = fields.get("at")
    return {
        "at": format_seconds(at) if isinstance(at, int | float) and 0 <= at < _MAX_TIME else None,
        **{name: fields.get(name) for name in ("duration_ms", "status", "error", "detail")},
    }


def encode(header: dict[str, Any], body: bytes) -> bytes:
    """Return the ledger entry of a job."""
    return orjson.dumps(header)[:-1] + _PAYLOAD + body + b"}"


def decode_element(element: bytes) -> ListElement | ForeignElement:
    """Decode a list element. Returns a ForeignElement unless it is exactly in the scripts' format."""
    found = _ELEMENT.fullmatch(element)
    if not found or int(found[1]) >= _SEQUENCE_LIMIT:
        return ForeignElement(element)
    return ListElement(int(found[1]), found[2].decode())


def decode_job(stored: object, sequence: int = 0) -> ClaimedJob | None:
    """Decode a ledger entry, claimed under `sequence`. Returns None if it is missing or damaged."""
    if not isinstance(stored, bytes):
        return None
    # Quotes inside strings are escaped, so the first match is the field itself.
    head, _, rest = stored.partition(_PAYLOAD)
    try:
        header = orjson.loads(head + b"}")
        job = ClaimedJob(sequence, header["id"], header["endpoint"], header["attempt"], header, rest[:-1])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return job if _is_sound(job) and rest.startswith(b"{") and rest.endswith(b"}}") else None


def _is_sound(job: ClaimedJob) -> bool:
    """Return whether the fields have the types and values that later steps rely on."""
    return (
        type(job.attempt) is int
        and type(job.id) is str
        and type(job.endpoint) is str
        and job.attempt > 0
        and _ID.fullmatch(job.id) is not None
        and isinstance(job.header.get("outcomes", _NO_OUTCOMES), list)
    )


def parse_foreign(raw: bytes) -> tuple[str, str, bytes]:
    """Return id, endpoint and body of a foreign element `{"endpoint":…,"payload":{…}}` with an optional id.

    Raises InvalidInput if it has another form.
    """
    if len(raw) > MAX_JOB_BYTES:
        raise InvalidInput(keys.DELIVERY_QUEUE, f"{len(raw)} bytes; at most {MAX_JOB_BYTES} are allowed")
    try:
        record = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(keys.DELIVERY_QUEUE, f"not JSON: {error}") from error
    if not isinstance(record, dict):
        raise InvalidInput(keys.DELIVERY_QUEUE, "not a JSON object")
    endpoint, payload = record.get("endpoint"), record.get("payload")
    if not isinstance(endpoint, str) or not _ID.fullmatch(endpoint):
        raise InvalidInput("endpoint", "must be the id of an endpoint, ep_…")
    if not isinstance(payload, dict):
        raise InvalidInput("payload", "must be a JSON object")
    job_id = record.get("id", f"msg_{hashlib.sha256(raw).hexdigest()[:32]}")
    if not isinstance(job_id, str) or not _ID.fullmatch(job_id):
        raise InvalidInput("id", "must be 1 to 128 of 0-9 A-Z a-z _ . : -")
    text = raw.decode()
    if _nesting(text) > MAX_NESTING:
        raise InvalidInput("payload", f"nested too deeply; at most {MAX_NESTING} levels are allowed")
    return job_id, endpoint, _as_written(text, "payload").encode()


def _nesting(text: str) -> int:
    depth = deepest = 0
    for found in _BRACKET_OR_STRING.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        deepest = max(deepest, depth)
    return deepest


def _as_written(text: str, field: str) -> str:
    """Return the source text of a field's value in a JSON object; the last field of that name counts.

    Decoding and encoding the value would change integers, decimals, spaces and escapes. Requires the field.
    """
    found = ""
    at = _after_space(text, _after_space(text, 0) + 1)
    while text[at] != "}":
        name, at = _POSITIONS.raw_decode(text, at)
        start = _after_space(text, _after_space(text, at) + 1)
        _, end = _POSITIONS.raw_decode(text, start)
        if name == field:
            found = text[start:end]
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)
    return found


def _after_space(text: str, at: int) -> int:
    while text[at] in " \t\n\r":
        at += 1
    return at


def invalid_job(raw: bytes, reason: str, source: str) -> tuple[str, bytes]:
    """Return id and ledger entry of the dead letter of an invalid element."""
    identity = f"garbage_{hashlib.sha256(source.encode() + raw).hexdigest()[:32]}"
    shown = raw[:MAX_RAW_BYTES].decode("utf-8", "backslashreplace")
    header = {"id": identity, "endpoint": "", "attempt": 0, "reason": reason, "source": source, "raw": shown}
    return identity, encode(header, b"null")
