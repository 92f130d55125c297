"""How a worker gets a job: BRPOP in the write of its last settlement, or the adoption of what strangers pushed."""

from collections.abc import Callable

from hookfarm.delivery_queue import settle
from hookfarm.delivery_queue.job import Foreign, Job, Taken, decode, garbage, numbered, parse_foreign
from hookfarm.delivery_queue.settle import Settlement
from hookfarm.errors import InvalidInput
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection, Reply, ResponseError, pack, parse_integer
from hookfarm.store.scripts import Script

BLOCK_SECONDS = 1
"""How long one BRPOP waits; a worker's heartbeat when there is nothing to do."""
FENCE_SECONDS = BLOCK_SECONDS + 2.0
"""A job that reaches its worker later than this after the BRPOP was sent may already be somebody else's."""

_ADOPT = Script("adopt", "facts", "ledger")
_BURY = Script("bury", "facts", "places", "ledger")
_REFUSED, _PARKED = 0, -1
"""What adopt.lua answers in place of a sequence."""


def ask(connection: PipelinedConnection, settlement: Settlement | None, report_to: str | None = None) -> None:
    """Sends, in one write: the settlement of the last job, the report that BRPOP is being entered (an INCR of
    the counter `report_to`), BRPOP, and the question for the registry's revision.

    Redis runs the report and the BRPOP before it serves anybody else, so a counter of 50 means 50 blocked
    clients. It answers the revision after the pop, so that is at least as new as the job.
    """
    parts = [settlement.packed] if settlement else []
    if report_to:
        parts.append(pack(("INCR", report_to)))
    connection.send(b"".join((*parts, _POP)))


_POP = pack(("BRPOP", keys.DELIVERY_QUEUE, BLOCK_SECONDS)) + pack(("GET", keys.REGISTRY_REVISION))


def answer(connection: PipelinedConnection) -> tuple[Taken | Foreign | None, int]:
    """The job (None after a second of nothing) and the registry's revision."""
    popped, revision = connection.receive(), connection.receive()
    if isinstance(popped, ResponseError):
        raise popped
    return (None if popped is None else decode(popped[1])), _known_revision(revision)


def _known_revision(reply: Reply) -> int:
    """0 where somebody else has written there, which the processors say: the job has been popped all the same."""
    try:
        return parse_integer(keys.REGISTRY_REVISION, reply)
    except ResponseError:
        return 0


def prepare(connection: PipelinedConnection) -> int:
    """Teaches the server the scripts of a worker, so that no settlement has to wait for that, and returns the
    id of the connection."""
    connection.send(pack(("CLIENT", "ID")) + b"".join(script.encode_load() for script in settle.SCRIPTS))
    client_id, *loaded = [connection.receive() for _ in range(1 + len(settle.SCRIPTS))]
    for reply in (client_id, *loaded):
        if isinstance(reply, ResponseError):
            raise reply
    return int(client_id)


def adopt(
    connection: PipelinedConnection,
    foreign: Foreign,
    again: bool = False,
    on_burial: Callable[[], None] = lambda: None,
) -> Taken | None:
    """Enters somebody else's element into the ledger.

    None: its endpoint's window is full, and it is parked; or it is no job, and buried with its reason, which
    `on_burial` is told. `again`: an earlier call got no answer, so that the job may be in the ledger by that call.
    """
    try:
        job_id, endpoint, body = parse_foreign(foreign.raw)
    except InvalidInput as error:
        _bury(connection, foreign, str(error))
        on_burial()
        return None
    job = Job(job_id, endpoint, body).encoded()
    sequence = int(_ADOPT.call_raw(connection, (), (job_id, job, endpoint)))
    if sequence == _REFUSED and again:
        sequence = _adopted_before(connection, job_id, endpoint, job)
    if sequence == _REFUSED:
        _bury(connection, foreign, f"id: {job_id!r} is already in the queue")
        on_burial()
    if sequence in (_REFUSED, _PARKED):
        return None
    taken = decode(numbered(sequence, job))
    assert isinstance(taken, Taken)
    return taken


def _adopted_before(connection: PipelinedConnection, job_id: str, endpoint: str, job: bytes) -> int:
    """What an earlier adoption of the same job, whose answer was lost, must have answered."""
    stored, sequence, place = connection.execute(
        ("HGET", keys.JOBS, job_id), ("ZSCORE", keys.OPEN, job_id), ("ZSCORE", keys.PARKED + endpoint, job_id)
    )
    if stored != job:
        return _REFUSED
    return int(float(sequence)) if sequence else _PARKED if place else _REFUSED


def _bury(connection: PipelinedConnection, foreign: Foreign, reason: str) -> None:
    _BURY.call_raw(connection, (), garbage(foreign.raw, reason, keys.DELIVERY_QUEUE))
