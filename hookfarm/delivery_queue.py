"""Hop 2: the list `delivery_queue` and the ledger behind it, from the processors to the delivery processes.

BRPOP removes an element before the worker has it, so the list holds only an index entry: the job itself stays
in the ledger until it is settled. A SIGKILL between pop and settle leaves a job that is open, below the
watermark and held by nobody, which is how it is found again.

    {delivery_queue}:jobs           id -> job (JSON)      the ledger: the truth
    {delivery_queue}:open           id -> sequence        in the list, or in a worker
    {delivery_queue}:retry          id -> due ms          waiting for its next attempt
    {delivery_queue}:parked:<ep>    id -> place           over its endpoint's window, or the endpoint is paused
    {delivery_queue}:dead           id -> ms of death     a dead letter, with its reason in the job

Invariant: the ids of `jobs` are the disjoint union of `open`, `retry`, every `parked` and `dead`. Every move
between them is one script. Only scripts give out sequences and our own jobs are only ever LPUSHed, so the order
of the list is the order of sequences. How windows work is told in scripts/shared/ledger.lua.

What was delivered leaves the ledger for the delivery log (delivery_log.py), in the same script.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import orjson
import redis

from hookfarm import keys
from hookfarm.errors import InvalidInput
from hookfarm.event_stream import Entry
from hookfarm.jobs import Foreign, Job, Taken, decode, encode, garbage, numbered, parse_foreign
from hookfarm.lua import Script, forgotten
from hookfarm.redis_clients import Argument, Exchange, Reply, ResponseError, pack, whole_number

BLOCK_SECONDS = 1
"""How long one BRPOP waits; a worker's heartbeat when there is nothing to do."""
FENCE_SECONDS = BLOCK_SECONDS + 2.0
"""A job that reaches its worker later than this after the BRPOP was sent may already be somebody else's."""
SAFE_CONFIRMATIONS, FINALIZED_CONFIRMATIONS = 32, 64
"""What stands for `safe` and `finalized` on a chain whose nodes don't tell: one and two epochs of Ethereum."""
MAX_ORPHANED = 5
"""How many workers a job may cost before it is taken for the cause."""
HOLDER_SILENT_MILLISECONDS = 45_000
_FOREVER_SECONDS = 100 * 365 * 86_400.0

GIVE_UP = 2
"""The answer to a settlement whose endpoint has done nothing but fail for too long."""

_HAND_OFF = Script("hand_off", "ledger")
_CONFIRM = Script("confirm", "ledger")
_SETTLE_DELIVERED = Script("settle_delivered", "ledger", "log")
_SETTLE_FAILED = Script("settle_failed", "ledger", "log")
_GIVE_BACK = Script("give_back", "ledger")
_PARK = Script("park", "ledger")
_SETTLE = (_SETTLE_DELIVERED, _SETTLE_FAILED, _GIVE_BACK, _PARK)
_HOLD = Script("hold")
_REQUEUE = Script("requeue", "ledger")
_PROMOTE = Script("promote", "ledger")
_ADOPT = Script("adopt", "ledger")
_BURY = Script("bury", "ledger")
_ADOPTED_NOT, _ADOPTED_PARKED = 0, -1


@dataclass(frozen=True)
class Rejected:
    """An entry that can never become jobs, and why."""

    raw: bytes
    reason: str


class Waiting(NamedTuple):
    """A job that waits until `block` is reached on one of a chain's lines: `blocks`, `safe` or `finalized`."""

    job: Job
    line: str
    block: int


class Removal(NamedTuple):
    """A job that takes back the delivery `original`, should that have been sent."""

    job: Job
    original: str


class LogState(NamedTuple):
    """What was told of one log, as its processor writes it: `before` is compared, `after` kept ('' = no change).

    `block` is `<chain>:<block hash>`.
    """

    block: str
    log_index: int
    before: str
    after: str


@dataclass(frozen=True)
class Handled:
    """What became of one stream entry."""

    entry: Entry
    jobs: tuple[Job, ...] = ()
    rejected: Rejected | None = None
    waiting: tuple[Waiting, ...] = ()
    removals: tuple[Removal, ...] = ()
    log: LogState | None = None

    @property
    def is_nothing(self) -> bool:
        return not (self.jobs or self.rejected or self.waiting or self.removals or self.log)


@dataclass(frozen=True)
class HandedOff:
    """`enqueued`: how many jobs. `told`: entry -> what was told of its log before, where that was not what the
    caller thought; such an entry is still the caller's to handle."""

    enqueued: int
    told: dict[bytes, str]


class Attempt(NamedTuple):
    """One POST as the log keeps it: its number, an HTTP status or the word for an error, and ms it took.

    `outcome` is the same with everything else that is known of it.
    """

    number: int
    status: int | str
    took_ms: int
    outcome: dict[str, Any]


class Verdict(StrEnum):
    """What an attempt that failed says of its endpoint."""

    FAILED = "failed"
    """It is in trouble: no answer, a 5xx, a 429."""
    ANSWERED = "answered"
    """It works, and did not want this one."""
    NONE = "none"
    """Nothing: it was not asked."""


@dataclass(slots=True)
class Settlement:
    """What to tell the ledger about the last job; kept until Redis has answered it."""

    script: Script
    packed: bytes = field(repr=False)
    endpoint: str = ""


def hand_off(exchange: Exchange, handled: Sequence[Handled]) -> HandedOff:
    """Acknowledges the entries and enqueues what became of them, one script a chain.

    An entry that somebody else acknowledged first adds nothing.
    """
    by_chain: dict[int, list[Handled]] = {}
    for item in handled:
        by_chain.setdefault(item.entry.chain_id, []).append(item)
    enqueued, told = 0, {}
    for chain_id, items in by_chain.items():
        count, *differing = _run(exchange, _HAND_OFF, (keys.events(chain_id),), _hand_off_arguments(items))
        enqueued += int(count)
        told.update({entry: before.decode() for entry, before in zip(*[iter(differing)] * 2, strict=True)})
    return HandedOff(enqueued, told)


def _hand_off_arguments(items: Sequence[Handled]) -> list[Argument]:
    plain = [item.entry.entry_id for item in items if item.is_nothing]
    arguments: list[Argument] = [keys.PROCESSOR_GROUP, len(plain), *plain]
    for item in items:
        if item.is_nothing:
            continue
        parts = _parts(item)
        log = item.log or LogState("", 0, "", "")
        arguments += [item.entry.entry_id, *log, len(parts) // 5, *parts]
    return arguments


def _parts(item: Handled) -> list[Argument]:
    """Kind, endpoint, id, job and something more for each thing that became of an entry."""
    parts: list[Argument] = []
    for job in item.jobs:
        parts += ["job", job.endpoint, job.id, job.encoded(), ""]
    for job, line, block in item.waiting:
        parts += ["wait", job.endpoint, job.id, job.encoded(), f"{item.entry.chain_id}:{line} {block}"]
    for job, original in item.removals:
        parts += ["removed", job.endpoint, job.id, job.encoded(), original]
    if item.rejected is not None:
        source = f"{keys.events(item.entry.chain_id)} {item.entry.entry_id.decode()}"
        parts += ["dead", "", *garbage(item.rejected.raw, item.rejected.reason, source), ""]
    return parts


def confirm_waiting(exchange: Exchange, chain_id: int, most: int = 1000) -> int:
    """Enqueues the jobs whose confirmations are there; returns how many."""
    chain = (keys.events(chain_id), keys.heads(chain_id), keys.marks(chain_id), keys.reached(chain_id))
    return int(_run(exchange, _CONFIRM, chain, (chain_id, most, SAFE_CONFIRMATIONS, FINALIZED_CONFIRMATIONS)))


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
    if isinstance(popped, ResponseError):
        raise popped
    return (None if popped is None else decode(popped[1])), _known_revision(revision)


def _known_revision(reply: Reply) -> int:
    """0 where somebody else has written there, which the processors say: the job has been popped all the same."""
    try:
        return whole_number(keys.REGISTRY_REVISION, reply)
    except ResponseError:
        return 0


def confirm(exchange: Exchange) -> int | None:
    """Reads the settlement's answer; None = not done, settle again."""
    reply = exchange.receive()
    return None if isinstance(reply, ResponseError) else int(reply)


def prepare(exchange: Exchange) -> int:
    """Teaches the server the scripts of a worker, so that no settlement has to wait for that, and returns the
    id of the connection."""
    exchange.send(pack(("CLIENT", "ID")) + b"".join(script.packed_load() for script in _SETTLE))
    client_id, *loaded = [exchange.receive() for _ in range(1 + len(_SETTLE))]
    for reply in (client_id, *loaded):
        if isinstance(reply, ResponseError):
            raise reply
    return int(client_id)


def settle_now(exchange: Exchange, settlement: Settlement) -> int:
    """Settles in a round trip of its own, teaching the server the script first; returns the answer."""
    exchange.send(settlement.script.packed_load() + settlement.packed)
    exchange.receive()
    reply = exchange.receive()
    if isinstance(reply, ResponseError):
        raise reply
    return int(reply)


def delivered(taken: Taken, attempt: Attempt, keep: int) -> Settlement:
    """It is done: out of the ledger and into the log, which keeps `keep` attempts an endpoint. Idempotent."""
    outcome = orjson.dumps(attempt.outcome)
    arguments = (taken.id, taken.endpoint, keep, outcome, attempt.number, attempt.status, attempt.took_ms)
    return Settlement(_SETTLE_DELIVERED, _SETTLE_DELIVERED.packed((), arguments), taken.endpoint)


def failed(
    taken: Taken,
    job: bytes,
    retry_in_seconds: float | None,
    verdict: Verdict = Verdict.FAILED,
    attempt: Attempt | None = None,
    keep: int = 0,
    give_up_seconds: float = math.inf,
) -> Settlement:
    """Keeps `job` for another attempt, or as a dead letter. Nothing happens if it was requeued meanwhile.

    The answer is GIVE_UP where the endpoint has only failed for `give_up_seconds`.
    """
    wait = "" if retry_in_seconds is None else int(retry_in_seconds * 1000)
    give_up = int(min(give_up_seconds, _FOREVER_SECONDS) * 1000)
    logged = (keep, attempt.number, attempt.status, attempt.took_ms) if attempt else (0, 0, "", 0)
    arguments = (taken.id, taken.sequence, taken.endpoint, job, wait, verdict.value, give_up, *logged)
    return Settlement(_SETTLE_FAILED, _SETTLE_FAILED.packed((), arguments), taken.endpoint)


def give_back(taken: Taken, interrupted: bool = False) -> Settlement:
    """Puts it into the list again, unattempted, or `interrupted` in its attempt.

    Nothing happens if it was requeued meanwhile.
    """
    changed = (encode({**taken.header, "interrupted": True}, taken.body),) if interrupted else ()
    arguments = (taken.id, taken.sequence, *changed)
    return Settlement(_GIVE_BACK, _GIVE_BACK.packed((), arguments), taken.endpoint)


def park(taken: Taken) -> Settlement:
    """Keeps it, unattempted, until its endpoint is enabled. Nothing happens if it was requeued meanwhile."""
    return Settlement(_PARK, _PARK.packed((), (taken.id, taken.sequence, taken.endpoint)), taken.endpoint)


def adopt(exchange: Exchange, foreign: Foreign, again: bool = False) -> Taken | None:
    """Enters somebody else's element into the ledger.

    None: its endpoint's window is full, and it is parked; or it is no job, and buried with its reason.
    `again`: an earlier call got no answer, so that the job may be in the ledger by that call.
    """
    try:
        job_id, endpoint, body = parse_foreign(foreign.raw)
    except InvalidInput as error:
        _bury(exchange, foreign, str(error))
        return None
    job = Job(job_id, endpoint, body).encoded()
    sequence = int(_run(exchange, _ADOPT, (), (job_id, job, endpoint)))
    if sequence == _ADOPTED_NOT and again:
        sequence = _adopted_before(exchange, job_id, endpoint, job)
    if sequence == _ADOPTED_NOT:
        _bury(exchange, foreign, f"id: {job_id!r} is already in the queue")
    if sequence in (_ADOPTED_NOT, _ADOPTED_PARKED):
        return None
    taken = decode(numbered(sequence, job))
    assert isinstance(taken, Taken)
    return taken


def _adopted_before(exchange: Exchange, job_id: str, endpoint: str, job: bytes) -> int:
    """What an earlier adoption of the same job, whose answer was lost, must have answered."""
    stored, sequence, place = exchange.ask(
        ("HGET", keys.JOBS, job_id), ("ZSCORE", keys.OPEN, job_id), ("ZSCORE", keys.PARKED + endpoint, job_id)
    )
    if stored != job:
        return _ADOPTED_NOT
    return int(float(sequence)) if sequence else _ADOPTED_PARKED if place else _ADOPTED_NOT


def _bury(exchange: Exchange, foreign: Foreign, reason: str) -> None:
    _run(exchange, _BURY, (), garbage(foreign.raw, reason, keys.DELIVERY_QUEUE))


def hold(
    client: "redis.Redis", holder: str, watermark: int, held: Sequence[int], workers: int
) -> list[tuple[str, int]]:
    """Publishes what the farm `holder` and its `workers` have in hand.

    Returns the orphans, (id, sequence), a batch at most.

    `watermark`: every open job with a smaller sequence had been popped, and what of it this farm's workers have
    is in `held`. A job below the smallest watermark of all farms and held by none is an orphan. A farm that
    has not said anything for 45 s is taken for dead.
    """
    arguments: list[Argument] = [holder, watermark, workers, HOLDER_SILENT_MILLISECONDS, *held]
    found = _HOLD.call(client, (), arguments)
    return [
        (job_id.decode("utf-8", "backslashreplace"), int(float(score)))
        for job_id, score in zip(found[::2], found[1::2], strict=True)
    ]


def holders(client: "redis.Redis") -> list[str]:
    """The farms that have published what they hold and not taken it back."""
    return [name.decode() if isinstance(name, bytes) else name for name in client.hkeys(keys.HOLDERS)]


def release(client: "redis.Redis", holder: str) -> None:
    """The farm `holder` has nothing in hand any more."""
    client.hdel(keys.HOLDERS, holder)


def requeue_orphan(client: "redis.Redis", job_id: str, sequence: int) -> bool:
    """Puts an orphan back into the list, or buries it if it has cost too many workers. False = it was settled."""
    arguments = _orphaned(client.hget(keys.JOBS, job_id), job_id, sequence)
    return bool(arguments and _REQUEUE.call(client, (), arguments))


def requeue_held(exchange: Exchange, sequence: int) -> list[str]:
    """As `requeue_orphan`, for what a worker that is known to be dead held under `sequence`: the ids of it."""
    [found] = exchange.ask(("ZRANGEBYSCORE", keys.OPEN, sequence, sequence))
    if isinstance(found, ResponseError):
        raise found
    requeued: list[str] = []
    for name in found:
        job_id = name.decode("utf-8", "backslashreplace")
        [job] = exchange.ask(("HGET", keys.JOBS, job_id))
        arguments = _orphaned(job, job_id, sequence)
        if arguments and _run(exchange, _REQUEUE, (), arguments):
            requeued.append(job_id)
    return requeued


def _orphaned(job: object, job_id: str, sequence: int) -> tuple[Argument, ...] | None:
    """What `requeue` is told: the job with one more worker to its account. None where there is no such job."""
    taken = decode(numbered(0, job)) if isinstance(job, bytes) else None
    if not isinstance(taken, Taken):
        return None
    counted = taken.header.get("orphaned", 0)
    orphaned = (counted if isinstance(counted, int) else 0) + 1
    dead = orphaned > MAX_ORPHANED
    changes = {"orphaned": orphaned, **({"reason": "worker_lost"} if dead else {})}
    changed = encode({**taken.header, **changes}, taken.body)
    return job_id, sequence, changed, "dead" if dead else "open", taken.endpoint


def watermark(client: "redis.Redis") -> int | None:
    """The sequence of the next job to be popped; None while that is somebody else's element.

    So is one with a sequence that was never given out, however much it looks like ours: everything in the list
    would be taken for popped.
    """
    with client.pipeline(transaction=True) as pipe:
        pipe.lindex(keys.DELIVERY_QUEUE, -1)
        pipe.get(keys.SEQUENCE)
        tail, last = pipe.execute()
    newest = whole_number(keys.SEQUENCE, last)
    if tail is None:
        return newest + 1
    taken = decode(tail)
    return taken.sequence if isinstance(taken, Taken) and taken.sequence <= newest else None


def promote(client: "redis.Redis", most: int = 1000) -> int:
    """Puts the jobs whose retry is due back into the list, or parks them where the window is full.

    Returns how many left `retry`.

    Windows that wait for their time, a circuit's next probe or a rate, are looked at too.
    """
    return int(_PROMOTE.call(client, (), (most,)))


@dataclass(frozen=True)
class Depths:
    """How many jobs are where; `queued` is the list alone, `open` that and the workers."""

    queued: int
    open: int
    parked: int
    retry: int
    dead: int


def depths(client: "redis.Redis") -> Depths:
    with client.pipeline(transaction=True) as pipe:
        pipe.llen(keys.DELIVERY_QUEUE)
        pipe.hlen(keys.JOBS)
        for key in (keys.OPEN, keys.RETRY, keys.DEAD):
            pipe.zcard(key)
        queued, jobs, open_, retry, dead = pipe.execute()
    return Depths(queued, open_, jobs - open_ - retry - dead, retry, dead)
