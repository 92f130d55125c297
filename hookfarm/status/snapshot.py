"""Snapshot of a farm, in two round trips: first services and newest backfills, then the depths of both hops.

The command line sends the commands over a blocking client, the API over an asynchronous one.
"""

import time
from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

import hookfarm
from hookfarm import delivery_queue, timestamps
from hookfarm.backfill import state
from hookfarm.backfill.state import Backfill, BackfillStatus
from hookfarm.delivery_queue import Depths
from hookfarm.status import chains, readiness
from hookfarm.status.chains import ChainStatus
from hookfarm.status.readiness import Services
from hookfarm.store import keys
from hookfarm.store.clients import AnyPipeline, AsyncClient, Client, ResponseError
from hookfarm.webhook_delivery.telemetry import LatencyQuantiles

MAX_BACKFILLS = 10
"""Backfills with the newest heartbeats; bounds the cost of a snapshot."""
STREAM_REPLIES = 2


class StreamDepths(TypedDict):
    """Depths of a chain's stream in the snapshot; null if the key has another type."""

    chain_id: int
    length: Annotated[int | None, "`pending` and `lag` together."]
    pending: Annotated[int | None, "Entries read but not acked."]
    lag: Annotated[int | None, "Entries not read yet."]


class QueueDepths(TypedDict):
    """Depths of the queue in the snapshot."""

    queued: Annotated[int, "Jobs in the list."]
    open: Annotated[int, "Jobs in the list or in a worker."]
    parked: int
    retry: int
    dead: int
    unconfirmed: int
    backfill: Annotated[int, "Jobs in backfill queues."]


class Latencies(TypedDict):
    """Quantiles of latencies since the farm started."""

    post_ms: LatencyQuantiles
    queued_to_delivered_ms: LatencyQuantiles


class DeliveryStats(TypedDict):
    """Totals since the farm started, and latencies of the last seconds; null = unknown."""

    activity: Annotated[str, "One letter per worker: b blocked in BRPOP, p posting, r restarting, s stalled."]
    delivered: int | None
    failed_attempts: int | None
    dead: int | None
    per_second: Annotated[
        float | None, "Deliveries per second, mean of the last five seconds; null in the first snapshot."
    ]
    post_ms: LatencyQuantiles
    queued_to_delivered_ms: LatencyQuantiles
    since_start: Latencies


class EndpointTotals(TypedDict):
    """Numbers of all endpoints, of enabled ones, and of open circuits."""

    total: int
    enabled: int
    circuit_open: int


class Snapshot(TypedDict):
    """The state of the farm at one time."""

    timestamp: str
    version: str
    services: Services
    chains: list[ChainStatus]
    streams: list[StreamDepths]
    queue: QueueDepths
    backfills: Annotated[list[BackfillStatus], "Unfinished backfills among the ten with the newest heartbeats."]
    delivery: DeliveryStats
    endpoints: EndpointTotals


def take_snapshot(client: Client) -> Snapshot:
    """Return the state of the farm, read over a blocking client. Raises RedisError."""
    with client.pipeline(transaction=False) as pipe:
        _request_services(pipe)
        first = _FirstReplies(pipe.execute())
    with client.pipeline(transaction=True) as pipe:
        _request_depths(pipe, first)
        return _parse(first, pipe.execute(raise_on_error=False), time.time())


async def take_snapshot_async(client: AsyncClient) -> Snapshot:
    """Return the state of the farm, read over an asynchronous client. Raises RedisError."""
    async with client.pipeline(transaction=False) as pipe:
        _request_services(pipe)
        first = _FirstReplies(await pipe.execute())
    async with client.pipeline(transaction=True) as pipe:
        _request_depths(pipe, first)
        return _parse(first, await pipe.execute(raise_on_error=False), time.time())


def request_stream(pipe: AnyPipeline, chain_id: int) -> None:
    """Add the reads of a chain's stream to a pipeline; `parse_stream` takes the STREAM_REPLIES replies.

    The second reply is an error if the stream does not exist.
    """
    pipe.xlen(keys.events(chain_id))
    pipe.xinfo_groups(keys.events(chain_id))


def parse_stream(chain_id: int, replies: Sequence[Any]) -> StreamDepths:
    length, groups = replies
    if isinstance(length, ResponseError):
        return {"chain_id": chain_id, "length": None, "pending": None, "lag": None}
    found = [] if isinstance(groups, ResponseError) else groups
    pending = sum(group["pending"] for group in found if group["name"] == keys.PROCESSOR_GROUP.encode())
    return {"chain_id": chain_id, "length": length, "pending": pending, "lag": max(0, length - pending)}


class _FirstReplies:
    """Result of the first round trip; `chain_ids`: chains reported by an ingestor or a processor."""

    def __init__(self, replies: Sequence[Any]) -> None:
        self.services = readiness.parse_services(replies)
        followed = [chain["chain_id"] for chain in self.services["event_ingestor"].get("chains", ())]
        self.chain_ids = sorted({*followed, *self.services["message_processor"].get("chains", ())})
        self.backfills = [name.decode() for name in replies[-1]]


def _request_services(pipe: AnyPipeline) -> None:
    readiness.request_services(pipe)
    state.request_newest(pipe, MAX_BACKFILLS)


def _request_depths(pipe: AnyPipeline, first: _FirstReplies) -> None:
    delivery_queue.request_depths(pipe)
    pipe.hlen(keys.UNCONFIRMED)
    pipe.hlen(keys.BACKFILL_JOBS)
    pipe.hlen(keys.ENDPOINTS)
    pipe.scard(keys.DISABLED_ENDPOINTS)
    pipe.zcard(keys.OPEN_CIRCUITS)
    state.request(pipe, first.backfills)
    for chain_id in first.chain_ids:
        request_stream(pipe, chain_id)
        chains.request_chain(pipe, chain_id)


_COUNTED = delivery_queue.DEPTH_REPLIES + 5


def _parse(first: _FirstReplies, replies: list[Any], now: float) -> Snapshot:
    by_chain = _COUNTED + state.reply_count(first.backfills)
    for reply in replies[:by_chain]:
        if isinstance(reply, ResponseError):
            raise reply
    depths = delivery_queue.parse_depths(replies)
    unconfirmed, in_backfills, endpoints, disabled, circuits = replies[delivery_queue.DEPTH_REPLIES : _COUNTED]
    size = STREAM_REPLIES + chains.CHAIN_REPLIES
    starts = range(by_chain, len(replies), size)
    of_chains = {
        chain: replies[start : start + size] for chain, start in zip(first.chain_ids, starts, strict=True)
    }
    return {
        "timestamp": timestamps.format_seconds(now),
        "version": hookfarm.__version__,
        "services": first.services,
        "chains": _chains(
            first.services, {chain_id: part[STREAM_REPLIES:] for chain_id, part in of_chains.items()}, now
        ),
        "streams": [parse_stream(chain_id, part[:STREAM_REPLIES]) for chain_id, part in of_chains.items()],
        "queue": _queue(depths, unconfirmed, in_backfills),
        "backfills": _unfinished(state.parse(first.backfills, replies[_COUNTED:by_chain])),
        "delivery": _delivery(first.services),
        "endpoints": {"total": endpoints, "enabled": endpoints - disabled, "circuit_open": circuits},
    }


def _queue(depths: Depths, unconfirmed: int, in_backfills: int) -> QueueDepths:
    return {
        "queued": depths.queued,
        "open": depths.open,
        "parked": depths.parked,
        "retry": depths.retry,
        "dead": depths.dead,
        "unconfirmed": unconfirmed,
        "backfill": in_backfills,
    }


def _unfinished(newest: Sequence[Backfill | None]) -> list[BackfillStatus]:
    return [each.public() for each in newest if each is not None and each.done_ms is None]


def _chains(services: Services, replies: dict[int, Any], now: float) -> list[ChainStatus]:
    ingestor = services["event_ingestor"]
    reason = "the ingestor has stopped reporting" if readiness.is_stale(ingestor) else ""
    reports = ingestor.get("chains", [])
    return [chains.chain_status(report, replies[report["chain_id"]], reason, now) for report in reports]


def _delivery(services: Services) -> DeliveryStats:
    status = services["webhook_delivery"]
    unknown: LatencyQuantiles = {"p50": None, "p99": None}
    return {
        "activity": status.get("activity", ""),
        "delivered": status.get("delivered"),
        "failed_attempts": status.get("failed_attempts"),
        "dead": status.get("dead"),
        "per_second": None,
        "post_ms": status.get("recent_post_ms") or unknown,
        "queued_to_delivered_ms": status.get("recent_queued_to_delivered_ms") or unknown,
        "since_start": {
            "post_ms": status.get("post_ms") or unknown,
            "queued_to_delivered_ms": status.get("queued_to_delivered_ms") or unknown,
        },
    }
