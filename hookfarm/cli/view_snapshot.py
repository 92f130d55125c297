"""What the live view shows, as plain values: made from the farm's picture, whatever of it is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hookfarm import keys


@dataclass(frozen=True)
class ServiceLine:
    """One service; `why` says what keeps it from being ready."""

    name: str
    ready: bool
    up: int
    workers: int
    why: str


@dataclass(frozen=True)
class ChainLine:
    """One chain as its ingestor sees it."""

    chain_id: int
    head: int
    checkpoint: int
    published: int

    @property
    def lag_blocks(self) -> int:
        return max(0, self.head - self.checkpoint)


@dataclass(frozen=True)
class Quantiles:
    """Seconds; None where nothing has been measured."""

    p50: float | None = None
    p99: float | None = None


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
    the latest last; `per_second` their average; None or empty where nothing is known."""

    seconds: float
    services: tuple[ServiceLine, ...] = ()
    chains: tuple[ChainLine, ...] = ()
    activity: str = ""
    delivered: int | None = None
    failed_attempts: int = 0
    dead: int = 0
    per_second: float | None = None
    recent: tuple[float, ...] = ()
    post: Quantiles = Quantiles()
    queued_to_delivered: Quantiles = Quantiles()
    queue: Mapping[str, int] | None = None
    proof: Proof | None = None
    draining: bool = False


def services_of(picture: Mapping[str, Any]) -> tuple[ServiceLine, ...]:
    """The services of a picture, in the order in which they start."""
    told = picture.get("services", {})
    return tuple(_service(name, told.get(name, {})) for name in keys.SERVICES)


def chains_of(picture: Mapping[str, Any], heads: Mapping[int, int]) -> tuple[ChainLine, ...]:
    """The chains of a picture; `heads` are better known ones, from the chains themselves."""
    return tuple(_chain(chain, heads) for chain in picture.get("chains", []))


def quantiles_of(status: Mapping[str, Any], name: str) -> Quantiles:
    found = status.get(name) or {}
    return Quantiles(found.get("p50"), found.get("p99"))


def _service(name: str, told: Mapping[str, Any]) -> ServiceLine:
    up, workers = told.get("workers_up", 0), told.get("workers", 0)
    return ServiceLine(name, bool(told.get("ready")), up, workers, str(told.get("why") or ""))


def _chain(chain: Mapping[str, Any], heads: Mapping[int, int]) -> ChainLine:
    head = heads.get(chain["chain_id"], chain.get("head", 0))
    return ChainLine(chain["chain_id"], head, chain.get("checkpoint", 0), chain.get("events_published", 0))
