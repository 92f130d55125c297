"""What the live view shows, as plain values: made from the farm's picture, whatever of it is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hookfarm import keys
from hookfarm.picture import SILENT_SECONDS


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
class ChainLine:
    """One chain as its ingestor sees it, and how many events wait in its stream."""

    chain_id: int
    head: int
    checkpoint: int
    published: int
    waiting: int | None = None
    lag_seconds: float | None = None

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
    None or empty where nothing is known. `lost` says since when and why everything shown is old."""

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


def endpoints_of(picture: Mapping[str, Any]) -> Endpoints | None:
    told = picture.get("endpoints")
    return Endpoints(told["total"], told["enabled"], told["circuit_open"]) if told else None


def quantiles_of(delivery: Mapping[str, Any], name: str) -> Quantiles:
    found = delivery.get(name) or {}
    return Quantiles(found.get("p50"), found.get("p99"))


def _service(name: str, told: Mapping[str, Any]) -> ServiceLine:
    up, workers = told.get("workers_up", 0), told.get("workers", 0)
    heard = told.get("heard_seconds_ago") or 0.0
    silent = heard if heard > SILENT_SECONDS else None
    return ServiceLine(name, bool(told.get("ready")), up, workers, str(told.get("why") or ""), silent)


def _chain(chain: Mapping[str, Any], heads: Mapping[int, int], waiting: Mapping[int, int | None]) -> ChainLine:
    chain_id = chain["chain_id"]
    return ChainLine(
        chain_id,
        heads.get(chain_id, chain.get("head", 0)),
        chain.get("checkpoint", 0),
        chain.get("events_published", 0),
        waiting.get(chain_id),
        chain.get("lag_seconds"),
    )
