"""Hop 2: the list `delivery_queue` and the ledger behind it, from the processors to the delivery processes.

BRPOP removes an element before the worker has it, so the list holds only an index entry: the job itself stays
in the ledger until it is settled. A SIGKILL between pop and settle leaves a job that is open, below the
watermark and held by nobody, which is how it is found again.

    {delivery_queue}:jobs           id -> job (JSON)      the ledger: the truth
    {delivery_queue}:open           id -> sequence        in the list, or in a worker
    {delivery_queue}:retry          id -> due ms          waiting for its next attempt
    {delivery_queue}:parked:<ep>    id -> place           over its endpoint's window, or the endpoint is paused
    {delivery_queue}:dead           id -> ms of death     a dead letter, with its reason in the job

Invariant: the ids of `jobs` are the disjoint union of `open`, `retry`, every `parked` and `dead`. Every move
between them is one script. Only scripts give out sequences and our own jobs are only ever LPUSHed, so the order
of the list is the order of sequences. How windows work is told in store/lua/shared/ledger.lua.

What was delivered leaves the ledger for the delivery log (delivery_log.py), in the same script.
"""

from hookfarm.delivery_queue.depths import DEPTHS_ASKED, Depths, ask_depths, depths, depths_answered
from hookfarm.delivery_queue.enqueue import (
    AwaitsFinality,
    ConfirmResult,
    EnqueueResult,
    EntryResult,
    HistoryUpdate,
    InvalidEntry,
    Retraction,
    UnconfirmedJob,
    enqueue_confirmed,
    enqueue_results,
)
from hookfarm.delivery_queue.finalize import FinalityUpdate, FollowUp, StoredLog, finalize, read_stored_logs
from hookfarm.delivery_queue.recover import (
    HOLDER_SILENT_MILLISECONDS,
    MAX_ORPHANED,
    Orphan,
    hold,
    holders,
    promote,
    release,
    requeue_held,
    requeue_orphan,
    watermark,
)
from hookfarm.delivery_queue.settle import (
    DISABLE_ENDPOINT,
    Attempt,
    HealthSignal,
    Settlement,
    delivered,
    failed,
    parked,
    read_settlement,
    returned,
    settle_sync,
)
from hookfarm.delivery_queue.take import (
    BLOCK_SECONDS,
    FENCE_SECONDS,
    JobSource,
    SourceEvents,
    adopt,
    load_scripts,
    read_job,
    send_pop,
)

__all__ = [
    "BLOCK_SECONDS",
    "DEPTHS_ASKED",
    "DISABLE_ENDPOINT",
    "FENCE_SECONDS",
    "HOLDER_SILENT_MILLISECONDS",
    "MAX_ORPHANED",
    "Attempt",
    "AwaitsFinality",
    "ConfirmResult",
    "Depths",
    "EnqueueResult",
    "EntryResult",
    "FinalityUpdate",
    "FollowUp",
    "HealthSignal",
    "HistoryUpdate",
    "InvalidEntry",
    "JobSource",
    "Orphan",
    "Retraction",
    "Settlement",
    "SourceEvents",
    "StoredLog",
    "UnconfirmedJob",
    "adopt",
    "ask_depths",
    "delivered",
    "depths",
    "depths_answered",
    "enqueue_confirmed",
    "enqueue_results",
    "failed",
    "finalize",
    "hold",
    "holders",
    "load_scripts",
    "parked",
    "promote",
    "read_job",
    "read_settlement",
    "read_stored_logs",
    "release",
    "requeue_held",
    "requeue_orphan",
    "returned",
    "send_pop",
    "settle_sync",
    "watermark",
]
