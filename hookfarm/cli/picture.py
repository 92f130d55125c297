"""The whole farm at a glance, read from Redis: what `status` prints and the live view shows."""

from dataclasses import asdict
from typing import Any

import redis

from hookfarm import delivery_queue, keys, readiness
from hookfarm.delivery_queue import backfills


def picture(client: "redis.Redis", address: str) -> dict[str, Any]:
    """Services with readiness and status, queue depths, where each chain stands, and backfills that are not done.

    `in_lanes` are jobs of backfills that are not in the queue yet.
    """
    services = {name: _service(client, name) for name in keys.SERVICES}
    depths = delivery_queue.depths(client)
    chains = services[keys.EVENT_INGESTOR].get("chains", [])
    return {
        "redis": address,
        "services": services,
        "queue": asdict(depths),
        "in_lanes": backfills.in_lanes(client),
        "backfills": [backfill.public(waiting) for backfill, waiting in backfills.unfinished(client)],
        "chains": [{**chain, "stream": client.xlen(keys.events(chain["chain_id"]))} for chain in chains],
    }


def _service(client: "redis.Redis", name: str) -> dict[str, Any]:
    told = readiness.status(client, name) or {"why": "not running"}
    return {**told, "ready": readiness.is_ready(client, name)}
