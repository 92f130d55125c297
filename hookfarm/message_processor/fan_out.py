"""One stream entry -> what becomes of it: a job for each endpoint that wants the event, or a rejection.

A log that was taken back becomes a job for each endpoint that was told of it.
"""

from hookfarm.delivery_queue import Handled, LogState, Rejected, Removal, Waiting
from hookfarm.errors import InvalidInput
from hookfarm.event_stream import Entry
from hookfarm.jobs import Job
from hookfarm.message_processor import payload, told
from hookfarm.message_processor.decoder import Meanings
from hookfarm.message_processor.entries import canonical_log, read_event
from hookfarm.message_processor.matcher import Index, Match
from hookfarm.message_processor.told import Receiver, Step, Told
from hookfarm.records import Event


def concerns_nobody(index: Index, entry: Entry) -> bool:
    """True for an event that becomes nothing; of most of them two looks tell, and `handle` need not be asked."""
    log = canonical_log(entry)
    return log is not None and not index.may_want(entry.chain_id, log)


def handle(index: Index, entry: Entry, before: str = "") -> Handled:
    """Never raises for what is in the entry: what is no event is rejected with its reason.

    `before`: what was told of the log so far, as the queue has it; nothing, as far as anybody knows.
    """
    try:
        event = read_event(entry)
    except InvalidInput as error:
        return Handled(entry, rejected=Rejected(entry.event or b"", str(error)))
    meanings = Meanings(event)
    if event.get("removed"):
        return _taken_back(index, entry, event, meanings, before)
    matches = {(match.endpoint, match.subscription): match for match in index.match(event, meanings)}
    if not matches and not before:
        return Handled(entry)
    step = told.emitted(entry.entry_id.decode(), Told.decode(before), matches)
    jobs: list[Job] = []
    waiting: list[Waiting] = []
    for receiver in step.emit:
        match = matches[receiver]
        job = _emitted(event, match, meanings, step.generation)
        if match.confirmations == 0:
            jobs.append(job)
        else:
            waiting.append(_waiting(event, match, job))
    return Handled(entry, tuple(jobs), waiting=tuple(waiting), log=_log_state(event, before, step))


def _taken_back(index: Index, entry: Entry, event: Event, meanings: Meanings, before: str) -> Handled:
    step = told.removed(entry.entry_id.decode(), Told.decode(before))
    removals = tuple(_removal(index, event, receiver, meanings, step.generation) for receiver in step.take_back)
    return Handled(entry, removals=removals, log=_log_state(event, before, step))


def _emitted(event: Event, match: Match, meanings: Meanings, generation: int) -> Job:
    decoded = None if match.signature is None else meanings.under(match.signature)
    body = payload.emitted(event, decoded, match.subscription, match.confirmations)
    identity = payload.webhook_id(event, match.endpoint, payload.LOG_EMITTED, generation)
    return Job(identity, match.endpoint, body)


def _waiting(event: Event, match: Match, job: Job) -> Waiting:
    if isinstance(match.confirmations, str):
        return Waiting(job, match.confirmations, event["block_number"])
    return Waiting(job, "blocks", event["block_number"] + match.confirmations)


def _removal(index: Index, event: Event, receiver: Receiver, meanings: Meanings, generation: int) -> Removal:
    endpoint, subscription = receiver
    signature = index.signature_of(endpoint, subscription)
    decoded = None if signature is None else meanings.under(signature)
    original = payload.webhook_id(event, endpoint, payload.LOG_EMITTED, generation)
    identity = payload.webhook_id(event, endpoint, payload.LOG_REMOVED, generation)
    return Removal(Job(identity, endpoint, payload.removed(event, decoded, subscription, original)), original)


def _log_state(event: Event, before: str, step: Step) -> LogState:
    block = f"{event['chain_id']}:{event['block_hash']}"
    return LogState(block, event["log_index"], before, step.kept.encode() if step.kept else "")
