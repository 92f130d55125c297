"""Hop 2: the list `delivery_queue` and the ledger behind it, from the processors to the delivery processes.

BRPOP removes an element before the worker has it, so the list holds only an index entry: the job itself stays
in the ledger until it is settled. A SIGKILL between pop and settle leaves a job that is open, below the
watermark and held by no worker, which is how it is found again.

    {delivery_queue}:jobs           id -> job (JSON)      the ledger: the truth
    {delivery_queue}:open           id -> sequence        in the list, or in a worker
    {delivery_queue}:retry          id -> due ms          waiting for its next attempt
    {delivery_queue}:parked:<ep>    id -> position        over its endpoint's window, or the endpoint is disabled
    {delivery_queue}:dead           id -> ms of death     a dead letter, with its reason in the job

Invariant: the ids of `jobs` are the disjoint union of `open`, `retry`, every `parked` and `dead`. Every move
between them is one script. Only scripts assign sequences, and our own jobs are only ever LPUSHed, so the order of
the list is the order of sequences. Windows are explained in docs/decisions/0002-windows.md.

A delivered job moves from the ledger to the delivery log (deliveries/log.py), in the same script.
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
    OrphanState,
    clear_held,
    farms,
    publish_held,
    read_watermark,
    requeue_crashed,
    requeue_orphan,
    tick,
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
    "DEPTH_REPLIES",
    "DISABLE_ENDPOINT",
    "FARM_TIMEOUT_MS",
    "FENCE_SECONDS",
    "MAX_ORPHANED",
    "Attempt",
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
    "OrphanState",
    "Retraction",
    "Settlement",
    "SourceEvents",
    "StoredLog",
    "StoredUntilFinal",
    "UnconfirmedJob",
    "adopt",
    "clear_held",
    "delivered",
    "enqueue_confirmed",
    "enqueue_results",
    "failed",
    "farms",
    "finalize",
    "load_scripts",
    "parked",
    "parse_depths",
    "publish_held",
    "read_depths",
    "read_job",
    "read_settlement",
    "read_stored_logs",
    "read_watermark",
    "request_depths",
    "requeue_crashed",
    "requeue_orphan",
    "returned",
    "send_pop",
    "settle_sync",
    "tick",
]
