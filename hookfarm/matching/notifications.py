"""One stream entry -> what becomes of it: a job for each endpoint that wants the event, or a rejection.

A log that was taken back becomes a job for each endpoint that was told of it. One that somebody wants to be told
of again once it is final is kept until then, once for all of them; what follows is told in `finality`. A transfer
fares as a log does.
"""

from hookfarm.delivery_queue import Handled, LogState, Rejected, Removal, Unfinalized, Waiting
from hookfarm.delivery_queue.job import Job
from hookfarm.errors import InvalidInput
from hookfarm.event_stream import Entry
from hookfarm.matching import history, kept_event, payload
from hookfarm.matching.decoder import Decoded, Meanings
from hookfarm.matching.entry import canonical_log, read_event
from hookfarm.matching.history import Receiver, Step, Told
from hookfarm.matching.index import Index, Match
from hookfarm.matching.transfers import meanings_of
from hookfarm.records import ChainEvent


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
    meanings = meanings_of(event)
    if event.get("removed"):
        return _taken_back(index, entry, event, meanings, before)
    matches = {Receiver(m.endpoint, m.subscription, m.notify): m for m in index.match(event, meanings)}
    if not matches and not before:
        return Handled(entry)
    known = Told.decode(before)
    step = history.emitted(entry.entry_id.decode(), known, matches)
    jobs: list[Job] = []
    waiting: list[Waiting] = []
    for receiver in step.emit:
        match = matches[receiver]
        job = _emitted(event, match, meanings, step.generation)
        if match.confirmations == 0:
            jobs.append(job)
        else:
            waiting.append(_waiting(event, match, job))
    log, unfinalized = _log_state(event, before, step), _unfinalized(event, known, step)
    return Handled(entry, tuple(jobs), waiting=tuple(waiting), log=log, unfinalized=unfinalized)


def _taken_back(index: Index, entry: Entry, event: ChainEvent, meanings: Meanings, before: str) -> Handled:
    known = Told.decode(before)
    step = history.removed(entry.entry_id.decode(), known)
    removals = tuple(_removal(index, event, receiver, meanings, step.generation) for receiver in step.take_back)
    log, unfinalized = _log_state(event, before, step), _unfinalized(event, known, step)
    return Handled(entry, removals=removals, log=log, unfinalized=unfinalized)


def _emitted(event: ChainEvent, match: Match, meanings: Meanings, generation: int) -> Job:
    decoded = None if match.signature is None else meanings.under(match.signature)
    body = payload.emitted(event, decoded, match.subscription, match.confirmations)
    identity = payload.webhook_id(event, match.endpoint, payload.LOG_EMITTED, generation)
    return Job(identity, match.endpoint, body)


def _waiting(event: ChainEvent, match: Match, job: Job) -> Waiting:
    if isinstance(match.confirmations, str):
        return Waiting(job, match.confirmations, event["block_number"])
    return Waiting(job, "blocks", event["block_number"] + match.confirmations)


def _removal(index: Index, event: ChainEvent, receiver: Receiver, meanings: Meanings, generation: int) -> Removal:
    endpoint = receiver.endpoint
    sent = [
        payload.webhook_id(event, endpoint, kind, generation)
        for letter, kind in ((history.EMITTED, payload.LOG_EMITTED), (history.TOLD_FINAL, payload.LOG_FINALIZED))
        if letter in receiver.notify
    ]
    if history.REMOVED not in receiver.notify:
        return Removal(endpoint, tuple(sent))
    decoded = meaning(index, receiver, meanings)
    identity = payload.webhook_id(event, endpoint, payload.LOG_REMOVED, generation)
    body = payload.removed(event, decoded, receiver.subscription, sent[0])
    return Removal(endpoint, tuple(sent), Job(identity, endpoint, body))


def meaning(index: Index, receiver: Receiver, meanings: Meanings) -> Decoded | None:
    """The event as the receiver's subscription decodes it now; None where it does not, or is gone."""
    signature = index.signature_of(receiver.endpoint, receiver.subscription)
    return None if signature is None else meanings.under(signature)


def _unfinalized(event: ChainEvent, before: Told | None, step: Step) -> Unfinalized | None:
    """What changes in whether the log is kept until it is final; None = nothing."""
    awaited = before is not None and before.awaits_finality
    if step.kept is None or step.kept.awaits_finality == awaited:
        return None
    return Unfinalized(event["block_number"], b"" if awaited else kept_event.deflated(event))


def _log_state(event: ChainEvent, before: str, step: Step) -> LogState:
    block = f"{event['chain_id']}:{event['block_hash']}"
    return LogState(block, payload.place(event), before, step.kept.encode() if step.kept else "")
