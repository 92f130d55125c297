"""A job in its three forms: as it is enqueued, in the list, and in a worker's hands.

In the ledger it is `{"id":…,"endpoint":…,"attempt":…,…,"payload":{…}}`, and an element of the list is the same
with `"seq":N` in front. `payload` comes last and is never parsed here: the body of every attempt is byte for
byte what the processor wrote.
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
KEPT_GARBAGE_BYTES = 4096
KEPT_OUTCOMES = 100
"""Attempts that a job remembers: all of them, on any sensible schedule."""
MAX_NESTING = 512
"""Half of what the standard library's decoder follows before it raises RecursionError."""
_PAYLOAD = b',"payload":'
_SEQUENCE = b'{"seq":'
_SEQUENCE_LIMIT = 2**53
"""What the score of a ZSET holds exactly; reached in the year 2255."""
_NO_OUTCOMES: list[object] = []
_POSITIONS = json.JSONDecoder(parse_int=lambda _: 0, parse_float=lambda _: 0.0)
"""Tells where a value ends; its numbers, of any size, are not looked at."""
_BRACKET_OR_STRING = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*"')
_ID = re.compile(r"[0-9A-Za-z_.:-]{1,128}")


@dataclass(frozen=True)
class Job:
    """One delivery as it is enqueued; `body` is the JSON that will be sent."""

    id: str
    endpoint: str
    body: bytes

    def encoded(self) -> bytes:
        """As the ledger has it before its first attempt; scripts rely on the order of these fields."""
        return encode({"id": self.id, "endpoint": self.endpoint, "attempt": 1}, self.body)


class Taken(NamedTuple):
    """One job in a worker's hands: `header` is all of it but the payload."""

    sequence: int
    id: str
    endpoint: str
    attempt: int
    header: dict[str, Any]
    body: bytes

    @property
    def attempt_since_redrive(self) -> int:
        """The number of this attempt on the retry schedule, which begins anew when somebody sends it again."""
        return self.attempt - int(self.header.get("base", 0))

    def after(self, outcome: dict[str, Any], **changes: Any) -> bytes:
        """The job for the ledger once this attempt has failed with `outcome`."""
        outcomes = [*self.header.get("outcomes", []), outcome][-KEPT_OUTCOMES:]
        return encode({**self.header, "outcomes": outcomes, **changes}, self.body)


@dataclass(frozen=True)
class Foreign:
    """An element that somebody else pushed: not ours until it is adopted."""

    raw: bytes


def attempt_json(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return an attempt that a job remembers in the form of the API; fields that it lacks are null."""
    return {
        "at": format_seconds(outcome["at"]),
        **{name: outcome.get(name) for name in ("duration_ms", "status", "error", "detail")},
    }


def encode(header: dict[str, Any], body: bytes) -> bytes:
    return orjson.dumps(header)[:-1] + _PAYLOAD + body + b"}"


def numbered(sequence: int, job: bytes) -> bytes:
    """A job of the ledger as the element of the list that it is under `sequence`; as the scripts do it."""
    return _SEQUENCE + b"%d," % sequence + job[1:]


def decode(element: bytes) -> Taken | Foreign:
    """An element of the list: ours, or somebody else's, however much it looks like ours."""
    if not element.startswith(_SEQUENCE):
        return Foreign(element)
    # A string's quotes are escaped, so the first match is the field and nothing inside a value.
    head, _, rest = element.partition(_PAYLOAD)
    try:
        header = orjson.loads(head + b"}")
        sequence = header.pop("seq")
        taken = Taken(sequence, header["id"], header["endpoint"], header["attempt"], header, rest[:-1])
    except (orjson.JSONDecodeError, KeyError):
        return Foreign(element)
    return taken if _is_sound(taken) and rest.startswith(b"{") and rest.endswith(b"}}") else Foreign(element)


def _is_sound(taken: Taken) -> bool:
    """Whether the fields are such as the scripts write; what is done with them relies on that."""
    return (
        type(taken.sequence) is int
        and type(taken.attempt) is int
        and type(taken.id) is str
        and type(taken.endpoint) is str
        and 0 <= taken.sequence < _SEQUENCE_LIMIT
        and taken.attempt > 0
        and _ID.fullmatch(taken.id) is not None
        and isinstance(taken.header.get("outcomes", _NO_OUTCOMES), list)
    )


def parse_foreign(raw: bytes) -> tuple[str, str, bytes]:
    """Id, endpoint and body of an element `{"endpoint":…,"payload":{…}}` with an optional id."""
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
    """The text of a field's value in `text`, which is a JSON object and has the field; the last one counts.

    A value that is decoded and encoded again comes out different: integers, decimals, spaces, escapes.
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


def garbage(raw: bytes, reason: str, source: str) -> tuple[str, bytes]:
    """Id and job under which something that is no job is kept among the dead letters."""
    identity = f"garbage_{hashlib.sha256(source.encode() + raw).hexdigest()[:32]}"
    shown = raw[:KEPT_GARBAGE_BYTES].decode("utf-8", "backslashreplace")
    header = {"id": identity, "endpoint": "", "attempt": 0, "reason": reason, "source": source, "raw": shown}
    return identity, encode(header, b"null")
