"""What waits for its block to be final, and what becomes of it then.

A log of which somebody is to be told again is kept once, beside what was told of it; only a processor can make
the jobs of that. So it is read here, made into jobs, and handed back in one script, which does nothing for a log
that was taken back or dealt with by somebody else meanwhile. Dying in between leaves it to the next who looks.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hookfarm.delivery_queue.job import Job
from hookfarm.store import keys
from hookfarm.store.clients import Argument, PipelinedConnection, Reply, ResponseError
from hookfarm.store.scripts import Script

LOGS_AT_ONCE = 100

_FINALIZE = Script("finalize", "facts", "ledger", "told")


class KeptLog(NamedTuple):
    """A log (or transfer) of a block as it waits; `place` and `told` as in LogState, `event` as in Unfinalized."""

    place: str
    told: str
    event: bytes


class Following(NamedTuple):
    """A job that is sent once the delivery `original` is over; at once where there is none ('')."""

    job: Job
    original: str


class Finalized(NamedTuple):
    """A final log: what was told of it before, what is from now on ('' = nothing), and the jobs that say so."""

    place: str
    before: str
    after: str
    jobs: tuple[Following, ...]


def kept_logs(connection: PipelinedConnection, block: str) -> Iterator[list[KeptLog]]:
    """The logs of a block that wait, not too many at once for a script; an empty list where none does.

    `block` is `<chain>:<block hash>`. Any of them may be gone by the time that it is read.
    """
    waiting, told = keys.UNFINALIZED_LOGS + block, keys.HISTORY + block
    [logs] = _answered(connection, ("HKEYS", waiting))
    if not logs:
        yield []
    for start in range(0, len(logs), LOGS_AT_ONCE):
        some = logs[start : start + LOGS_AT_ONCE]
        events, texts = _answered(connection, ("HMGET", waiting, *some), ("HMGET", told, *some))
        found = zip(some, texts, events, strict=True)
        yield [
            KeptLog(place.decode(), (text or b"").decode(), event)
            for place, text, event in found
            if event is not None
        ]


def finalize(connection: PipelinedConnection, block: str, logs: Sequence[Finalized]) -> int:
    """Enqueues what tells of these logs; returns how many jobs. Where none is left the block is done with."""
    chain_id, _, block_hash = block.partition(":")
    arguments: list[Argument] = [chain_id, block_hash]
    for log in logs:
        arguments += [log.place, log.before, log.after, len(log.jobs)]
        for job, original in log.jobs:
            arguments += [job.endpoint, job.id, job.encoded(), original]
    return int(_FINALIZE.call_raw(connection, (), arguments))


def _answered(connection: PipelinedConnection, *commands: tuple[Argument, ...]) -> list[Reply]:
    replies = connection.execute(*commands)
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise reply
    return replies
