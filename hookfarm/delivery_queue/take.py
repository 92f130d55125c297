"""Pops, claims and settlements of a worker on two connections to Redis.

1. The pop connection blocks in BRPOP while the worker has room. An RPOP in the same write takes the rest of the
   worker's share of the list.
2. The worker puts the sequence of each popped element into its slot at once, for the sweep. Then the ledger
   connection claims the jobs.
3. New settlements are collected while earlier ones are under way, and are sent as one call. A batch has one
   settlement if the worker is idle, many under load.

An error closes both connections. On new connections, settlements are sent first, then claims, then pops.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hookfarm.delivery_queue.job import (
    ClaimedJob,
    ForeignElement,
    Job,
    ListElement,
    decode_element,
    decode_job,
    invalid_job,
    parse_foreign,
)
from hookfarm.delivery_queue.settle import DISABLE_ENDPOINT, ERROR, SETTLE, Settlement, settle_arguments
from hookfarm.errors import InvalidInput
from hookfarm.event_loop import EventLoop
from hookfarm.store import keys
from hookfarm.store.clients import (
    COMMAND_TIMEOUT_SECONDS,
    OutOfMemoryError,
    RedisError,
    Reply,
    ResponseError,
    pack,
)
from hookfarm.store.loop_connection import LoopConnection, OnReplies
from hookfarm.store.scripts import Script

BLOCK_SECONDS = 20
"""Time-out of one BRPOP."""
FENCE_SECONDS = BLOCK_SECONDS + 2.0
"""A job claimed later than this after its BRPOP was sent may already be requeued."""
RETRY_SECONDS = 1.0
"""Delay before a failed settlement is retried."""
MAX_BATCH = 256
"""Maximum number of settlements in one call, because a long script delays all other clients."""

_CLAIM = Script("claim")
_ADOPT = Script("adopt")
_DEAD_LETTER = Script("dead_letter")
_SCRIPTS = (SETTLE, _CLAIM, _ADOPT, _DEAD_LETTER)
_CLAIMED, _DUPLICATE = b"claimed", b"duplicate"
"""Results of adopt.lua; the sequence follows `claimed`."""
_BRPOP = pack(("BRPOP", keys.DELIVERY_QUEUE, BLOCK_SECONDS))
_TRIAL = pack(("BRPOP", keys.DELIVERY_QUEUE, 0.01))


@dataclass(frozen=True)
class SourceEvents:
    """Callbacks of a JobSource."""

    on_connected: Callable[[int], None]
    """Connected; the argument is the Redis id of the pop connection."""
    on_polling: Callable[[], None]
    """A pop is about to be sent."""
    on_counted: Callable[[], None]
    """The polling counter was incremented, or Redis is out of memory and refused the increment."""
    on_popped: Callable[[int], None]
    """A job was popped; the argument is its sequence."""
    on_pop_done: Callable[[], None]
    """A pop has ended; each of its jobs was passed to `on_popped`."""
    on_claimed: Callable[[ClaimedJob, bool], None]
    """A job was claimed and must be settled; True = too late to be attempted (the fence)."""
    on_gone: Callable[[int], None]
    """The popped job with this sequence was settled, cancelled or requeued before the claim."""
    on_settled: Callable[[Settlement], None]
    """Redis has confirmed a settlement."""
    on_disable: Callable[[str], None]
    """An endpoint must be disabled: it has failed for too long without a success."""
    on_adopted: Callable[[], None]
    """A foreign element has become a job."""
    on_rejected: Callable[[], None]
    """A foreign element has become a dead letter."""
    on_unsettled: Callable[[Settlement, str], None]
    """A settlement failed with this error; it is retried."""
    on_lost: Callable[[RedisError], None]
    """Both connections were closed after an error."""


class JobSource:
    """Pops, claims and settlements of one worker.

    Unconfirmed claims and settlements survive a lost connection and are sent again on the next one.
    """

    def __init__(
        self,
        loop: EventLoop,
        url: str,
        events: SourceEvents,
        polling_counter: str,
        logged_attempts: int,
        disable_after_seconds: float,
        workers: int = 1,
    ) -> None:
        """The first pop increments `polling_counter`. A pop takes at most 1/`workers` of the list."""
        self._loop = loop
        self._events = events
        self._uncounted: str | None = polling_counter
        self._logged_attempts = logged_attempts
        self._disable_after_seconds = disable_after_seconds
        self._workers = workers
        self._pop = LoopConnection(url, loop, self._on_lost)
        self._ledger = LoopConnection(url, loop, self._on_lost)
        self._is_recovering = False
        """Settlements of an earlier connection must be confirmed before the next pop."""
        self._pop_sent = 0.0
        self._list_length = 0
        self._popped: dict[ListElement, float] = {}
        """Popped elements that are not claimed yet -> time at which their pop was sent."""
        self._foreign: list[ForeignElement] = []
        """Popped foreign elements without a confirmed ledger entry; no other copy of them exists."""
        self._settlements: list[Settlement] = []
        """Settlements to be sent."""
        self._settling: list[Settlement] = []
        """Settlements that were sent and are not confirmed yet."""
        self.registry_revision = 0
        """Revision of the registry at the last claim."""

    @property
    def is_connected(self) -> bool:
        return self._pop.is_connected and self._ledger.is_connected

    @property
    def is_popping(self) -> bool:
        """Whether a pop is under way."""
        return self._pop.is_waiting

    @property
    def foreign(self) -> int:
        """Number of popped foreign elements without a confirmed ledger entry."""
        return len(self._foreign)

    def connect(self) -> None:
        """Connect and repeat unconfirmed settlements, claims and adoptions. Blocks. Raises RedisError."""
        self._ledger.connect()
        try:
            self._pop.connect()
        except RedisError:
            self._ledger.close()
            raise
        loads = b"".join(script.encode_load() for script in _SCRIPTS)
        self._request(self._ledger, loads, _ignore, len(_SCRIPTS))
        self._settlements, self._settling = self._settling + self._settlements, []
        self._is_recovering = bool(self._settlements)
        if self._settlements:
            self._send_settlements()
        self._claim(list(self._popped))
        for element in self._foreign:
            self._adopt(element, again=True)
        self._request(self._pop, pack(("CLIENT", "ID")), lambda replies: self._events.on_connected(replies[0]))

    def pop(self, room: int, is_trial: bool = False) -> None:
        """Pop at most `room` jobs.

        Does nothing while a pop is under way or settlements of an earlier connection are unconfirmed. A trial
        waits 0.01 s instead of BLOCK_SECONDS; it tests whether the server accepts a BRPOP.
        """
        if room < 1 or not self.is_connected or self._pop.is_waiting or self._is_recovering:
            return
        share = -(-self._list_length // self._workers)
        more = min(room, share) - 1
        self._list_length = 0
        packed, replies = (_TRIAL if is_trial else _BRPOP), 1
        if more > 0:
            packed, replies = packed + pack(("RPOP", keys.DELIVERY_QUEUE, more)), replies + 1
        self._events.on_polling()
        self._pop_sent = self._loop.time()
        if self._uncounted:
            # INCR and BRPOP are sent in one write. Redis runs both before it serves another client, so a counter
            # of 50 means 50 blocked clients.
            self._pop.request(pack(("INCR", self._uncounted)), lambda found: self._on_counted(found[0]))
        self._request(self._pop, packed, self._on_popped, replies, BLOCK_SECONDS + 2.0)

    def settle(self, settlement: Settlement) -> None:
        """Add a settlement, to be sent by a `flush`."""
        self._settlements.append(settlement)

    def read_endpoint(self, endpoint_id: str, on_read: Callable[[bytes | None], None]) -> None:
        """Read an endpoint of the registry. `on_read` is never called if the connection is lost."""
        packed = pack(("HGET", keys.ENDPOINTS, endpoint_id))
        self._request(self._ledger, packed, lambda replies: on_read(replies[0]))

    def receive(self) -> None:
        """Handle confirmations that arrived without waking the loop."""
        self._ledger.receive()

    def flush(self) -> None:
        """Send all requests. Settlements wait until the earlier batch is confirmed."""
        if self._settlements and not self._settling and self._ledger.is_connected:
            self._send_settlements()
        self._ledger.flush()
        self._pop.flush()

    def _send_settlements(self) -> None:
        batch, self._settlements = self._settlements[:MAX_BATCH], self._settlements[MAX_BATCH:]
        self._settling = batch
        arguments = settle_arguments(batch, self._logged_attempts, self._disable_after_seconds)
        # A pop under way means that the worker has room: the confirmation can wait for the loop's next turn.
        is_urgent = not self._pop.is_waiting
        self._request(self._ledger, SETTLE.encode((), arguments), self._on_settled, is_urgent=is_urgent)

    def close(self) -> None:
        self._pop.close()
        self._ledger.close()

    def _on_lost(self, error: RedisError) -> None:
        self.close()
        self._events.on_lost(error)

    def _request(
        self,
        connection: LoopConnection,
        packed: bytes,
        on_replies: OnReplies,
        replies: int = 1,
        within_seconds: float = COMMAND_TIMEOUT_SECONDS,
        is_urgent: bool = True,
    ) -> None:
        """Send a request; an error reply closes both connections."""

        def check(found: list[Reply]) -> None:
            error = next((reply for reply in found if isinstance(reply, ResponseError)), None)
            if error is None:
                on_replies(found)
            else:
                self._on_lost(error)

        connection.request(packed, check, replies, within_seconds, is_urgent)

    def _on_popped(self, replies: list[Reply]) -> None:
        first, *more = replies
        raw = [first[1]] if first is not None else []
        raw += more[0] or () if more else ()
        elements = [decode_element(each) for each in raw]
        jobs = [element for element in elements if isinstance(element, ListElement)]
        for element in jobs:
            self._popped[element] = self._pop_sent
            self._events.on_popped(element.sequence)
        self._events.on_pop_done()
        self._claim(jobs)
        for foreign in elements:
            if isinstance(foreign, ForeignElement):
                self._foreign.append(foreign)
                self._adopt(foreign)

    def _on_counted(self, reply: Reply) -> None:
        """Handle the reply to INCR. A Redis that is out of memory refuses it but still pops jobs."""
        if isinstance(reply, ResponseError) and not isinstance(reply, OutOfMemoryError):
            self._on_lost(reply)
            return
        if not isinstance(reply, ResponseError):
            self._uncounted = None
        self._events.on_counted()

    def _claim(self, elements: Sequence[ListElement]) -> None:
        if elements:
            arguments = [part for element in elements for part in (element.id, element.sequence)]
            packed = _CLAIM.encode((), arguments)
            self._request(self._ledger, packed, lambda replies: self._on_claimed(elements, replies[0]))

    def _on_claimed(self, elements: Sequence[ListElement], reply: Reply) -> None:
        revision, self._list_length, *jobs = reply
        self.registry_revision = int(revision)
        now = self._loop.time()
        for element, stored in zip(elements, jobs, strict=True):
            is_late = now - self._popped.pop(element) > FENCE_SECONDS
            if not stored:
                self._events.on_gone(element.sequence)
                continue
            job = decode_job(stored, element.sequence) or _damaged(element)
            self._events.on_claimed(job, is_late)

    def _on_settled(self, replies: list[Reply]) -> None:
        [results] = replies
        batch, self._settling = self._settling, []
        self._is_recovering = False
        for settlement, result in zip(batch, results, strict=True):
            self._confirm(settlement, str(result, "utf-8", "replace"))

    def _confirm(self, settlement: Settlement, result: str) -> None:
        if result.startswith(ERROR):
            self._events.on_unsettled(settlement, result.removeprefix(ERROR))
            self._loop.call_later(RETRY_SECONDS, lambda: self.settle(settlement))
            return
        if result == DISABLE_ENDPOINT:
            self._events.on_disable(settlement.endpoint)
        self._events.on_settled(settlement)

    def _adopt(self, element: ForeignElement, again: bool = False) -> None:
        """Adopt a foreign element as a job. `again` = an earlier call without a reply may have adopted it."""
        try:
            job_id, endpoint, body = parse_foreign(element.raw)
        except InvalidInput as error:
            self._reject(element, str(error))
            return
        job = Job(job_id, endpoint, body).encoded()
        packed = _ADOPT.encode((), (job_id, job, endpoint, int(again)))
        self._request(self._ledger, packed, lambda replies: self._on_adopted(element, job_id, replies[0]))

    def _on_adopted(self, element: ForeignElement, job_id: str, reply: Reply) -> None:
        result, *sequence = reply
        if result == _DUPLICATE:
            self._reject(element, f"id: {job_id!r} is already in the queue")
            return
        self._foreign.remove(element)
        if result == _CLAIMED:
            adopted = ListElement(int(float(sequence[0])), job_id)
            self._popped[adopted] = self._loop.time()
            self._events.on_popped(adopted.sequence)
            self._events.on_adopted()
            self._claim([adopted])

    def _reject(self, element: ForeignElement, reason: str) -> None:
        packed = _DEAD_LETTER.encode((), invalid_job(element.raw, reason, keys.DELIVERY_QUEUE))
        self._request(self._ledger, packed, lambda _: self._on_rejected(element))

    def _on_rejected(self, element: ForeignElement) -> None:
        self._foreign.remove(element)
        self._events.on_rejected()


def _ignore(_: list[Reply]) -> None:
    """Ignore the replies."""


def _damaged(element: ListElement) -> ClaimedJob:
    """Return a job without an endpoint, for a damaged ledger entry."""
    return ClaimedJob(
        element.sequence, element.id, "", 1, {"id": element.id, "endpoint": "", "attempt": 1}, b"null"
    )
