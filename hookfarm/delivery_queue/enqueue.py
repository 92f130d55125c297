"""From the processors into the queue: what became of stream entries, and what waited for confirmations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hookfarm.delivery_queue.job import Job, garbage
from hookfarm.event_stream import Entry
from hookfarm.store import keys
from hookfarm.store.clients import Argument, PipelinedConnection
from hookfarm.store.scripts import Script

SAFE_CONFIRMATIONS, FINALIZED_CONFIRMATIONS = 32, 64
"""What stands for `safe` and `finalized` on a chain whose nodes don't tell: one and two epochs of Ethereum."""

_HAND_OFF = Script("hand_off", "types", "facts", "places", "ledger", "told")
_CONFIRM = Script("confirm", "facts", "ledger")


@dataclass(frozen=True)
class Rejected:
    """An entry that can never become jobs, and why."""

    raw: bytes
    reason: str


class Waiting(NamedTuple):
    """A job that waits until `block` is reached on one of a chain's lines: `blocks`, `safe` or `finalized`."""

    job: Job
    line: str
    block: int


class Removal(NamedTuple):
    """Takes back these deliveries to an endpoint, in the order in which they are sent: what was not sent never is.

    `job` follows them, should the first have been sent; None = the endpoint does not want to be told.
    """

    endpoint: str
    originals: tuple[str, ...]
    job: Job | None = None


class Unfinalized(NamedTuple):
    """The entry's log as it is kept until its block, of that number, is final; nothing = not any longer."""

    block_number: int
    kept: bytes


class LogState(NamedTuple):
    """What was told of one log, as its processor writes it: `before` is compared, `after` kept ('' = no change).

    `block` is `<chain>:<block hash>`. `log_index`: for a transfer, a text that is no log's.
    """

    block: str
    log_index: int | str
    before: str
    after: str


@dataclass(frozen=True)
class Handled:
    """What became of one stream entry."""

    entry: Entry
    jobs: tuple[Job, ...] = ()
    rejected: Rejected | None = None
    waiting: tuple[Waiting, ...] = ()
    removals: tuple[Removal, ...] = ()
    log: LogState | None = None
    unfinalized: Unfinalized | None = None

    @property
    def is_nothing(self) -> bool:
        return not (self.jobs or self.rejected or self.waiting or self.removals or self.log)


@dataclass(frozen=True)
class HandedOff:
    """`enqueued`: how many jobs. `told`: entry -> what was told of its log before, where that was not what the
    caller thought; such an entry is still the caller's to handle."""

    enqueued: int
    told: dict[bytes, str]


class Confirmed(NamedTuple):
    """`enqueued`: how many jobs. `final`: blocks, `<chain>:<block hash>`, that have become final and of which
    something waits for that (see `finalizing`)."""

    enqueued: int
    final: tuple[str, ...]


def hand_off(
    connection: PipelinedConnection, handled: Sequence[Handled], nothing: Sequence[Entry] = ()
) -> HandedOff:
    """Acknowledges the entries and enqueues what became of them, one script a chain.

    An entry that somebody else acknowledged first adds nothing. `nothing`: entries that became nothing.
    """
    by_chain: dict[int, tuple[list[Handled], list[bytes]]] = {}
    for item in handled:
        by_chain.setdefault(item.entry.chain_id, ([], []))[0].append(item)
    for chain_id, entry_id, _ in nothing:
        by_chain.setdefault(chain_id, ([], []))[1].append(entry_id)
    enqueued, told = 0, {}
    for chain_id, (items, plain) in by_chain.items():
        count, *differing = _HAND_OFF.call_raw(
            connection, (keys.events(chain_id),), _hand_off_arguments(items, plain)
        )
        enqueued += int(count)
        told.update({entry: before.decode() for entry, before in zip(*[iter(differing)] * 2, strict=True)})
    return HandedOff(enqueued, told)


def _hand_off_arguments(items: Sequence[Handled], nothing: Sequence[bytes]) -> list[Argument]:
    plain = [*nothing, *(item.entry.entry_id for item in items if item.is_nothing)]
    arguments: list[Argument] = [keys.PROCESSOR_GROUP, len(plain), *plain]
    for item in items:
        if item.is_nothing:
            continue
        parts = _parts(item)
        log = item.log or LogState("", 0, "", "")
        arguments += [item.entry.entry_id, *log, len(parts) // 5, *parts]
    return arguments


def _parts(item: Handled) -> list[Argument]:
    """Kind, endpoint, id, job and something more for each thing that became of an entry."""
    parts: list[Argument] = []
    for job in item.jobs:
        parts += ["job", job.endpoint, job.id, job.encoded(), ""]
    for job, line, block in item.waiting:
        parts += ["wait", job.endpoint, job.id, job.encoded(), f"{item.entry.chain_id}:{line} {block}"]
    for endpoint, originals, removal in item.removals:
        following: list[Argument] = [removal.id, removal.encoded()] if removal else ["", ""]
        parts += ["removed", endpoint, *following, " ".join(originals)]
    if item.unfinalized is not None:
        number, kept = item.unfinalized
        parts += ["unfinalized", "", "", kept, number]
    if item.rejected is not None:
        source = f"{keys.events(item.entry.chain_id)} {item.entry.entry_id.decode()}"
        parts += ["dead", "", *garbage(item.rejected.raw, item.rejected.reason, source), ""]
    return parts


def confirm_waiting(
    connection: PipelinedConnection, chain_id: int, most: int = 1000, most_blocks: int = 100
) -> Confirmed:
    """Enqueues the jobs whose confirmations are there."""
    chain = (
        keys.events(chain_id),
        keys.heads(chain_id),
        keys.head_marks(chain_id),
        keys.confirmed_heads(chain_id),
    )
    limits = (chain_id, most, SAFE_CONFIRMATIONS, FINALIZED_CONFIRMATIONS, most_blocks)
    enqueued, *final = _CONFIRM.call_raw(connection, chain, limits)
    return Confirmed(int(enqueued), tuple(f"{chain_id}:{block_hash.decode()}" for block_hash in final))
