"""The processor's loop: read a batch, bring the index up to date, match, hand off.

1. Take over what a predecessor of the same name read and never acknowledged.
2. Read new entries and, with them, the registry's revision; where that has moved, apply the changes first, so
   that an endpoint made before an event was published gets it. Where there were many, Redis reads the next ones
   while these are handled.
3. Hand off: one script acknowledges the entries and enqueues their jobs. Dying anywhere before it leaves the
   entries pending, for the successor or for whoever claims them; dying after it leaves nothing to do.
4. Four times a second enqueue what waited for confirmations and tell of what has become final, and once a second
   claim what other consumers have left pending.

Told to stop, it hands off the batch it holds and returns. Without Redis it waits and begins at 1 again. A stream
that can't be read is no reason to leave the others: it is said, and tried again with the claims.
"""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from hookfarm import delivery_queue, event_stream, logs
from hookfarm.delivery_queue import Handled
from hookfarm.event_stream import Entry, StreamReader
from hookfarm.farm.child import Child
from hookfarm.matching import finality
from hookfarm.matching.notifications import concerns_nobody, handle
from hookfarm.message_processor import counters, status, traced
from hookfarm.message_processor.live_index import LiveIndex
from hookfarm.message_processor.outage import Outage
from hookfarm.message_processor.unreadable import Unreadable
from hookfarm.store import clients, keys, wrong_types
from hookfarm.store.clients import parse_integer

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans

PASS_SECONDS = 1.25
"""The longest honest pass: half a second in XREADGROUP and the work on one entry."""
RECONNECT_SECONDS = 10.0
LOAD_SECONDS = 60.0
"""For reading the whole registry: 100,000 endpoints take seconds."""
IDLE_SECONDS = 0.25
"""How often the registry is asked when there is no chain to read."""
CLAIM_EVERY_SECONDS = 1.0
COMMAND_TIMEOUT_SECONDS = 2.0
HAND_OFF_JOBS = 1000
HAND_OFF_BYTES = 4 * 1024 * 1024
"""One script enqueues about this much at most, since Redis serves nobody else meanwhile."""
HISTORY_TRIES = 10
"""How often a log's history may change while its entry is handed off; then the entry stays pending, for later."""
CONFIRM_EVERY_SECONDS = 0.25
FINALITY_SECONDS = 0.05
"""So long at a time for what has become final, which may be hundreds of blocks: new events don't wait for it."""
BLOCKED_PROBES = 5

_log = logs.get(keys.MESSAGE_PROCESSOR)


class Processor:
    """One consumer of the group; each method is one step of the loop that `run` turns."""

    def __init__(
        self, child: Child, redis_url: str, chain_ids: Iterable[int], consumer: str, spans: "Spans | None" = None
    ) -> None:
        block_seconds = event_stream.BLOCK_MILLISECONDS / 1000
        self._child = child
        self._spans = spans
        self._read_ns = 0
        self._configured = frozenset(chain_ids)
        self._connection = clients.PipelinedConnection(redis_url, block_seconds)
        self._client = clients.command_client(redis_url, COMMAND_TIMEOUT_SECONDS)
        self._reader = StreamReader(self._connection, consumer)
        self._live = LiveIndex(self._client, _log)
        self._outage = Outage(_log)
        self._unreadable = Unreadable(_log)
        self._server_run: object = None
        self._client_id = 0
        self._is_up = False
        self._claim_at = 0.0
        self._confirm_at = 0.0

    def run(self) -> None:
        """Until the child is told to stop; outages of Redis are waited out."""
        while not self._child.stopping:
            try:
                self.connect()
                while not self._child.stopping or self._reader.asked:
                    self.iterate()
            except RedisError as error:
                self._child.wait(self._lost(error))
        self.close()

    def connect(self) -> None:
        """Groups made, registry read, a predecessor's entries handed off; RedisError without Redis."""
        self._child.slot.promise(RECONNECT_SECONDS)
        server_run = self._client.info("server").get("run_id")
        [self._client_id] = self._connection.execute(("CLIENT", "ID"))
        self._child.slot.set_counter(counters.CLIENT_ID, self._client_id)
        self._child.slot.promise(LOAD_SECONDS)
        if server_run != self._server_run:
            self._live.reload()
            self._server_run = server_run
        self._follow_chains(force=True)
        while self._reader.chains and (left := self._reader.own_pending()):
            self._refresh(self._registry_revision())
            self._handle(left)
            self._child.slot.add(counters.RECLAIMED, len(left))

    def iterate(self) -> None:
        """One pass: at most half a second of waiting, then the whole batch."""
        self._child.slot.promise(PASS_SECONDS)
        self._follow_chains()
        if not (self._reader.readable or self._reader.asked):
            self._idle()
            return
        self._handle(self._read())
        self._confirm()
        self._claim_now_and_then()
        self._announce()

    def _read(self) -> list[Entry]:
        """The next entries, with an index that is at least as new as they are."""
        if not self._reader.asked:
            self._reader.ask()
            self._announce_blocked()
        entries, revision = self._reader.answer()
        if not self._outage.lasts:
            self._announce()
        self._refresh(revision)
        if len(entries) >= event_stream.BATCH_ENTRIES and self._reader.readable and not self._child.stopping:
            self._reader.ask_ahead()
        return entries

    def close(self) -> None:
        self._connection.close()
        self._client.close()

    def _idle(self) -> None:
        """No chain is configured and none is named by a subscription, or none can be read: not yet."""
        self._announce()
        self._child.wait(IDLE_SECONDS)
        self._refresh(self._registry_revision())
        self._claim_now_and_then()

    def _follow_chains(self, force: bool = False) -> None:
        wanted = tuple(sorted(self._configured | self._live.index.chains))
        if force or wanted != self._reader.chains:
            self._reader.follow(wanted)
            status.show_chains(self._child.slot, wanted)
        slot = self._child.slot
        slot.set_counter(counters.REGISTRY_REVISION, self._live.revision)
        slot.set_counter(counters.ENDPOINTS, self._live.index.endpoints)

    def _registry_revision(self) -> int:
        return parse_integer(keys.REGISTRY_REVISION, self._client.get(keys.REGISTRY_REVISION))

    def _refresh(self, revision: int) -> None:
        if revision != self._live.revision:
            self._child.slot.promise(LOAD_SECONDS)
            self._live.follow(revision)

    def _confirm(self) -> None:
        """Enqueues what has waited for confirmations, and what tells of final logs."""
        if time.monotonic() < self._confirm_at:
            return
        self._confirm_at = time.monotonic() + CONFIRM_EVERY_SECONDS
        for chain_id in self._reader.readable:
            confirmed = delivery_queue.confirm_waiting(self._connection, chain_id)
            self._child.slot.add(counters.JOBS_ENQUEUED, confirmed.enqueued)
            self._tell_final(confirmed.final)

    def _tell_final(self, blocks: Sequence[str]) -> None:
        """As much as there is time for; the rest is found again."""
        until = time.monotonic() + FINALITY_SECONDS
        for enqueued in finality.announce(self._connection, self._live.index, blocks):
            self._child.slot.add(counters.JOBS_ENQUEUED, enqueued)
            self._child.slot.promise(PASS_SECONDS)
            if time.monotonic() > until:
                return

    def _claim_now_and_then(self) -> None:
        if time.monotonic() < self._claim_at:
            return
        self._claim_at = time.monotonic() + CLAIM_EVERY_SECONDS
        self._follow_chains(force=bool(self._reader.unreadable))
        self._claim()

    def _claim(self) -> None:
        claimed = self._reader.abandoned()
        if claimed:
            # They may be younger than what the registry said when this pass began.
            self._refresh(self._registry_revision())
        self._handle(claimed)
        self._child.slot.add(counters.RECLAIMED, len(claimed))

    def _handle(self, entries: list[Entry]) -> None:
        held: list[Handled] = []
        nothing: list[Entry] = []
        jobs = size = 0
        self._read_ns = time.time_ns()
        self._child.slot.promise(PASS_SECONDS)
        for entry in entries:
            if concerns_nobody(self._live.index, entry):
                nothing.append(entry)
                continue
            self._child.slot.promise(PASS_SECONDS)
            handled = handle(self._live.index, entry)
            held.append(handled)
            jobs += len(handled.jobs)
            size += sum(len(job.body) for job in handled.jobs)
            if jobs >= HAND_OFF_JOBS or size >= HAND_OFF_BYTES:
                self._hand_off(held)
                held, jobs, size = [], 0, 0
        self._hand_off(held, nothing)

    def _hand_off(self, held: list[Handled], nothing: Sequence[Entry] = ()) -> None:
        """Again for entries whose logs have a history: they are handled with it in mind."""
        done = delivery_queue.hand_off(self._connection, held, nothing)
        enqueued = done.enqueued
        if self._spans is not None:
            traced.handed_off(self._spans, held, done.told, self._read_ns)
        for _ in range(HISTORY_TRIES):
            again = [h.entry for h in held if h.entry.entry_id in done.told]
            if not again:
                break
            with_history = [handle(self._live.index, entry, done.told[entry.entry_id]) for entry in again]
            done = delivery_queue.hand_off(self._connection, with_history)
            enqueued += done.enqueued
            if self._spans is not None:
                traced.handed_off(self._spans, with_history, done.told, self._read_ns)
        slot = self._child.slot
        slot.add(counters.EVENTS_READ, len(held) + len(nothing))
        slot.add(counters.EVENTS_MATCHED, sum(bool(h.jobs) for h in held))
        slot.add(counters.JOBS_ENQUEUED, enqueued)
        slot.add(counters.REJECTED, sum(h.rejected is not None for h in held))

    def _announce_blocked(self) -> None:
        """Says that it is up as soon as Redis itself says that this connection is blocked in XREADGROUP.

        Where entries are waiting it never blocks; then the answer is the proof.
        """
        # After an outage only a whole pass is proof; with a stream that can't be read it is not up anyway.
        known = self._is_up or self._outage.lasts or self._reader.unreadable
        for _ in range(0 if known else BLOCKED_PROBES):
            [seen] = self._client.client_list(client_id=[self._client_id]) or [{}]
            if "b" in seen.get("flags", "") and seen.get("cmd") == "xreadgroup":
                self._announce()
                return

    def _announce(self) -> None:
        self._outage.over()
        reason = self._unreadable.note(self._reader.unreadable)
        if reason:
            self._is_up = False
            self._child.stalled(reason)
            return
        if self._is_up:
            return
        self._is_up = True
        self._child.up()
        chains = ",".join(map(str, self._reader.chains))
        _log.info("reading", chains=chains, endpoints=self._live.index.endpoints)

    def _lost(self, error: RedisError) -> float:
        """Whatever was read stays pending. Returns how many seconds to wait before connecting again."""
        self._child.slot.promise(RECONNECT_SECONDS)
        reason = f"Redis: {wrong_types.explain(error, self._connection)}"
        self._child.stalled(reason)
        self._is_up = False
        self._connection.close()
        self._client.connection_pool.disconnect()
        return self._outage.failed(reason)
