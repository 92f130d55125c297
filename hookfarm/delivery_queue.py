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
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import redis

from hookfarm import keys
from hookfarm.errors import InvalidInput
from hookfarm.event_stream import Entry
from hookfarm.jobs import Foreign, Job, Taken, decode, encode, garbage, numbered, parse_foreign
from hookfarm.lua import Script, forgotten
from hookfarm.redis_clients import Argument, Exchange, Reply, ResponseError, pack

BLOCK_SECONDS = 1
"""How long one BRPOP waits; a worker's heartbeat when there is nothing to do."""
FENCE_SECONDS = BLOCK_SECONDS + 2.0
"""A job that reaches its worker later than this after the BRPOP was sent may already be somebody else's."""
MAX_ORPHANED = 5
"""How many workers a job may cost before it is taken for the cause."""
HOLDER_SILENT_MILLISECONDS = 45_000

_HAND_OFF = Script("hand_off")
_SETTLE_DELIVERED = Script("settle_delivered")
_SETTLE_FAILED = Script("settle_failed")
_GIVE_BACK = Script("give_back")
_SETTLE = (_SETTLE_DELIVERED, _SETTLE_FAILED, _GIVE_BACK)
_DELIVERED_HEAD = _SETTLE_DELIVERED.packed_head((keys.JOBS, keys.OPEN, keys.RETRY, keys.DEAD), arguments=1)
_HOLD = Script("hold")
_REQUEUE = Script("requeue")
_PROMOTE = Script("promote")
_ADOPT = Script("adopt")
_BURY = Script("bury")


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
                encode({"id": job.id, "endpoint": job.endpoint, "attempt": 1}, job.body),
            ]
        if item.rejected is not None:
            source = f"{keys.events(item.entry.chain_id)} {item.entry.entry_id.decode()}"
            parts += ["dead", *garbage(item.rejected.raw, item.rejected.reason, source)]
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
        job_id, endpoint, body = parse_foreign(foreign.raw)
    except InvalidInput as error:
        _bury(exchange, foreign, str(error))
        return None
    job = encode({"id": job_id, "endpoint": endpoint, "attempt": 1}, body)
    sequence = int(_run(exchange, _ADOPT, (keys.JOBS, keys.OPEN, keys.SEQUENCE), (job_id, job)))
    if not sequence and again:
        stored, score = exchange.ask(("HGET", keys.JOBS, job_id), ("ZSCORE", keys.OPEN, job_id))
        sequence = int(float(score)) if stored == job and score else 0
    if not sequence:
        _bury(exchange, foreign, f"id: {job_id!r} is already in the queue")
        return None
    taken = decode(numbered(sequence, job))
    assert isinstance(taken, Taken)
    return taken


def _bury(exchange: Exchange, foreign: Foreign, reason: str) -> None:
    _run(exchange, _BURY, (keys.JOBS, keys.DEAD), garbage(foreign.raw, reason, keys.DELIVERY_QUEUE))


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
    taken = decode(numbered(0, job)) if isinstance(job, bytes) else None
    if not isinstance(taken, Taken):
        return False
    orphaned = int(taken.header.get("orphaned", 0)) + 1
    dead = orphaned > MAX_ORPHANED
    changes = {"orphaned": orphaned, **({"reason": "worker_lost"} if dead else {})}
    touched = (keys.JOBS, keys.OPEN, keys.SEQUENCE, keys.DELIVERY_QUEUE, keys.DEAD)
    changed = encode({**taken.header, **changes}, taken.body)
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
