"""A worker's exchange with the queue: pops, claims and settlements on two connections to Redis.

1. The pop connection blocks in BRPOP while the worker has room; in the same write an RPOP takes more, as many as
   are this worker's share of the list.
2. The worker shows each popped element to the sweep at once. Then the other connection claims the job: the ledger
   decides what the element stands for.
3. Settlements are collected while those before are under way, and go out as one call: a batch of one when the
   worker is idle, of many under load.

After an error both connections are closed. On the next ones settlements go first, then claims, then pops.
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
"""How long one BRPOP waits."""
FENCE_SECONDS = BLOCK_SECONDS + 2.0
"""A job that is claimed later than this after its BRPOP was sent may already be requeued."""
RETRY_SECONDS = 1.0
"""When a settlement that could not be done is tried again."""
MAX_BATCH = 256
"""Settlements in one call: a script that runs for long holds up all others."""

_CLAIM = Script("claim")
_ADOPT = Script("adopt")
_DEAD_LETTER = Script("dead_letter")
_SCRIPTS = (SETTLE, _CLAIM, _ADOPT, _DEAD_LETTER)
_CLAIMED, _DUPLICATE = b"claimed", b"duplicate"
"""Results of adopt.lua; a sequence follows the first."""
_BRPOP = pack(("BRPOP", keys.DELIVERY_QUEUE, BLOCK_SECONDS))
_TRIAL = pack(("BRPOP", keys.DELIVERY_QUEUE, 0.01))


@dataclass(frozen=True)
class SourceEvents:
    """Callbacks of a JobSource."""

    on_connected: Callable[[int], None]
    """With the id of the pop connection."""
    on_polling: Callable[[], None]
    """A pop is about to be sent."""
    on_counted: Callable[[], None]
    """The worker is counted as blocked in BRPOP, or Redis is too full to count it."""
    on_popped: Callable[[int], None]
    """A job was popped, with its sequence."""
    on_pop_done: Callable[[], None]
    """All jobs of the last pop were passed to `on_popped`, or there were none."""
    on_claimed: Callable[[ClaimedJob, bool], None]
    """A popped job is the worker's, to be settled; True = too late to be attempted."""
    on_gone: Callable[[int], None]
    """The popped job of this sequence is not open any more: it was settled, cancelled or requeued."""
    on_settled: Callable[[Settlement], None]
    """The ledger has the settlement: the job is the worker's no longer."""
    on_disable: Callable[[str], None]
    """An endpoint has only failed for too long."""
    on_adopted: Callable[[], None]
    """A foreign element has become a job."""
    on_rejected: Callable[[], None]
    """A foreign element has become a dead letter."""
    on_unsettled: Callable[[Settlement, str], None]
    """A settlement could not be done, for this reason; it is tried again."""
    on_lost: Callable[[RedisError], None]
    """Both connections are closed."""


class JobSource:
    """One worker's exchange with the queue. Keeps what is not confirmed across lost connections."""

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
        """The first pop increments `polling_counter`. A worker's share of the list is one of `workers`."""
        self._loop = loop
        self._events = events
        self._uncounted: str | None = polling_counter
        self._logged_attempts = logged_attempts
        self._disable_after_seconds = disable_after_seconds
        self._workers = workers
        self._pop = LoopConnection(url, loop, self._on_lost)
        self._ledger = LoopConnection(url, loop, self._on_lost)
        self._is_recovering = False
        """Settlements of an earlier connection have to be confirmed before the next pop."""
        self._pop_sent = 0.0
        self._list_length = 0
        self._popped: dict[ListElement, float] = {}
        """Not claimed yet, and when their pop was sent."""
        self._foreign: list[ForeignElement] = []
        """Popped, and perhaps not in the ledger yet: there is no other copy of them."""
        self._settlements: list[Settlement] = []
        self._settling: list[Settlement] = []
        """Sent, not confirmed."""
        self.registry_revision = 0
        """At least as new as the last claimed job."""

    @property
    def is_connected(self) -> bool:
        return self._pop.is_connected and self._ledger.is_connected

    @property
    def is_popping(self) -> bool:
        """Whether a job may be on its way here."""
        return self._pop.is_waiting

    @property
    def foreign(self) -> int:
        """How many foreign elements are popped and not in the ledger yet."""
        return len(self._foreign)

    def connect(self) -> None:
        """Connect and send what an earlier connection left undone; blocks for the connect. Raises RedisError."""
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
        """Pop at most `room` jobs, unless a pop is under way, or earlier settlements have to go first.

        A trial does not wait for a job: it shows that the server takes a BRPOP.
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
            # Sent in the write of the BRPOP: Redis runs both before it serves another client, so a counter of 50
            # means 50 blocked clients.
            self._pop.request(pack(("INCR", self._uncounted)), lambda found: self._on_counted(found[0]))
        self._request(self._pop, packed, self._on_popped, replies, BLOCK_SECONDS + 2.0)

    def settle(self, settlement: Settlement) -> None:
        """Settle a job, with the next `flush`."""
        self._settlements.append(settlement)

    def read_endpoint(self, endpoint_id: str, on_read: Callable[[bytes | None], None]) -> None:
        """Read an endpoint of the registry. Forgotten if the connection is lost."""
        packed = pack(("HGET", keys.ENDPOINTS, endpoint_id))
        self._request(self._ledger, packed, lambda replies: on_read(replies[0]))

    def receive(self) -> None:
        """Take in the confirmations that have arrived."""
        self._ledger.receive()

    def flush(self) -> None:
        """Send all that is to be sent; settlements only when those before are confirmed."""
        if self._settlements and not self._settling and self._ledger.is_connected:
            self._send_settlements()
        self._ledger.flush()
        self._pop.flush()

    def _send_settlements(self) -> None:
        batch, self._settlements = self._settlements[:MAX_BATCH], self._settlements[MAX_BATCH:]
        self._settling = batch
        arguments = settle_arguments(batch, self._logged_attempts, self._disable_after_seconds)
        # While a pop is under way, there is room: the next turn is soon enough for the confirmation.
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
        """Request as the connection does; an error reply closes both connections, as a lost one does."""

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
        """A full Redis refuses the INCR and yet pops jobs, each of which makes room."""
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
        """Enter a foreign element into the ledger. `again`: an earlier call got no reply and may have done it."""
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
    """Stands for the callback of commands whose replies say nothing but that they are done."""


def _damaged(element: ListElement) -> ClaimedJob:
    """A job that is open and yet not what hookfarm writes; it has no endpoint."""
    return ClaimedJob(
        element.sequence, element.id, "", 1, {"id": element.id, "endpoint": "", "attempt": 1}, b"null"
    )
