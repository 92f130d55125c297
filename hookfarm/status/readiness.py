"""Readiness and status of the services in Redis: the keys `<service>:ready` and `<service>:status`.

The ready key is exactly `true`, with a TTL of a minute. While the service is ready, it is refreshed at a
third of the TTL. It is deleted when the service is not ready or begins to stop. The keys of a dead farm expire.
A part of a service has a ready key of its own: `event_ingestor:ready:<chain_id>`.
"""

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict, cast

import orjson
import redis

from hookfarm import timestamps
from hookfarm.event_ingestor.telemetry import IngestorReport
from hookfarm.farm.scoreboard import Slot, State
from hookfarm.message_processor.telemetry import ProcessorReport
from hookfarm.store import keys
from hookfarm.store.clients import AnyPipeline, Client
from hookfarm.webhook_delivery.telemetry import DeliveryReport

TTL_SECONDS = 60
REFRESH_SECONDS = TTL_SECONDS / 3
WAIT_POLL_SECONDS = 0.02
STALE_MS = 5000
"""A status older than this is stale; the keeper writes twice a second."""
_HOST = socket.gethostname()
_REPLIES = 3


class WorkerBackoff(TypedDict):
    """A worker in crash back-off, in the status of its service."""

    process: str
    reason: str
    tries: int
    retry_in_ms: int


class ServiceStatus(TypedDict):
    """State of one service: its ready key, the status that its keeper wrote, and the age of that status.

    Without a status, only the first three fields are present and `status_age_ms` is None.
    """

    ready: bool
    reason: str
    status_age_ms: int | None
    timestamp: NotRequired[str]
    host: NotRequired[str]
    pid: NotRequired[int]
    workers: NotRequired[int]
    workers_up: NotRequired[int]
    backoff: NotRequired[list[WorkerBackoff]]


class IngestorStatus(ServiceStatus, IngestorReport):
    """Status of the service event_ingestor: the common fields and the ingestors' report."""


class ProcessorStatus(ServiceStatus, ProcessorReport):
    """Status of the service message_processor: the common fields and the processors' report."""


class DeliveryStatus(ServiceStatus, DeliveryReport):
    """Status of the service webhook_delivery: the common fields and the delivery processes' report."""


class Services(TypedDict):
    """The status of each service, in start order."""

    message_processor: ProcessorStatus
    webhook_delivery: DeliveryStatus
    event_ingestor: IngestorStatus


def publish(client: Client, service: str, status: Mapping[str, Any]) -> None:
    """Set the ready key for a minute, and write the status."""
    with client.pipeline(transaction=True) as pipe:
        pipe.set(keys.ready(service), "true", ex=TTL_SECONDS)
        pipe.set(keys.status(service), _encode(status, ready=True), ex=TTL_SECONDS)
        pipe.execute()


def withdraw(client: Client, service: str, status: Mapping[str, Any]) -> None:
    """Delete the ready key and write the status with its reason."""
    with client.pipeline(transaction=True) as pipe:
        pipe.delete(keys.ready(service))
        pipe.set(keys.status(service), _encode(status, ready=False), ex=TTL_SECONDS)
        pipe.execute()


def write_status(
    client: Client, service: str, status: Mapping[str, Any], ready: bool, reassert: bool = False
) -> None:
    """Write the status. `reassert` sets the ready key again if Redis lost it or another farm deleted it."""
    with client.pipeline(transaction=False) as pipe:
        pipe.set(keys.status(service), _encode(status, ready), ex=TTL_SECONDS)
        if reassert:
            pipe.set(keys.ready(service), "true", ex=TTL_SECONDS, nx=True)
        pipe.execute()


def publish_part(client: Client, name: str) -> None:
    """Set the ready key of a part of a service for the next minute."""
    client.set(keys.ready(name), "true", ex=TTL_SECONDS)


def withdraw_part(client: Client, name: str) -> None:
    """Delete the ready key of a part of a service."""
    client.delete(keys.ready(name))


def reassert_part(client: Client, name: str) -> None:
    """Set the ready key of a part again if Redis lost it or another farm deleted it while stopping."""
    client.set(keys.ready(name), "true", ex=TTL_SECONDS, nx=True)


def clear(client: Client, services: Sequence[str], parts: Iterable[str] = ()) -> None:
    """Delete both keys of each service, and the ready keys of `parts`."""
    names = [key(service) for service in services for key in (keys.ready, keys.status)]
    names += [keys.ready(part) for part in parts]
    if names:
        client.delete(*names)


def delete_own(client: Client, service: str) -> None:
    """Delete both keys of the service, and those of its parts, if a farm of this host wrote them."""
    found = read_status(client, service)
    if found is not None and found.get("host") == _HOST:
        chains = found.get("chains", []) if service == keys.EVENT_INGESTOR else []
        clear(client, [service], [keys.ingestor_of(chain["chain_id"]) for chain in chains])


def is_ready(client: Client, name: str) -> bool:
    return client.get(keys.ready(name)) == b"true"


def read_status(client: Client, service: str) -> dict[str, Any] | None:
    """Return the status written by the keeper; None if missing."""
    return _decode(cast(bytes | None, client.get(keys.status(service))))


def request_services(pipe: AnyPipeline) -> None:
    """Add the reads of all services to a pipeline; `parse_services` reads their replies."""
    for service in keys.SERVICES:
        pipe.get(keys.ready(service))
        pipe.get(keys.status(service))
        pipe.pttl(keys.status(service))


def parse_services(replies: Sequence[Any]) -> Services:
    """Return the status of each service.

    An old status stays until its key expires; `status_age_ms` is its age.
    """
    parts = (replies[start : start + _REPLIES] for start in range(0, _REPLIES * len(keys.SERVICES), _REPLIES))
    found = {service: _service(*part) for service, part in zip(keys.SERVICES, parts, strict=True)}
    return cast(Services, found)


def is_stale(service: ServiceStatus) -> bool:
    """Return whether the keeper of a service has stopped writing its status."""
    return (service["status_age_ms"] or 0) > STALE_MS


def wait(client: Client, name: str, timeout_seconds: float, pause: Callable[[float], None]) -> bool:
    """Poll until the service or part is ready; return False after `timeout_seconds`. `pause` sleeps between polls.

    An unreachable Redis counts as not ready, because it may be starting.
    """
    deadline = time.monotonic() + timeout_seconds
    while not _is_seen_ready(client, name):
        if time.monotonic() >= deadline:
            return False
        pause(WAIT_POLL_SECONDS)
    return True


def _is_seen_ready(client: Client, name: str) -> bool:
    try:
        return is_ready(client, name)
    except redis.RedisError:
        return False


def _service(ready: bytes | None, stored: bytes | None, expires_in_ms: int) -> dict[str, Any]:
    status = _decode(stored)
    if status is None:
        return {"ready": ready == b"true", "reason": "not running", "status_age_ms": None}
    age_ms = max(0, TTL_SECONDS * 1000 - expires_in_ms)
    return {"reason": "", **status, "ready": ready == b"true", "status_age_ms": age_ms}


def _encode(status: Mapping[str, Any], ready: bool) -> bytes:
    now = timestamps.format_seconds(time.time())
    return orjson.dumps({"ready": ready, "timestamp": now, "host": _HOST, "pid": os.getppid(), **status})


def _decode(stored: bytes | None) -> dict[str, Any] | None:
    try:
        status = None if stored is None else orjson.loads(stored)
    except orjson.JSONDecodeError:
        return None
    return status if isinstance(status, dict) else None


LATE_TOLERANCE_SECONDS = 0.1
"""Maximum delay of a heartbeat; a later worker counts as hung."""
UNREADY_GRACE_SECONDS = 0.4
"""Time that a ready service may look unready before its key is deleted; replacing a worker takes less.

An idle worker's heartbeat is due within 1.25 s. With both constants and a tick, a hung worker shows within 2 s.
"""


@dataclass(frozen=True)
class ServiceReadiness:
    """Readiness of a service; `reason` names the missing workers.

    `replacing`: some workers are missing as planned. Then a ready service stays ready, and an unready one
    stays unready.
    """

    ready: bool
    reason: str = ""
    replacing: bool = False


def check(service: str, slots: Sequence[Slot], now_ns: int, processes: int = 0) -> ServiceReadiness:
    """Return the readiness. Ready = each worker is up with a timely heartbeat, or is being replaced as planned.

    `processes` that share the slots; 0 = one process per slot.
    """
    if not slots:
        return ServiceReadiness(False, "no processes")
    tolerance_ns = int(LATE_TOLERANCE_SECONDS * 1e9)
    absent = [(index, slot) for index, slot in enumerate(slots) if not slot.is_on_time(now_ns, tolerance_ns)]
    lasting = [(index, slot) for index, slot in absent if not slot.is_replacing(now_ns)]
    named = (
        f"{service} {index % (processes or len(slots))} ({_problem(slot, now_ns)})" for index, slot in lasting
    )
    missing = list(dict.fromkeys(named))
    replacing = len(lasting) < len(absent)
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return ServiceReadiness(not missing, ", ".join(missing[:5]) + more, replacing)


def backoffs(service: str, slots: Sequence[Slot]) -> list[WorkerBackoff]:
    """Return the workers in crash back-off, with reason, number of tries and time until the next."""
    return [
        {
            "process": f"{service} {index}",
            "reason": slot.reason,
            "tries": slot.tries,
            "retry_in_ms": round(1000 * slot.next_fork_seconds()),
        }
        for index, slot in enumerate(slots)
        if slot.tries
    ]


def _problem(slot: Slot, now_ns: int) -> str:
    """Return why a worker that is not on time counts as missing."""
    if slot.pid == 0:
        again = f", forked again in {slot.next_fork_seconds():.1f} s" if slot.tries else ""
        return (slot.reason or "gone") + again
    if slot.state != State.UP:
        return slot.reason or slot.state.name.lower()
    return f"heartbeat late by {slot.seconds_late(now_ns):.1f} s"
