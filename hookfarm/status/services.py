"""What the services say of themselves, and how long ago they said it."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import redis

from hookfarm.status import readiness
from hookfarm.store import keys

Services = dict[str, dict[str, Any]]

SILENT_SECONDS = 5.0
"""What a service said longer ago than this says nothing of now: it writes twice a second."""


def ask(pipe: "redis.client.Pipeline | redis.asyncio.client.Pipeline") -> None:
    """Puts the question into the pipeline; `told` reads its replies."""
    for service in keys.SERVICES:
        pipe.get(keys.ready(service))
        pipe.get(keys.status(service))
        pipe.pttl(keys.status(service))


def told(replies: Sequence[Any]) -> Services:
    """Each service by name: its status, `ready` as its key says it, and `heard_seconds_ago`.

    A service writes its status twice a second, so one that was heard of long ago hangs, or died without a word;
    what it said then stands until its keys expire. None and a `reason` where there is no status.
    """
    return {service: _service(*replies[3 * index : 3 * index + 3]) for index, service in enumerate(keys.SERVICES)}


def chain_ids(services: Mapping[str, Mapping[str, Any]]) -> list[int]:
    """The chains that are watched by an ingestor or read by a processor."""
    watched = {chain["chain_id"] for chain in chains_told(services)}
    return sorted(watched | set(services[keys.MESSAGE_PROCESSOR].get("chains", ())))


def chains_told(services: Mapping[str, Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """What the ingestors say of their chains, as event_ingestor/status.py makes it."""
    found: Sequence[Mapping[str, Any]] = services[keys.EVENT_INGESTOR].get("chains", ())
    return found


def _service(ready: bytes | None, status: bytes | None, expires_in_ms: int) -> dict[str, Any]:
    said = _decoded(status)
    if said is None:
        return {"reason": "not running", "ready": ready == b"true", "heard_seconds_ago": None}
    ago = max(0.0, readiness.TTL_SECONDS - expires_in_ms / 1000)
    return {**said, "ready": ready == b"true", "heard_seconds_ago": round(ago, 1)}


def _decoded(status: bytes | None) -> dict[str, Any] | None:
    try:
        said = None if status is None else orjson.loads(status)
    except orjson.JSONDecodeError:
        return None
    return said if isinstance(said, dict) else None
