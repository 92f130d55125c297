"""How a worker gets a job: BRPOP in the write of its last settlement, and adoption of foreign elements."""

from collections.abc import Callable
from dataclasses import dataclass

from hookfarm.delivery_queue import settle
from hookfarm.delivery_queue.job import (
    ClaimedJob,
    ForeignElement,
    Job,
    as_list_element,
    decode,
    invalid_job,
    parse_foreign,
)
from hookfarm.delivery_queue.settle import DISABLE_ENDPOINT, Settlement, read_settlement, returned, settle_sync
from hookfarm.errors import InvalidInput
from hookfarm.store import keys
from hookfarm.store.clients import OutOfMemoryError, PipelinedConnection, Reply, ResponseError, pack, parse_integer
from hookfarm.store.scripts import Script

BLOCK_SECONDS = 1
"""How long one BRPOP waits; the interval of an idle worker's heartbeat."""
FENCE_SECONDS = BLOCK_SECONDS + 2.0
"""A job that reaches its worker later than this after the BRPOP was sent may already be requeued."""

_ADOPT = Script("adopt")
_DEAD_LETTER = Script("dead_letter")
_CLAIMED, _PARKED, _DUPLICATE = b"claimed", b"parked", b"duplicate"
"""Results of adopt.lua; a sequence follows the first."""
_POP = pack(("BRPOP", keys.DELIVERY_QUEUE, BLOCK_SECONDS)) + pack(("GET", keys.REGISTRY_REVISION))


def _ignore(*_: object) -> None:
    """No-op callback."""


@dataclass(frozen=True)
class SourceEvents:
    """Callbacks of a JobSource. Each is called as soon as Redis has confirmed the step."""

    on_polling: Callable[[], None] = _ignore
    """The worker is counted as blocked in BRPOP, or Redis is too full to count it."""
    on_settled: Callable[[], None] = _ignore
    """The ledger has the last settlement: the worker holds no job any more."""
    on_adopted: Callable[[], None] = _ignore
    """A foreign element has become a job."""
    on_rejected: Callable[[], None] = _ignore
    """A foreign element has become a dead letter."""


class JobSource:
    """One worker's connection with the queue: one job at a time, settled in the same write as the next pop.

    Keeps a settlement and a popped foreign element across lost connections, until Redis has confirmed them. After
    a RedisError the connection is closed; `connect` before the next `take`.
    """

    def __init__(
        self,
        connection: PipelinedConnection,
        polling_counter: str | None = None,
        events: SourceEvents | None = None,
    ) -> None:
        """The first pop of a worker increments `polling_counter` in the same write."""
        self._connection = connection
        self._uncounted = polling_counter
        self._events = events or SourceEvents()
        self._settlement: Settlement | None = None
        self._foreign: ForeignElement | None = None
        """Popped, and perhaps not in the ledger yet: there is no other copy of it."""
        self.endpoint_to_disable: str | None = None
        """Set by a settlement whose endpoint has only failed for too long."""
        self.registry_revision = 0
        """At least as new as the last job."""

    @property
    def is_connected(self) -> bool:
        return self._connection.connected

    @property
    def has_unsettled_job(self) -> bool:
        return self._settlement is not None

    def connect(self) -> int:
        """Connect and load the scripts; return the id of the connection."""
        return load_scripts(self._connection)

    def take(self) -> ClaimedJob | None:
        """Settle the last job and pop the next one. Returns None if there is none within BLOCK_SECONDS."""
        settlement, counter = self._settlement, self._uncounted
        send_pop(self._connection, settlement, counter)
        if settlement is not None:
            self._confirm(settlement, read_settlement(self._connection))
        if counter:
            self._read_count()
        element, self.registry_revision = read_job(self._connection)
        if self._settlement is not None:
            self._settle_sync(self._settlement)
        return self._adopt(element) if isinstance(element, ForeignElement) else element

    def settle(self, settlement: Settlement) -> None:
        """Settle the last job, with the next `take` or `settle_pending`."""
        self._settlement = settlement

    def settle_pending(self) -> None:
        """Finish what an earlier connection left undone, each in a round trip of its own."""
        if self._settlement is not None:
            self._settle_sync(self._settlement)
        if self._foreign is not None:
            job = self._adopt(self._foreign, again=True)
            if job is not None:
                settle_sync(self._connection, returned(job))

    def close(self) -> None:
        self._connection.close()

    def _settle_sync(self, settlement: Settlement) -> None:
        self._confirm(settlement, settle_sync(self._connection, settlement))

    def _confirm(self, settlement: Settlement, reply: str | None) -> None:
        if reply is None:
            return
        if reply == DISABLE_ENDPOINT:
            self.endpoint_to_disable = settlement.endpoint
        self._settlement = None
        self._events.on_settled()

    def _read_count(self) -> None:
        """A full Redis refuses the INCR and yet pops jobs, each of which makes room."""
        reply = self._connection.receive()
        if not isinstance(reply, ResponseError):
            self._uncounted = None
        elif not isinstance(reply, OutOfMemoryError):
            raise reply
        self._events.on_polling()

    def _adopt(self, element: ForeignElement, again: bool = False) -> ClaimedJob | None:
        self._foreign = element
        job = adopt(self._connection, element, again, self._events.on_rejected)
        self._foreign = None
        if job is not None:
            self._events.on_adopted()
        return job


def send_pop(
    connection: PipelinedConnection, settlement: Settlement | None, polling_counter: str | None = None
) -> None:
    """Send in one write: the last job's settlement, INCR of `polling_counter`, BRPOP, GET of the revision.

    Redis runs the INCR and the BRPOP before it serves another client, so a counter of 50 means 50 blocked clients.
    It reads the registry's revision after the pop, so the revision is at least as new as the job.
    """
    parts = [settlement.packed] if settlement else []
    if polling_counter:
        parts.append(pack(("INCR", polling_counter)))
    connection.send(b"".join((*parts, _POP)))


def read_job(connection: PipelinedConnection) -> tuple[ClaimedJob | ForeignElement | None, int]:
    """Read the popped element, None after BLOCK_SECONDS without one, and the registry's revision."""
    popped, revision = connection.receive(), connection.receive()
    if isinstance(popped, ResponseError):
        raise popped
    return (None if popped is None else decode(popped[1])), _known_revision(revision)


def _known_revision(reply: Reply) -> int:
    """0 if the key holds a foreign value. Processors report that; here the job is already popped."""
    try:
        return parse_integer(keys.REGISTRY_REVISION, reply)
    except ResponseError:
        return 0


def load_scripts(connection: PipelinedConnection) -> int:
    """Load a worker's scripts, so that no settlement has to wait for that; return the connection's id."""
    connection.send(pack(("CLIENT", "ID")) + b"".join(script.encode_load() for script in settle.SCRIPTS))
    client_id, *loaded = [connection.receive() for _ in range(1 + len(settle.SCRIPTS))]
    for reply in (client_id, *loaded):
        if isinstance(reply, ResponseError):
            raise reply
    return int(client_id)


def adopt(
    connection: PipelinedConnection,
    element: ForeignElement,
    again: bool = False,
    on_rejected: Callable[[], None] = _ignore,
) -> ClaimedJob | None:
    """Enter a foreign element into the ledger.

    Returns None if it is parked because its endpoint's window is full, or if it is not a job; then it becomes a
    dead letter and `on_rejected` is called. `again`: an earlier call got no reply and may have entered the job.
    """
    try:
        job_id, endpoint, body = parse_foreign(element.raw)
    except InvalidInput as error:
        _reject(connection, element, str(error))
        on_rejected()
        return None
    job = Job(job_id, endpoint, body).encoded()
    result, *sequence = _ADOPT.call_raw(connection, (), (job_id, job, endpoint))
    if result == _DUPLICATE and again:
        result, *sequence = _adopted_before(connection, job_id, endpoint, job)
    if result == _DUPLICATE:
        _reject(connection, element, f"id: {job_id!r} is already in the queue")
        on_rejected()
    if result != _CLAIMED:
        return None
    claimed = decode(as_list_element(int(float(sequence[0])), job))
    assert isinstance(claimed, ClaimedJob)
    return claimed


def _adopted_before(connection: PipelinedConnection, job_id: str, endpoint: str, job: bytes) -> tuple[bytes, ...]:
    """The result of an earlier adoption of the same job, whose reply was lost."""
    stored, sequence, parked = connection.execute(
        ("HGET", keys.JOBS, job_id), ("ZSCORE", keys.OPEN, job_id), ("ZSCORE", keys.PARKED + endpoint, job_id)
    )
    if stored != job:
        return (_DUPLICATE,)
    return (_CLAIMED, sequence) if sequence else (_PARKED,) if parked else (_DUPLICATE,)


def _reject(connection: PipelinedConnection, element: ForeignElement, reason: str) -> None:
    _DEAD_LETTER.call_raw(connection, (), invalid_job(element.raw, reason, keys.DELIVERY_QUEUE))
