"""Hop 2: the list `delivery_queue` and the ledger behind it, from the processors to the delivery processes.

BRPOP removes an element before the worker has it, so the list holds only an index entry: the job itself stays
in the ledger until it is settled. A SIGKILL between pop and settle leaves a job that is open, below the
watermark and held by nobody, which is how it is found again.

    {delivery_queue}:jobs   id -> job (JSON)            the ledger: the truth
    {delivery_queue}:open   id -> sequence              in the list, or in a worker
    {delivery_queue}:retry  id -> due ms                waiting for its next attempt
    {delivery_queue}:dead   id -> ms of death           a dead letter, with its reason in the job

Invariant: the ids of `jobs` are the disjoint union of `open`, `retry` and `dead`. Every move between them
is one script. Only scripts give out sequences and our own jobs are only ever LPUSHed, so the order of the
list is the order of sequences.

A job is `{"id":…,"endpoint":…,"attempt":…,…,"payload":{…}}` and an element of the list is the same with
`"seq":N` in front. `payload` comes last and is never parsed here: the body of every attempt is byte for byte
what the processor wrote.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import redis

from hookfarm import keys
from hookfarm.errors import InvalidInput
from hookfarm.event_stream import Entry
from hookfarm.lua import Script, forgotten
from hookfarm.redis_clients import Argument, Exchange, Reply, ResponseError, pack

BLOCK_SECONDS = 1
"""How long one BRPOP waits; a worker's heartbeat when there is nothing to do."""
FENCE_SECONDS = BLOCK_SECONDS + 2.0
"""A job that reaches its worker later than this after the BRPOP was sent may already be somebody else's."""
MAX_ORPHANED = 5
"""How many workers a job may cost before it is taken for the cause."""
HOLDER_SILENT_MILLISECONDS = 45_000
MAX_JOB_BYTES = 1024 * 1024
KEPT_GARBAGE_BYTES = 4096
_PAYLOAD = b',"payload":'
_SEQUENCE = b'{"seq":'
_SEQUENCE_LIMIT = 2**53
"""What the score of a ZSET holds exactly; reached in the year 2255."""
_NO_OUTCOMES: list[object] = []
_POSITIONS = json.JSONDecoder(parse_int=lambda _: 0, parse_float=lambda _: 0.0)
"""Tells where a value ends; its numbers, of any size, are not looked at."""
_ID = re.compile(r"[0-9A-Za-z_.:-]{1,128}")

_HAND_OFF = Script("hand_off")
_SETTLE_DELIVERED = Script("settle_delivered")
_SETTLE_FAILED = Script("settle_failed")
_GIVE_BACK = Script("give_back")
_SETTLE = (_SETTLE_DELIVERED, _SETTLE_FAILED, _GIVE_BACK)
_DELIVERED_HEAD = _SETTLE_DELIVERED.packed_head((keys.JOBS, keys.OPEN, keys.RETRY), arguments=1)
_HOLD = Script("hold")
_REQUEUE = Script("requeue")
_PROMOTE = Script("promote")
_ADOPT = Script("adopt")
_BURY = Script("bury")


@dataclass(frozen=True)
class Job:
    """One delivery as it is enqueued; `body` is the JSON that will be sent."""

    id: str
    endpoint: str
    body: bytes


@dataclass(frozen=True)
class Rejected:
    """An entry that can never become jobs, and why."""

    raw: bytes
    reason: str


@dataclass(frozen=True)
class Handled:
    """What became of one stream entry."""

    entry: Entry
    jobs: tuple[Job, ...] = ()
    rejected: Rejected | None = None


class Taken(NamedTuple):
    """One job in a worker's hands: `header` is all of it but the payload."""

    sequence: int
    id: str
    endpoint: str
    attempt: int
    header: dict[str, Any]
    body: bytes

    def after(self, outcome: dict[str, Any], **changes: Any) -> bytes:
        """The job for the ledger once this attempt has failed with `outcome`; keeps the last few."""
        outcomes = [*self.header.get("outcomes", []), outcome][-5:]
        return _encode({**self.header, "outcomes": outcomes, **changes}, self.body)


@dataclass(frozen=True)
class Foreign:
    """An element that somebody else pushed: not ours until it is adopted."""

    raw: bytes


@dataclass(slots=True)
class Settlement:
    """What to tell the ledger about the last job; kept until Redis has answered it."""

    script: Script
    packed: bytes = field(repr=False)


def hand_off(exchange: Exchange, handled: Sequence[Handled]) -> int:
    """Acknowledges the entries and enqueues what became of them, one script a chain; returns how many jobs.

    An entry that somebody else acknowledged first adds nothing.
    """
    by_chain: dict[int, list[Handled]] = {}
    for item in handled:
        by_chain.setdefault(item.entry.chain_id, []).append(item)
    enqueued = 0
    for chain_id, items in by_chain.items():
        touched = (keys.events(chain_id), keys.JOBS, keys.OPEN, keys.SEQUENCE, keys.DELIVERY_QUEUE, keys.DEAD)
        enqueued += int(_run(exchange, _HAND_OFF, touched, _hand_off_arguments(items)))
    return enqueued


def _hand_off_arguments(items: Sequence[Handled]) -> list[Argument]:
    plain = [item.entry.entry_id for item in items if not item.jobs and item.rejected is None]
    arguments: list[Argument] = [keys.PROCESSOR_GROUP, len(plain), *plain]
    for item in items:
        parts: list[Argument] = []
        for job in item.jobs:
            parts += [
                "job",
                job.id,
                _encode({"id": job.id, "endpoint": job.endpoint, "attempt": 1}, job.body),
            ]
        if item.rejected is not None:
            source = f"{keys.events(item.entry.chain_id)} {item.entry.entry_id.decode()}"
            parts += ["dead", *_garbage(item.rejected.raw, item.rejected.reason, source)]
        if parts:
            arguments += [item.entry.entry_id, len(parts) // 3, *parts]
    return arguments


def _run(exchange: Exchange, script: Script, touched: Sequence[str], arguments: Sequence[Argument]) -> Reply:
    exchange.send(script.packed(touched, arguments))
    reply = exchange.receive()
    if forgotten(reply):
        exchange.send(script.packed_load() + script.packed(touched, arguments))
        exchange.receive()
        reply = exchange.receive()
    if isinstance(reply, ResponseError):
        raise reply
    return reply


def ask(exchange: Exchange, settlement: Settlement | None, report_to: str | None = None) -> None:
    """Sends, in one write: the settlement of the last job, the report that BRPOP is being entered (an INCR of
    the counter `report_to`), BRPOP, and the question for the registry's revision.

    Redis runs the report and the BRPOP before it serves anybody else, so a counter of 50 means 50 blocked
    clients. It answers the revision after the pop, so that is at least as new as the job.
    """
    parts = [settlement.packed] if settlement else []
    if report_to:
        parts.append(pack(("INCR", report_to)))
    exchange.send(b"".join((*parts, _POP)))


_POP = pack(("BRPOP", keys.DELIVERY_QUEUE, BLOCK_SECONDS)) + pack(("GET", keys.REGISTRY_REVISION))


def answer(exchange: Exchange) -> tuple[Taken | Foreign | None, int]:
    """The job (None after a second of nothing) and the registry's revision."""
    popped, revision = exchange.receive(), exchange.receive()
    for reply in (popped, revision):
        if isinstance(reply, ResponseError):
            raise reply
    return (None if popped is None else decode(popped[1])), int(revision or 0)


def confirm(exchange: Exchange) -> bool:
    """Reads the settlement's reply; False = not done, settle again."""
    reply = exchange.receive()
    return not isinstance(reply, ResponseError)


def prepare(exchange: Exchange) -> int:
    """Teaches the server the scripts of a worker, so that no settlement has to wait for that, and returns the
    id of the connection."""
    exchange.send(pack(("CLIENT", "ID")) + b"".join(script.packed_load() for script in _SETTLE))
    client_id, *loaded = [exchange.receive() for _ in range(1 + len(_SETTLE))]
    for reply in (client_id, *loaded):
        if isinstance(reply, ResponseError):
            raise reply
    return int(client_id)


def settle_now(exchange: Exchange, settlement: Settlement) -> None:
    """Settles in a round trip of its own, teaching the server the script first."""
    exchange.send(settlement.script.packed_load() + settlement.packed)
    exchange.receive()
    reply = exchange.receive()
    if isinstance(reply, ResponseError):
        raise reply


def delivered(job_id: str) -> Settlement:
    """It is done: forget it. Idempotent."""
    argument = job_id.encode()
    return Settlement(_SETTLE_DELIVERED, b"%b$%d\r\n%b\r\n" % (_DELIVERED_HEAD, len(argument), argument))


def failed(taken: Taken, job: bytes, retry_in_seconds: float | None) -> Settlement:
    """Keeps `job` for another attempt, or as a dead letter. Nothing happens if it was requeued meanwhile."""
    wait = "" if retry_in_seconds is None else int(retry_in_seconds * 1000)
    touched = (keys.JOBS, keys.OPEN, keys.RETRY, keys.DEAD)
    return Settlement(_SETTLE_FAILED, _SETTLE_FAILED.packed(touched, (taken.id, taken.sequence, job, wait)))


def give_back(taken: Taken) -> Settlement:
    """Puts it into the list again, unattempted. Nothing happens if it was requeued meanwhile."""
    touched = (keys.JOBS, keys.OPEN, keys.SEQUENCE, keys.DELIVERY_QUEUE)
    return Settlement(_GIVE_BACK, _GIVE_BACK.packed(touched, (taken.id, taken.sequence)))


def adopt(exchange: Exchange, foreign: Foreign, again: bool = False) -> Taken | None:
    """Enters somebody else's element into the ledger; what is no job is buried with its reason (None).

    `again`: an earlier call got no answer, so that the job may be in the ledger by that call.
    """
    try:
        job_id, endpoint, body = _parse_foreign(foreign.raw)
    except InvalidInput as error:
        _bury(exchange, foreign, str(error))
        return None
    job = _encode({"id": job_id, "endpoint": endpoint, "attempt": 1}, body)
    sequence = int(_run(exchange, _ADOPT, (keys.JOBS, keys.OPEN, keys.SEQUENCE), (job_id, job)))
    if not sequence and again:
        stored, score = exchange.ask(("HGET", keys.JOBS, job_id), ("ZSCORE", keys.OPEN, job_id))
        sequence = int(float(score)) if stored == job and score else 0
    if not sequence:
        _bury(exchange, foreign, f"id: {job_id!r} is already in the queue")
        return None
    taken = decode(_SEQUENCE + b"%d," % sequence + job[1:])
    assert isinstance(taken, Taken)
    return taken


def _bury(exchange: Exchange, foreign: Foreign, reason: str) -> None:
    _run(exchange, _BURY, (keys.JOBS, keys.DEAD), _garbage(foreign.raw, reason, keys.DELIVERY_QUEUE))


def hold(client: "redis.Redis", holder: str, watermark: int, held: Sequence[int]) -> list[tuple[str, int]]:
    """Publishes what the farm `holder` has in hand and returns the orphans, (id, sequence), a batch at most.

    `watermark`: every open job with a smaller sequence had been popped, and what of it this farm's workers have
    is in `held`. A job below the smallest watermark of all farms and held by none is an orphan. A farm that
    has not said anything for 45 s is taken for dead.
    """
    arguments: list[Argument] = [holder, watermark, HOLDER_SILENT_MILLISECONDS, *held]
    found = _HOLD.call(client, (keys.HOLDERS, keys.OPEN), arguments)
    return [(job_id.decode(), int(float(score))) for job_id, score in zip(found[::2], found[1::2], strict=True)]


def holders(client: "redis.Redis") -> list[str]:
    """The farms that have published what they hold and not taken it back."""
    return [name.decode() if isinstance(name, bytes) else name for name in client.hkeys(keys.HOLDERS)]


def release(client: "redis.Redis", holder: str) -> None:
    """The farm `holder` has nothing in hand any more."""
    client.hdel(keys.HOLDERS, holder)


def requeue_orphan(client: "redis.Redis", job_id: str, sequence: int) -> bool:
    """Puts an orphan back into the list, or buries it if it has cost too many workers. False = it was settled."""
    job = client.hget(keys.JOBS, job_id)
    taken = decode(_SEQUENCE + b"0," + job[1:]) if isinstance(job, bytes) else None
    if not isinstance(taken, Taken):
        return False
    orphaned = int(taken.header.get("orphaned", 0)) + 1
    dead = orphaned > MAX_ORPHANED
    changes = {"orphaned": orphaned, **({"reason": "worker_lost"} if dead else {})}
    touched = (keys.JOBS, keys.OPEN, keys.SEQUENCE, keys.DELIVERY_QUEUE, keys.DEAD)
    changed = _encode({**taken.header, **changes}, taken.body)
    return bool(_REQUEUE.call(client, touched, (job_id, sequence, changed, "dead" if dead else "open")))


def watermark(client: "redis.Redis") -> int | None:
    """The sequence of the next job to be popped; None while that is somebody else's element."""
    with client.pipeline(transaction=True) as pipe:
        pipe.lindex(keys.DELIVERY_QUEUE, -1)
        pipe.get(keys.SEQUENCE)
        tail, last = pipe.execute()
    if tail is None:
        return int(last or 0) + 1
    taken = decode(tail)
    return taken.sequence if isinstance(taken, Taken) else None


def promote(client: "redis.Redis", most: int = 1000) -> int:
    """Puts the jobs whose retry is due back into the list; returns how many."""
    touched = (keys.RETRY, keys.JOBS, keys.OPEN, keys.SEQUENCE, keys.DELIVERY_QUEUE)
    return int(_PROMOTE.call(client, touched, (most,)))


@dataclass(frozen=True)
class Depths:
    """How many jobs are where; `queued` is the list alone, `open` that and the workers."""

    queued: int
    open: int
    retry: int
    dead: int


def depths(client: "redis.Redis") -> Depths:
    with client.pipeline(transaction=True) as pipe:
        pipe.llen(keys.DELIVERY_QUEUE)
        for key in (keys.OPEN, keys.RETRY, keys.DEAD):
            pipe.zcard(key)
        return Depths(*pipe.execute())


def _encode(header: dict[str, Any], body: bytes) -> bytes:
    return orjson.dumps(header)[:-1] + _PAYLOAD + body + b"}"


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


def _parse_foreign(raw: bytes) -> tuple[str, str, bytes]:
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
    try:
        return job_id, endpoint, _as_written(raw.decode(), "payload").encode()
    except RecursionError as error:
        raise InvalidInput("payload", "nested too deeply") from error


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


def _garbage(raw: bytes, reason: str, source: str) -> tuple[str, bytes]:
    """Id and job under which something that is no job is kept among the dead letters."""
    identity = f"garbage_{hashlib.sha256(source.encode() + raw).hexdigest()[:32]}"
    shown = raw[:KEPT_GARBAGE_BYTES].decode("utf-8", "backslashreplace")
    header = {"id": identity, "endpoint": "", "attempt": 0, "reason": reason, "source": source, "raw": shown}
    return identity, _encode(header, b"null")
