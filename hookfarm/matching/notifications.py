"""Event -> notifications: the effects of a stream entry, and of a log whose block is final.

An event becomes one job per matching endpoint. A removed log becomes one job per endpoint that was notified of it.
A log with `finalized` notifications is stored once until its block is final; the notifications then use their
subscriptions' current settings. A transfer is handled like a log.
"""

import zlib
from collections.abc import Iterable, Iterator

import orjson

from hookfarm import delivery_queue, logs
from hookfarm.delivery_queue import (
    EntryResult,
    FinalityUpdate,
    FollowUp,
    HistoryUpdate,
    InvalidEntry,
    Retraction,
    StoredLog,
    StoredUntilFinal,
    UnconfirmedJob,
)
from hookfarm.delivery_queue.job import Job
from hookfarm.errors import InvalidInput
from hookfarm.event_stream import StreamEntry
from hookfarm.event_stream.event_json import load_recognised_log, parse_entry, recognise_log
from hookfarm.matching import history, payload
from hookfarm.matching.decoder import DecodedLogs, WebhookEventField
from hookfarm.matching.history import History, NotifiedEndpoint, Transition
from hookfarm.matching.index import Index, Match
from hookfarm.matching.transfers import decoded_logs_of
from hookfarm.records import ChainEvent
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection

_DEFLATE_DICTIONARY = (
    b'0000000000000000000000000000000000000000000000000000000000000000","removed":false}","block_timestamp":17'
    b'","transaction_hash":"0x","transaction_index":1,"log_index":1,"address":"0x","topics":["0x'
    b'ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef","0x000000000000000000000000","0x'
    b'000000000000000000000000","0x"],"data":"0x{"chain_id":1,"block_number":1,"block_hash":"0x'
)
"""Text of nearly every event. Changing it makes stored logs unreadable, so a change needs a new key."""
_RAW_DEFLATE = -15

_log = logs.get(keys.MESSAGE_PROCESSOR)


# Stream entries


def process_entry(index: Index, entry: StreamEntry, stored_history: str = "") -> EntryResult | None:
    """Return the jobs and updates of an entry; None if no endpoint matches or was notified.

    Never raises for the entry's content: an invalid entry becomes a dead letter with its reason.
    `stored_history`: the log's history as the queue stores it; empty = none known to the caller.
    """
    raw = entry.event
    log = None if raw is None else recognise_log(entry.chain_id, raw)
    event: ChainEvent
    if raw is not None and log is not None:
        if not stored_history and not index.may_match(entry.chain_id, log):
            return None
        event = load_recognised_log(raw)
    else:
        try:
            event = parse_entry(entry)
        except InvalidInput as error:
            return EntryResult(entry, invalid=InvalidEntry(raw or b"", str(error)))
    if event.get("removed"):
        return _process_removed(index, entry, event, stored_history)
    return _process_emitted(index, entry, event, stored_history)


def _process_emitted(
    index: Index, entry: StreamEntry, event: ChainEvent, stored_history: str
) -> EntryResult | None:
    decoded_logs = decoded_logs_of(event)
    matches = {NotifiedEndpoint(m.endpoint, m.subscription, m.notify): m for m in index.match(event, decoded_logs)}
    if not matches and not stored_history:
        return None
    before = History.decode(stored_history)
    transition = history.on_emitted(entry.entry_id.decode(), before, matches)
    jobs: list[Job] = []
    unconfirmed: list[UnconfirmedJob] = []
    for receiver in transition.emit:
        match = matches[receiver]
        job = _emitted_job(event, match, decoded_logs, transition.generation)
        if match.confirmations == 0:
            jobs.append(job)
        else:
            unconfirmed.append(_unconfirmed(event, match, job))
    return EntryResult(
        entry,
        tuple(jobs),
        unconfirmed=tuple(unconfirmed),
        history=_history_update(event, stored_history, transition),
        awaits_finality=_awaits_finality(event, before, transition),
    )


def _process_removed(index: Index, entry: StreamEntry, event: ChainEvent, stored_history: str) -> EntryResult:
    decoded_logs = decoded_logs_of(event)
    before = History.decode(stored_history)
    transition = history.on_removed(entry.entry_id.decode(), before)
    generation = transition.generation
    return EntryResult(
        entry,
        retractions=tuple(_retraction(index, event, r, decoded_logs, generation) for r in transition.retract),
        history=_history_update(event, stored_history, transition),
        awaits_finality=_awaits_finality(event, before, transition),
    )


def _emitted_job(event: ChainEvent, match: Match, decoded_logs: DecodedLogs, generation: int) -> Job:
    decoded = None if match.signature is None else decoded_logs.as_json(match.signature)
    body = payload.emitted_body(event, decoded, match.subscription, match.confirmations)
    identity = payload.webhook_id(event, match.endpoint, payload.LOG_EMITTED, generation)
    return Job(identity, match.endpoint, body)


def _unconfirmed(event: ChainEvent, match: Match, job: Job) -> UnconfirmedJob:
    if isinstance(match.confirmations, str):
        return UnconfirmedJob(job, match.confirmations, event["block_number"])
    return UnconfirmedJob(job, "blocks", event["block_number"] + match.confirmations)


def _retraction(
    index: Index, event: ChainEvent, receiver: NotifiedEndpoint, decoded_logs: DecodedLogs, generation: int
) -> Retraction:
    endpoint = receiver.endpoint
    types = ((history.EMITTED, payload.LOG_EMITTED), (history.FINALIZED_SENT, payload.LOG_FINALIZED))
    sent = [
        payload.webhook_id(event, endpoint, log_type, generation)
        for letter, log_type in types
        if letter in receiver.notify
    ]
    if history.REMOVED not in receiver.notify:
        return Retraction(endpoint, tuple(sent))
    decoded = _decode_for(index, receiver, decoded_logs)
    identity = payload.webhook_id(event, endpoint, payload.LOG_REMOVED, generation)
    body = payload.removed_body(event, decoded, receiver.subscription, sent[0])
    return Retraction(endpoint, tuple(sent), Job(identity, endpoint, body))


def _decode_for(index: Index, receiver: NotifiedEndpoint, decoded_logs: DecodedLogs) -> WebhookEventField | None:
    """Decode by the receiver's current subscription; None if it is deleted or does not fit."""
    signature = index.signature_of(receiver.endpoint, receiver.subscription)
    return None if signature is None else decoded_logs.as_json(signature)


def _history_update(event: ChainEvent, stored_history: str, transition: Transition) -> HistoryUpdate:
    block = f"{event['chain_id']}:{event['block_hash']}"
    return HistoryUpdate(block, payload.log_position(event), stored_history, _encode_after(transition))


def _encode_after(transition: Transition) -> str:
    return "" if transition.after is None else transition.after.encode()


def _awaits_finality(event: ChainEvent, before: History | None, transition: Transition) -> StoredUntilFinal | None:
    """Return the change of the log's storage until finality; None = unchanged."""
    awaited = before is not None and before.awaits_finality
    if transition.after is None or transition.after.awaits_finality == awaited:
        return None
    return StoredUntilFinal(event["block_number"], b"" if awaited else deflate(event))


# Final logs


def enqueue_finalized(connection: PipelinedConnection, index: Index, blocks: Iterable[str]) -> Iterator[int]:
    """Enqueue the notifications of these final blocks' logs in batches; yield the number of jobs of each.

    If the caller stops early, the remaining logs stay stored.
    """
    for block in blocks:
        for stored in delivery_queue.read_stored_logs(connection, block):
            yield delivery_queue.finalize(
                connection, block, [finality_update(index, block, log) for log in stored]
            )


def finality_update(index: Index, block: str, log: StoredLog) -> FinalityUpdate:
    """Return the effect of finality on a stored log. An unreadable log is logged and has no effect."""
    before = History.decode(log.history)
    try:
        event = inflate(log.event, block.partition(":")[2])
    except (zlib.error, ValueError) as error:
        _log.error("stored log cannot be read", block=block, log=log.position, reason=str(error))
        before = None
    if before is None:
        return FinalityUpdate(log.position, log.history, "", ())
    transition = history.on_finalized(before)
    jobs = follow_ups(index, event, transition)
    return FinalityUpdate(log.position, log.history, _encode_after(transition), jobs)


def follow_ups(index: Index, event: ChainEvent, transition: Transition) -> tuple[FollowUp, ...]:
    """Return the `finalized` notifications of a log."""
    if not transition.finalize:
        return ()
    decoded_logs = decoded_logs_of(event)
    generation = transition.generation
    return tuple(_follow_up(index, event, receiver, decoded_logs, generation) for receiver in transition.finalize)


def _follow_up(
    index: Index, event: ChainEvent, receiver: NotifiedEndpoint, decoded_logs: DecodedLogs, generation: int
) -> FollowUp:
    endpoint = receiver.endpoint
    original = None
    if history.EMITTED in receiver.notify:
        original = payload.webhook_id(event, endpoint, payload.LOG_EMITTED, generation)
    identity = payload.webhook_id(event, endpoint, payload.LOG_FINALIZED, generation)
    decoded = _decode_for(index, receiver, decoded_logs)
    body = payload.finalized_body(event, decoded, receiver.subscription, original)
    return FollowUp(Job(identity, endpoint, body), original or "")


# Stored logs: deflated with a dictionary, a transfer takes about 200 bytes; a job per endpoint would take 1,100


def deflate(event: ChainEvent) -> bytes:
    packer = zlib.compressobj(wbits=_RAW_DEFLATE, zdict=_DEFLATE_DICTIONARY + event["block_hash"].encode())
    return packer.compress(orjson.dumps(event)) + packer.flush()


def inflate(stored: bytes, block_hash: str) -> ChainEvent:
    """Undo `deflate`; `block_hash` is the event's. Raises zlib.error or ValueError for damaged data."""
    unpacker = zlib.decompressobj(wbits=_RAW_DEFLATE, zdict=_DEFLATE_DICTIONARY + block_hash.encode())
    event: ChainEvent = orjson.loads(unpacker.decompress(stored))
    return event
