"""The processor's loop: read a batch, update the index, match, enqueue.

1. Process the entries that a predecessor of the same name left pending.
2. Read new entries together with the registry's revision. Apply newer changes of the registry first, so that an
   endpoint created before an event was published receives it. After a full batch, Redis reads the next one ahead.
3. Enqueue: one script acknowledges the entries and enqueues their jobs. After a crash before the script, the
   entries stay pending for the successor or another consumer.
4. Every CONFIRM_INTERVAL_SECONDS, enqueue confirmed jobs and the notifications of final logs. Every
   CLAIM_INTERVAL_SECONDS, claim entries that other consumers left pending.

When asked to stop, the processor enqueues its current batch and returns. After an outage of Redis it begins again
with the first step. An unreadable stream is logged, and retried with the claims; the other streams are read
meanwhile.
"""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from hookfarm import delivery_queue, event_stream, logs
from hookfarm.chain.profiles import profile_of
from hookfarm.delivery_queue import EntryResult
from hookfarm.event_stream import StreamEntry, StreamReader
from hookfarm.farm.child import Child
from hookfarm.matching.notifications import enqueue_finalized, process_entry
from hookfarm.message_processor import telemetry
from hookfarm.message_processor.live_index import LiveIndex
from hookfarm.outage import Outage
from hookfarm.store import clients, keys
from hookfarm.store.clients import parse_integer

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans

MAX_PASS_SECONDS = 1.25
"""Heartbeat of a pass: half a second in XREADGROUP, and the work on one entry."""
MAX_CONNECT_SECONDS = 10.0
MAX_BATCH_SECONDS = 30.0
"""Heartbeat while reading a batch of endpoints: usually milliseconds, but each may list 100,000 addresses."""
IDLE_SECONDS = 0.25
"""Interval of reading the registry while there is no chain to read."""
CLAIM_INTERVAL_SECONDS = 1.0
COMMAND_TIMEOUT_SECONDS = 2.0
MAX_ENQUEUE_JOBS = 1000
MAX_ENQUEUE_BYTES = 4 * 1024 * 1024
"""Approximate limit of one enqueue script, which blocks Redis."""
MAX_HISTORY_TRIES = 10
"""Max tries to enqueue an entry; a try fails if its log's history has changed. Then the entry stays pending."""
CONFIRM_INTERVAL_SECONDS = 0.25
MAX_FINALITY_SECONDS = 0.05
"""Time limit for final logs, possibly of hundreds of blocks, so that new events are not delayed."""
MAX_BLOCKED_PROBES = 5
_REDIS = "redis"

_log = logs.get(keys.MESSAGE_PROCESSOR)


class Processor:
    """One consumer of the group; each method is one step of the loop in `run`."""

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
        self._live = LiveIndex(self._client, _log, self._on_batch)
        self._outage = Outage(child, _log)
        self._server_run: object = None
        self._client_id = 0
        self._is_up = False
        self._claim_at = 0.0
        self._confirm_at = 0.0

    def run(self) -> None:
        """Run until the child is asked to stop; wait out outages of Redis."""
        while not self._child.stopping:
            try:
                self.connect()
                while not self._child.stopping or self._reader.is_read_sent:
                    self.iterate()
            except RedisError as error:
                self._child.wait(self._on_redis_error(error))
        self.close()

    def connect(self) -> None:
        """Create the groups, read the registry, process the predecessor's entries. Raises RedisError."""
        self._child.slot.heartbeat(MAX_CONNECT_SECONDS)
        server_run = self._client.info("server").get("run_id")
        [self._client_id] = self._connection.execute(("CLIENT", "ID"))
        self._child.slot.set_counter(telemetry.CLIENT_ID, self._client_id)
        if server_run != self._server_run:
            self._live.reload()
            self._server_run = server_run
        self._follow_chains(force=True)
        while self._reader.chains and (left := self._reader.read_own_pending()):
            self._refresh(self._registry_revision())
            self._process(left)
            self._child.slot.add(telemetry.RECLAIMED, len(left))

    def iterate(self) -> None:
        """Run one pass: wait at most half a second for entries, then process the whole batch."""
        self._child.slot.heartbeat(MAX_PASS_SECONDS)
        self._follow_chains()
        if not (self._reader.readable or self._reader.is_read_sent):
            self._idle()
            return
        self._process(self._read())
        self._confirm_if_due()
        self._claim_if_due()
        self._mark_up()

    def _read(self) -> list[StreamEntry]:
        """Return the next entries, after updating the index to at least their revision."""
        if not self._reader.is_read_sent:
            self._reader.send_read()
            self._mark_up_once_blocked()
        entries, revision = self._reader.receive()
        if not self._is_redis_down:
            self._mark_up()
        self._refresh(revision)
        if len(entries) >= event_stream.BATCH_ENTRIES and self._reader.readable and not self._child.stopping:
            self._reader.send_read_ahead()
        return entries

    def close(self) -> None:
        self._connection.close()
        self._client.close()

    def _idle(self) -> None:
        """Wait for a readable chain: none is configured or subscribed to, or all streams are unreadable."""
        self._mark_up()
        self._child.wait(IDLE_SECONDS)
        self._refresh(self._registry_revision())
        self._claim_if_due()

    def _follow_chains(self, force: bool = False) -> None:
        wanted = tuple(sorted(self._configured | self._live.index.chains))
        if force or wanted != self._reader.chains:
            self._reader.follow(wanted)
            telemetry.set_chains(self._child.slot, wanted)
        slot = self._child.slot
        slot.set_counter(telemetry.REGISTRY_REVISION, self._live.revision)
        slot.set_counter(telemetry.ENDPOINTS, self._live.index.endpoints)

    def _registry_revision(self) -> int:
        return parse_integer(keys.REGISTRY_REVISION, self._client.get(keys.REGISTRY_REVISION))

    def _refresh(self, revision: int) -> None:
        if revision != self._live.revision:
            self._live.follow(revision)

    def _on_batch(self, done: int, total: int) -> None:
        """Report the progress of loading the registry; matching starts after it."""
        slot = self._child.slot
        slot.heartbeat(MAX_BATCH_SECONDS)
        if not self._is_up:
            slot.set_counter(telemetry.LOADED, done)
            slot.reason = f"loading endpoints {done:,} of {total:,}" if done < total else ""

    def _confirm_if_due(self) -> None:
        """Enqueue the confirmed jobs and the notifications of final logs."""
        if time.monotonic() < self._confirm_at:
            return
        self._confirm_at = time.monotonic() + CONFIRM_INTERVAL_SECONDS
        for chain_id in self._reader.readable:
            confirmed = delivery_queue.enqueue_confirmed(
                self._connection, chain_id, profile_of(chain_id).tag_blocks
            )
            self._child.slot.add(telemetry.JOBS_ENQUEUED, confirmed.enqueued)
            self._enqueue_finalized(confirmed.final_blocks)

    def _enqueue_finalized(self, blocks: Sequence[str]) -> None:
        """Enqueue notifications for at most MAX_FINALITY_SECONDS; the next call continues."""
        until = time.monotonic() + MAX_FINALITY_SECONDS
        for enqueued in enqueue_finalized(self._connection, self._live.index, blocks):
            self._child.slot.add(telemetry.JOBS_ENQUEUED, enqueued)
            self._child.slot.heartbeat(MAX_PASS_SECONDS)
            if time.monotonic() > until:
                return

    def _claim_if_due(self) -> None:
        if time.monotonic() < self._claim_at:
            return
        self._claim_at = time.monotonic() + CLAIM_INTERVAL_SECONDS
        self._follow_chains(force=bool(self._reader.unreadable))
        self._claim()

    def _claim(self) -> None:
        claimed = self._reader.claim_abandoned()
        if claimed:
            # Claimed entries may be newer than the registry revision of this pass.
            self._refresh(self._registry_revision())
        self._process(claimed)
        self._child.slot.add(telemetry.RECLAIMED, len(claimed))

    def _process(self, entries: list[StreamEntry]) -> None:
        results: list[EntryResult] = []
        unwanted: list[StreamEntry] = []
        jobs = size = 0
        self._read_ns = time.time_ns()
        index, heartbeat = self._live.index, self._child.slot.heartbeat
        heartbeat(MAX_PASS_SECONDS)
        for entry in entries:
            result = process_entry(index, entry)
            if result is None:
                unwanted.append(entry)
                continue
            heartbeat(MAX_PASS_SECONDS)
            results.append(result)
            jobs += len(result.jobs)
            size += sum(len(job.body) for job in result.jobs)
            if jobs >= MAX_ENQUEUE_JOBS or size >= MAX_ENQUEUE_BYTES:
                self._enqueue(results)
                results, jobs, size = [], 0, 0
        self._enqueue(results, unwanted)

    def _enqueue(self, results: list[EntryResult], unwanted: Sequence[StreamEntry] = ()) -> None:
        """Enqueue; then process entries again whose logs have a history, now with that history."""
        enqueued, conflicts = self._enqueue_once(results, unwanted)
        for _ in range(MAX_HISTORY_TRIES):
            conflicting = [r.entry for r in results if r.entry.entry_id in conflicts]
            if not conflicting:
                break
            again = [process_entry(self._live.index, e, conflicts[e.entry_id]) for e in conflicting]
            count, conflicts = self._enqueue_once(
                [r or EntryResult(e) for e, r in zip(conflicting, again, strict=True)]
            )
            enqueued += count
        slot = self._child.slot
        slot.add(telemetry.EVENTS_READ, len(results) + len(unwanted))
        slot.add(telemetry.EVENTS_MATCHED, sum(bool(r.jobs) for r in results))
        slot.add(telemetry.JOBS_ENQUEUED, enqueued)
        slot.add(telemetry.REJECTED, sum(r.invalid is not None for r in results))

    def _enqueue_once(
        self, results: Sequence[EntryResult], unwanted: Sequence[StreamEntry] = ()
    ) -> tuple[int, dict[bytes, str]]:
        done = delivery_queue.enqueue_results(self._connection, results, unwanted)
        if self._spans is not None:
            self._spans.matches(results, done.conflicts, self._read_ns)
        return done.enqueued, done.conflicts

    @property
    def _is_redis_down(self) -> bool:
        return _REDIS in self._outage.sources

    def _mark_up_once_blocked(self) -> None:
        """Mark the child up as soon as Redis lists this connection as blocked in XREADGROUP.

        While entries are waiting XREADGROUP does not block; then its reply marks the child up.
        """
        # After an outage only a complete pass marks it up; with an unreadable stream it stays stalled.
        is_known = self._is_up or self._is_redis_down or self._reader.unreadable
        for _ in range(0 if is_known else MAX_BLOCKED_PROBES):
            [seen] = self._client.client_list(client_id=[self._client_id]) or [{}]
            if "b" in seen.get("flags", "") and seen.get("cmd") == "xreadgroup":
                self._mark_up()
                return

    def _mark_up(self) -> None:
        """Mark the child up, or stalled while a stream is unreadable. Call it only while Redis works."""
        self._report_streams()
        self._outage.recover(_REDIS)
        if self._outage.is_ongoing:
            self._is_up = False
        elif not self._is_up:
            self._is_up = True
            self._child.mark_up()
            chains = ",".join(map(str, self._reader.chains))
            _log.info("reading", chains=chains, endpoints=self._live.index.endpoints)

    def _report_streams(self) -> None:
        unreadable = {f"stream {chain_id}": reason for chain_id, reason in self._reader.unreadable.items()}
        for source, reason in unreadable.items():
            self._outage.fail(source, reason)
        for source in self._outage.sources:
            if source != _REDIS and source not in unreadable:
                self._outage.recover(source)

    def _on_redis_error(self, error: RedisError) -> float:
        """Start or continue an outage; return the seconds to wait before connecting again.

        Entries already read stay pending.
        """
        self._child.slot.heartbeat(MAX_CONNECT_SECONDS)
        self._is_up = False
        self._connection.close()
        self._client.connection_pool.disconnect()
        return self._outage.fail(_REDIS, f"Redis: {clients.explain(error, self._connection)}")
