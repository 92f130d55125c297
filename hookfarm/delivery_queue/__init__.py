"""Hop 2: the list `delivery_queue` and its ledger, from the processors to the delivery processes.

BRPOP removes an element before the worker has it, so an element is only an index entry. The job itself stays in
the ledger until it is settled. After a SIGKILL between pop and settlement, the job is open, below the watermark
and held by no worker; the sweep finds it.

    {delivery_queue}:jobs           id -> job (JSON)      the ledger
    {delivery_queue}:open           id -> sequence        in the list, or in a worker
    {delivery_queue}:retry          id -> due ms          waiting for its next attempt
    {delivery_queue}:parked:<ep>    id -> position        over its endpoint's window, or the endpoint is disabled
    {delivery_queue}:dead           id -> ms of death     a dead letter; the job contains the reason

Invariant: the ids of `jobs` are the disjoint union of `open`, `retry`, every `parked`, `dead` and `delivered`.
Every move between them is one script. Scripts assign the sequences and LPUSH each job, so the list is ordered by
sequence. docs/decisions/0002-windows.md explains windows.

A delivered job stays in `jobs`, with its last attempt in `{delivery_queue}:delivered`, until the delivery log
(deliveries/log.py) is trimmed.
"""

from hookfarm.delivery_queue.depths import DEPTH_REPLIES, Depths, parse_depths, read_depths, request_depths
from hookfarm.delivery_queue.enqueue import (
    ConfirmResult,
    EnqueueResult,
    EntryResult,
    HistoryUpdate,
    InvalidEntry,
    Retraction,
    StoredUntilFinal,
    UnconfirmedJob,
    enqueue_confirmed,
    enqueue_results,
)
from hookfarm.delivery_queue.finalize import FinalityUpdate, FollowUp, StoredLog, finalize, read_stored_logs
from hookfarm.delivery_queue.recover import (
    FARM_TIMEOUT_MS,
    MAX_ORPHANED,
    FarmLimits,
    OrphanState,
    clear_held,
    farms,
    repair_pool,
    requeue_crashed,
    requeue_orphan,
    sweep,
    tick,
)
from hookfarm.delivery_queue.settle import (
    Attempt,
    HealthSignal,
    Settlement,
    delivered,
    failed,
    parked,
    returned,
)
from hookfarm.delivery_queue.take import BLOCK_SECONDS, JobSource, SourceEvents

__all__ = [
    "BLOCK_SECONDS",
    "DEPTH_REPLIES",
    "FARM_TIMEOUT_MS",
    "MAX_ORPHANED",
    "Attempt",
    "ConfirmResult",
    "Depths",
    "EnqueueResult",
    "EntryResult",
    "FarmLimits",
    "FinalityUpdate",
    "FollowUp",
    "HealthSignal",
    "HistoryUpdate",
    "InvalidEntry",
    "JobSource",
    "OrphanState",
    "Retraction",
    "Settlement",
    "SourceEvents",
    "StoredLog",
    "StoredUntilFinal",
    "UnconfirmedJob",
    "clear_held",
    "delivered",
    "enqueue_confirmed",
    "enqueue_results",
    "failed",
    "farms",
    "finalize",
    "parked",
    "parse_depths",
    "read_depths",
    "read_stored_logs",
    "repair_pool",
    "request_depths",
    "requeue_crashed",
    "requeue_orphan",
    "returned",
    "sweep",
    "tick",
]
