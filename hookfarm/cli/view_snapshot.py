"""What the live view shows, as plain values: made from the farm's picture, whatever of it is missing."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hookfarm.cli import backfill_lines, chain_lines
from hookfarm.status import STALE_MS
from hookfarm.store import keys


@dataclass(frozen=True)
class ServiceLine:
    """One service; `why` says what keeps it from being ready. `silent` = it has not been heard of for so many
    seconds, and should have been."""

    name: str
    ready: bool
    up: int
    workers: int
    why: str
    silent: float | None = None

    @property
    def well(self) -> bool:
        return self.ready and self.silent is None


@dataclass(frozen=True)
class Nodes:
    """How many nodes a chain has and how many of them could be asked now, which one is active, what a block costs
    in requests. `troubles`: a line for each that is in cooldown."""

    usable: int
    all: int
    active: str
    requests_per_block: float | None
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChainLine:
    """One chain as its ingestor sees it, and how many events wait in its stream; how it catches up, in words."""

    chain_id: int
    head: int
    checkpoint: int
    published: int
    waiting: int | None = None
    lag_seconds: float | None = None
    nodes: Nodes | None = None
    catch_up: str = ""

    @property
    def lag_blocks(self) -> int:
        return max(0, self.head - self.checkpoint)


@dataclass(frozen=True)
class Quantiles:
    """Seconds; None where nothing has been measured."""

    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True)
class Endpoints:
    """How many there are; `circuit_open`: of those, how many failures keep from getting more than probes."""

    total: int
    enabled: int
    circuit_open: int


@dataclass(frozen=True)
class Proof:
    """What only somebody who owns chain and receiver knows: logs emitted, those of them whose webhook arrived,
    and the `latest` of these in words."""

    emitted: int
    verified: int
    latest: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """The farm at one moment. `activity` is a letter per delivery process; `recent` are deliveries per second,
    the latest last; `per_second` their average. `post` and `queued_to_delivered` are those of the last seconds.
    `backfills`: a line for each that is not done. None or empty where nothing is known. `lost` says since when and
    why everything shown is old."""

    seconds: float
    services: tuple[ServiceLine, ...] = ()
    chains: tuple[ChainLine, ...] = ()
    activity: str = ""
    delivered: int | None = None
    failed_attempts: int | None = None
    dead: int | None = None
    per_second: float | None = None
    recent: tuple[float, ...] = ()
    post: Quantiles = Quantiles()
    queued_to_delivered: Quantiles = Quantiles()
    post_since_start: Quantiles = Quantiles()
    queue: Mapping[str, int] | None = None
    endpoints: Endpoints | None = None
    backfills: tuple[str, ...] = ()
    proof: Proof | None = None
    draining: bool = False
    lost: str = ""


def services_of(picture: Mapping[str, Any]) -> tuple[ServiceLine, ...]:
    """The services of a picture, in the order in which they start."""
    told = picture.get("services", {})
    return tuple(_service(name, told.get(name, {})) for name in keys.SERVICES)


def chains_of(picture: Mapping[str, Any], heads: Mapping[int, int]) -> tuple[ChainLine, ...]:
    """The chains of a picture; `heads` are better known ones, from the chains themselves."""
    waiting = {stream["chain_id"]: stream["length"] for stream in picture.get("streams", [])}
    return tuple(_chain(chain, heads, waiting) for chain in picture.get("chains", []))


def backfills_of(picture: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(backfill_lines.brief(backfill) for backfill in picture.get("backfills", []))


def endpoints_of(picture: Mapping[str, Any]) -> Endpoints | None:
    told = picture.get("endpoints")
    return Endpoints(told["total"], told["enabled"], told["circuit_open"]) if told else None


def quantiles_of(delivery: Mapping[str, Any], name: str) -> Quantiles:
    found = delivery.get(name) or {}
    return Quantiles(_seconds(found.get("p50")), _seconds(found.get("p99")))


def _service(name: str, told: Mapping[str, Any]) -> ServiceLine:
    up, workers = told.get("workers_up", 0), told.get("workers", 0)
    age_ms = told.get("status_age_ms") or 0
    silent = age_ms / 1000 if age_ms > STALE_MS else None
    return ServiceLine(name, bool(told.get("ready")), up, workers, str(told.get("reason") or ""), silent)


def _chain(chain: Mapping[str, Any], heads: Mapping[int, int], waiting: Mapping[int, int | None]) -> ChainLine:
    chain_id = chain["chain_id"]
    return ChainLine(
        chain_id,
        heads.get(chain_id, chain.get("head", 0)),
        chain.get("checkpoint", 0),
        chain.get("events_published", 0),
        waiting.get(chain_id),
        _seconds(chain.get("lag_ms")),
        _nodes(chain),
        chain_lines.catch_up(chain),
    )


def _nodes(chain: Mapping[str, Any]) -> Nodes | None:
    usable, known = chain_lines.usable(chain)
    if not known:
        return None
    troubles = tuple(chain_lines.troubles(chain, int(time.time() * 1000)))
    return Nodes(usable, known, chain_lines.active_node(chain), chain.get("rpc_requests_per_block"), troubles)


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
