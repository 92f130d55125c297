"""Taking a picture: first what the services say, then what is in the keys of the chains that they name.

The same questions go over a blocking client (the command line) and an asynchronous one (the API).
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import redis

import hookfarm
from hookfarm import delivery_queue, keys
from hookfarm.picture import chains, services, streams
from hookfarm.picture.services import Services
from hookfarm.redis_clients import ResponseError

Picture = dict[str, Any]

_QUANTILES = ("post_seconds", "queued_to_delivered_seconds")


def take(client: "redis.Redis") -> Picture:
    """A picture of now; redis-py's errors pass through."""
    with client.pipeline(transaction=False) as pipe:
        services.ask(pipe)
        told = services.told(pipe.execute())
    with client.pipeline(transaction=True) as pipe:
        _ask(pipe, services.chain_ids(told))
        return _picture(told, pipe.execute(raise_on_error=False), time.time())


async def take_async(client: "redis.asyncio.Redis") -> Picture:
    """As `take`."""
    async with client.pipeline(transaction=False) as pipe:
        services.ask(pipe)
        told = services.told(await pipe.execute())
    async with client.pipeline(transaction=True) as pipe:
        _ask(pipe, services.chain_ids(told))
        return _picture(told, await pipe.execute(raise_on_error=False), time.time())


def _ask(pipe: "redis.client.Pipeline | redis.asyncio.client.Pipeline", chain_ids: Sequence[int]) -> None:
    delivery_queue.ask_depths(pipe)
    pipe.hlen(keys.UNCONFIRMED)
    pipe.hlen(keys.ENDPOINTS)
    pipe.scard(keys.PAUSED)
    pipe.zcard(keys.CIRCUITS)
    for chain_id in chain_ids:
        streams.ask(pipe, chain_id)
        chains.ask(pipe, chain_id)


def _picture(told: Services, replies: list[Any], now: float) -> Picture:
    counted, found = replies[: delivery_queue.DEPTHS_ASKED + 4], replies[delivery_queue.DEPTHS_ASKED + 4 :]
    for reply in counted:
        if isinstance(reply, ResponseError):
            raise reply
    unconfirmed, endpoints, disabled, circuits = counted[delivery_queue.DEPTHS_ASKED :]
    chain_ids = services.chain_ids(told)
    size = streams.REPLIES + 1
    by_chain = {chain_id: found[size * i : size * (i + 1)] for i, chain_id in enumerate(chain_ids)}
    return {
        "timestamp": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "version": hookfarm.__version__,
        "services": told,
        "chains": _chains(told, {chain_id: part[-1] for chain_id, part in by_chain.items()}, now),
        "streams": [streams.row(chain_id, part[:-1]) for chain_id, part in by_chain.items()],
        "queue": {**asdict(delivery_queue.depths_answered(counted)), "unconfirmed": unconfirmed},
        "delivery": _delivery(told),
        "endpoints": {"total": endpoints, "enabled": endpoints - disabled, "circuit_open": circuits},
    }


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
