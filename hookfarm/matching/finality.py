"""Logs whose block is final -> a job for each endpoint that wants to be told that.

An endpoint is told with the words of its subscription as it is now, as when a log is taken back.
"""

import zlib
from collections.abc import Iterable, Iterator

from hookfarm import delivery_queue, logs
from hookfarm.delivery_queue import Finalized, Following, KeptLog
from hookfarm.delivery_queue.job import Job
from hookfarm.matching import history, kept_event, payload
from hookfarm.matching.decoder import Meanings
from hookfarm.matching.history import Receiver, Step, Told
from hookfarm.matching.index import Index
from hookfarm.matching.notifications import meaning
from hookfarm.matching.transfers import meanings_of
from hookfarm.records import ChainEvent
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection

_log = logs.get(keys.MESSAGE_PROCESSOR)


def announce(connection: PipelinedConnection, index: Index, blocks: Iterable[str]) -> Iterator[int]:
    """Tells of the logs of these final blocks, some at a time; yields how many jobs that made.

    Whoever stops in between leaves the others as they were.
    """
    for block in blocks:
        for some in delivery_queue.kept_logs(connection, block):
            yield delivery_queue.finalize(connection, block, [finalized(index, block, log) for log in some])


def finalized(index: Index, block: str, log: KeptLog) -> Finalized:
    """What becomes of a log whose block is final; nothing where it can't be read, which is said."""
    before = Told.decode(log.told)
    try:
        event = kept_event.inflated(log.event, block.partition(":")[2])
    except (zlib.error, ValueError) as error:
        _log.error("log kept until it is final cannot be read", block=block, log=log.place, reason=str(error))
        before = None
    if before is None:
        return Finalized(log.place, log.told, "", ())
    step = history.finalized(before)
    jobs = following(index, event, step)
    return Finalized(log.place, log.told, step.kept.encode() if step.kept else "", jobs)


def following(index: Index, event: ChainEvent, step: Step) -> tuple[Following, ...]:
    """What tells those who are to know that the log is final."""
    if not step.finalize:
        return ()
    meanings = meanings_of(event)
    return tuple(_job(index, event, receiver, meanings, step.generation) for receiver in step.finalize)


def _job(index: Index, event: ChainEvent, receiver: Receiver, meanings: Meanings, generation: int) -> Following:
    endpoint = receiver.endpoint
    original = None
    if history.EMITTED in receiver.notify:
        original = payload.webhook_id(event, endpoint, payload.LOG_EMITTED, generation)
    identity = payload.webhook_id(event, endpoint, payload.LOG_FINALIZED, generation)
    body = payload.finalized(event, meaning(index, receiver, meanings), receiver.subscription, original)
    return Following(Job(identity, endpoint, body), original or "")
