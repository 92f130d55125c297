"""Taking a picture: first what the services say and which backfills there are, then what is in the keys of the
chains and backfills named.

The same questions go over a blocking client (the command line) and an asynchronous one (the API).
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import redis

import hookfarm
from hookfarm import delivery_queue, timestamps
from hookfarm.backfill import state
from hookfarm.backfill.state import Backfill
from hookfarm.status import chains, services, streams
from hookfarm.status.services import Services
from hookfarm.store import keys
from hookfarm.store.clients import ResponseError

Picture = dict[str, Any]

MOST_BACKFILLS = 10
"""Of those with the last signs of life, which are those that run; a picture may not cost more for many."""

_QUANTILES = ("post_seconds", "queued_to_delivered_seconds")


def take(client: "redis.Redis") -> Picture:
    """A picture of now; redis-py's errors pass through."""
    with client.pipeline(transaction=False) as pipe:
        _ask_first(pipe)
        first = _First(pipe.execute())
    with client.pipeline(transaction=True) as pipe:
        _ask(pipe, first)
        return _picture(first, pipe.execute(raise_on_error=False), time.time())


async def take_async(client: "redis.asyncio.Redis") -> Picture:
    """As `take`."""
    async with client.pipeline(transaction=False) as pipe:
        _ask_first(pipe)
        first = _First(await pipe.execute())
    async with client.pipeline(transaction=True) as pipe:
        _ask(pipe, first)
        return _picture(first, await pipe.execute(raise_on_error=False), time.time())


class _First:
    """What is known after the first round trip."""

    def __init__(self, replies: Sequence[Any]) -> None:
        self.services = services.told(replies)
        self.chain_ids = services.chain_ids(self.services)
        self.backfills = [name.decode() for name in replies[-1]]


def _ask_first(pipe: "redis.client.Pipeline | redis.asyncio.client.Pipeline") -> None:
    services.ask(pipe)
    state.ask_newest(pipe, MOST_BACKFILLS)


def _ask(pipe: "redis.client.Pipeline | redis.asyncio.client.Pipeline", first: _First) -> None:
    delivery_queue.ask_depths(pipe)
    pipe.hlen(keys.UNCONFIRMED)
    pipe.hlen(keys.ENDPOINTS)
    pipe.scard(keys.DISABLED_ENDPOINTS)
    pipe.zcard(keys.OPEN_CIRCUITS)
    pipe.hlen(keys.BACKFILL_JOBS)
    state.ask(pipe, first.backfills)
    for chain_id in first.chain_ids:
        streams.ask(pipe, chain_id)
        chains.ask(pipe, chain_id)


_COUNTED = delivery_queue.DEPTHS_ASKED + 5


def _picture(first: _First, replies: list[Any], now: float) -> Picture:
    told, by_chain = first.services, _COUNTED + state.replies_to(first.backfills)
    for reply in replies[:by_chain]:
        if isinstance(reply, ResponseError):
            raise reply
    unconfirmed, endpoints, disabled, circuits, in_lanes = replies[delivery_queue.DEPTHS_ASKED : _COUNTED]
    size = streams.REPLIES + 1
    places = range(by_chain, len(replies), size)
    of_chains = {chain_id: replies[i : i + size] for chain_id, i in zip(first.chain_ids, places, strict=True)}
    return {
        "timestamp": timestamps.format_seconds(now),
        "version": hookfarm.__version__,
        "services": told,
        "chains": _chains(told, {chain_id: part[-1] for chain_id, part in of_chains.items()}, now),
        "streams": [streams.row(chain_id, part[:-1]) for chain_id, part in of_chains.items()],
        "queue": {
            **asdict(delivery_queue.depths_answered(replies)),
            "unconfirmed": unconfirmed,
            "in_lanes": in_lanes,
        },
        "backfills": _unfinished(state.answered(first.backfills, replies[_COUNTED:by_chain])),
        "delivery": _delivery(told),
        "endpoints": {"total": endpoints, "enabled": endpoints - disabled, "circuit_open": circuits},
    }


def _unfinished(newest: Sequence[Backfill | None]) -> list[dict[str, Any]]:
    """Those of them that run, or were stopped or killed before their end."""
    return [each.public() for each in newest if each is not None and each.done_ms is None]


def _chains(told: Services, heads: dict[int, Any], now: float) -> list[dict[str, Any]]:
    service = told[keys.EVENT_INGESTOR]
    silent = (service.get("heard_seconds_ago") or 0) > services.SILENT_SECONDS
    why = "nothing is heard of its ingestor" if silent else ""
    return [chains.row(chain, heads[chain["chain_id"]], why, now) for chain in services.chains_told(told)]


def _delivery(told: Services) -> dict[str, Any]:
    """Totals since the farm started, latencies of its last seconds; None where nothing is known."""
    status = told[keys.WEBHOOK_DELIVERY]
    nothing = {"p50": None, "p99": None}
    return {
        "activity": status.get("activity", ""),
        **{name: status.get(name) for name in ("delivered", "failed_attempts", "dead")},
        "per_second": None,
        **{name: status.get(f"recent_{name}") or nothing for name in _QUANTILES},
        "since_start": {name: status.get(name) or nothing for name in _QUANTILES},
    }
