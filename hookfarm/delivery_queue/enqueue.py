"""Enqueue the results of stream entries, and jobs that have their confirmations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hookfarm.delivery_queue.job import Job, invalid_job
from hookfarm.event_stream import StreamEntry
from hookfarm.store import keys
from hookfarm.store.clients import Argument, PipelinedConnection
from hookfarm.store.scripts import Script

_ENQUEUE = Script("enqueue")
_CONFIRM = Script("confirm")


@dataclass(frozen=True)
class InvalidEntry:
    """A malformed entry; it becomes a dead letter with the reason."""

    raw: bytes
    reason: str


class UnconfirmedJob(NamedTuple):
    """A job that waits until the chain's `head` (`blocks`, `safe` or `finalized`) reaches `block`."""

    job: Job
    head: str
    block: int


class Retraction(NamedTuple):
    """Deliveries of a removed log to one endpoint, in the order of their sending; unsent ones are dropped.

    If the first one was sent, `job` (the `removed` notification) follows. None = the endpoint does not want it.
    """

    endpoint: str
    originals: tuple[str, ...]
    job: Job | None = None


class StoredUntilFinal(NamedTuple):
    """A log to store until block `block_number` is final; empty `stored` = delete it."""

    block_number: int
    stored: bytes


class HistoryUpdate(NamedTuple):
    """Compare-and-set of a log's history: if the stored one is `before`, `after` replaces it ('' = no change).

    `block` is `<chain>:<block hash>`. `position` is the log index; for a transfer, it is a string that cannot be
    a log index.
    """

    block: str
    position: int | str
    before: str
    after: str


@dataclass(frozen=True)
class EntryResult:
    """Jobs, history update and retractions of one stream entry."""

    entry: StreamEntry
    jobs: tuple[Job, ...] = ()
    invalid: InvalidEntry | None = None
    unconfirmed: tuple[UnconfirmedJob, ...] = ()
    retractions: tuple[Retraction, ...] = ()
    history: HistoryUpdate | None = None
    awaits_finality: StoredUntilFinal | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.jobs or self.invalid or self.unconfirmed or self.retractions or self.history)


@dataclass(frozen=True)
class EnqueueResult:
    """`enqueued` is the number of jobs. `conflicts` maps entry ids to stored histories.

    An entry has a conflict if the stored history of its log differs from the caller's `before`. The entry is not
    acknowledged; process it again with the stored history.
    """

    enqueued: int
    conflicts: dict[bytes, str]


class ConfirmResult(NamedTuple):
    """`enqueued` is the number of jobs.

    `final_blocks` contains `<chain>:<block hash>` of final blocks with stored logs (see `finalize`).
    """

    enqueued: int
    final_blocks: tuple[str, ...]


def enqueue_results(
    connection: PipelinedConnection, results: Sequence[EntryResult], unwanted: Sequence[StreamEntry] = ()
) -> EnqueueResult:
    """Acknowledge entries and enqueue their results, with one script call per chain.

    Results of an entry that another consumer has acknowledged are dropped. `unwanted` are entries without a
    result.
    """
    by_chain: dict[int, tuple[list[EntryResult], list[bytes]]] = {}
    for result in results:
        by_chain.setdefault(result.entry.chain_id, ([], []))[0].append(result)
    for chain_id, entry_id, _ in unwanted:
        by_chain.setdefault(chain_id, ([], []))[1].append(entry_id)
    enqueued, conflicts = 0, {}
    for chain_id, (of_chain, plain) in by_chain.items():
        count, *differing = _ENQUEUE.call_raw(connection, (keys.events(chain_id),), _arguments(of_chain, plain))
        enqueued += int(count)
        conflicts.update({entry: stored.decode() for entry, stored in zip(*[iter(differing)] * 2, strict=True)})
    return EnqueueResult(enqueued, conflicts)


def _arguments(results: Sequence[EntryResult], unwanted: Sequence[bytes]) -> list[Argument]:
    plain = [*unwanted, *(result.entry.entry_id for result in results if result.is_empty)]
    arguments: list[Argument] = [keys.PROCESSOR_GROUP, len(plain), *plain]
    for result in results:
        if result.is_empty:
            continue
        parts = _parts(result)
        history = result.history or HistoryUpdate("", 0, "", "")
        arguments += [result.entry.entry_id, *history, len(parts) // 5, *parts]
    return arguments


def _parts(result: EntryResult) -> list[Argument]:
    """Return five fields for each part of a result: kind, endpoint, id, job, and a field of the kind."""
    parts: list[Argument] = []
    for job in result.jobs:
        parts += ["job", job.endpoint, job.id, job.encoded(), ""]
    for job, head, block in result.unconfirmed:
        parts += ["unconfirmed", job.endpoint, job.id, job.encoded(), f"{result.entry.chain_id}:{head} {block}"]
    for endpoint, originals, removal in result.retractions:
        following: list[Argument] = [removal.id, removal.encoded()] if removal else ["", ""]
        parts += ["retraction", endpoint, *following, " ".join(originals)]
    if result.awaits_finality is not None:
        number, stored = result.awaits_finality
        parts += ["await_finality", "", "", stored, number]
    if result.invalid is not None:
        source = f"{keys.events(result.entry.chain_id)} {result.entry.entry_id.decode()}"
        parts += ["dead", "", *invalid_job(result.invalid.raw, result.invalid.reason, source), ""]
    return parts


def enqueue_confirmed(
    connection: PipelinedConnection,
    chain_id: int,
    tag_blocks: Mapping[str, int],
    max_jobs: int = 1000,
    max_blocks: int = 100,
) -> ConfirmResult:
    """Enqueue jobs of a chain that have their confirmations, at most `max_jobs` for each head.

    `tag_blocks` replace `safe` and `finalized` if the chain's nodes have no block for them.
    """
    chain = (
        keys.events(chain_id),
        keys.heads(chain_id),
        keys.head_marks(chain_id),
        keys.confirmed_heads(chain_id),
    )
    limits = (chain_id, max_jobs, tag_blocks["safe"], tag_blocks["finalized"], max_blocks)
    enqueued, *final = _CONFIRM.call_raw(connection, chain, limits)
    return ConfirmResult(int(enqueued), tuple(f"{chain_id}:{block_hash.decode()}" for block_hash in final))
