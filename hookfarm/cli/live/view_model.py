"""Data of the live view, made from a snapshot; any part of it may be missing."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hookfarm.cli.status_output import active_node, backfill_summary, catch_up, node_problems, usable_nodes
from hookfarm.status import STALE_MS, Rates
from hookfarm.store import keys


@dataclass(frozen=True)
class ServiceLine:
    """A service in the view. `reason`: why it is not ready; `silent`: age in seconds of a stale status."""

    name: str
    ready: bool
    up: int
    workers: int
    reason: str
    silent: float | None = None

    @property
    def is_well(self) -> bool:
        return self.ready and self.silent is None


@dataclass(frozen=True)
class NodeSummary:
    """The nodes of a chain in the view.

    `usable`: number of usable nodes; `problems`: a line for each other node.
    """

    usable: int
    all: int
    active: str
    requests_per_block: float | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChainLine:
    """A chain in the view, as its ingestor reports it.

    `waiting`: events in its stream; `catch_up`: progress as text.
    """

    chain_id: int
    head: int
    checkpoint: int
    published: int
    waiting: int | None = None
    lag_seconds: float | None = None
    nodes: NodeSummary | None = None
    catch_up: str = ""

    @property
    def lag_blocks(self) -> int:
        return max(0, self.head - self.checkpoint)


@dataclass(frozen=True)
class Quantiles:
    """Quantiles in seconds; None if nothing was measured."""

    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True)
class EndpointsLine:
    """Numbers of endpoints in the view; `circuit_open` includes half_open."""

    total: int
    enabled: int
    circuit_open: int


@dataclass(frozen=True)
class AuditCounts:
    """The demo's counts: logs emitted and verified, and the `latest` webhooks as text."""

    emitted: int
    verified: int
    latest: tuple[str, ...] = ()


@dataclass(frozen=True)
class ViewModel:
    """The farm at one time; unknown values are None or empty.

    `activity`: a letter per delivery process; `recent`: deliveries per second, the latest last; `per_second`:
    their average; `post`, `queued_to_delivered`: quantiles of the last seconds; `backfills`: a line for each
    unfinished one; `lost`: time and reason if Redis does not answer.
    """

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
    endpoints: EndpointsLine | None = None
    backfills: tuple[str, ...] = ()
    audit: AuditCounts | None = None
    draining: bool = False
    lost: str = ""


class ViewModelBuilder:
    """Builder of view models from successive snapshots; keeps the counts for rates."""

    def __init__(self) -> None:
        self._rates = Rates()

    def build(
        self,
        snapshot: Mapping[str, Any],
        seconds: float,
        heads: Mapping[int, int] | None = None,
        audit: AuditCounts | None = None,
        *,
        draining: bool = False,
    ) -> ViewModel:
        """Return the view model of a snapshot; `seconds`: time since the view started."""
        self._rates.observe(snapshot.get("services", {}).get(keys.WEBHOOK_DELIVERY, {}))
        delivery = snapshot.get("delivery", {})
        return ViewModel(
            seconds=seconds,
            services=_services(snapshot),
            chains=_chains(snapshot, heads or {}),
            activity=delivery.get("activity", ""),
            delivered=delivery.get("delivered"),
            failed_attempts=delivery.get("failed_attempts"),
            dead=delivery.get("dead"),
            per_second=self._rates.per_second,
            recent=self._rates.each_second,
            post=_quantiles(delivery, "post_ms"),
            queued_to_delivered=_quantiles(delivery, "queued_to_delivered_ms"),
            post_since_start=_quantiles(delivery.get("since_start", {}), "post_ms"),
            queue=snapshot.get("queue"),
            endpoints=_endpoints(snapshot),
            backfills=_backfills(snapshot),
            audit=audit,
            draining=draining,
        )


def _services(snapshot: Mapping[str, Any]) -> tuple[ServiceLine, ...]:
    """Return the services in the order in which they start."""
    services = snapshot.get("services", {})
    return tuple(_service(name, services.get(name, {})) for name in keys.SERVICES)


def _chains(snapshot: Mapping[str, Any], heads: Mapping[int, int]) -> tuple[ChainLine, ...]:
    """Return the chains; `heads`: newer heads, read from the nodes."""
    waiting = {stream["chain_id"]: stream["length"] for stream in snapshot.get("streams", [])}
    return tuple(_chain(chain, heads, waiting) for chain in snapshot.get("chains", []))


def _backfills(snapshot: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(backfill_summary(backfill) for backfill in snapshot.get("backfills", []))


def _endpoints(snapshot: Mapping[str, Any]) -> EndpointsLine | None:
    counts = snapshot.get("endpoints")
    return EndpointsLine(counts["total"], counts["enabled"], counts["circuit_open"]) if counts else None


def _quantiles(delivery: Mapping[str, Any], name: str) -> Quantiles:
    found = delivery.get(name) or {}
    return Quantiles(_seconds(found.get("p50")), _seconds(found.get("p99")))


def _service(name: str, service: Mapping[str, Any]) -> ServiceLine:
    up, workers = service.get("workers_up", 0), service.get("workers", 0)
    age_ms = service.get("status_age_ms") or 0
    silent = age_ms / 1000 if age_ms > STALE_MS else None
    return ServiceLine(name, bool(service.get("ready")), up, workers, str(service.get("reason") or ""), silent)


def _chain(chain: Mapping[str, Any], heads: Mapping[int, int], waiting: Mapping[int, int | None]) -> ChainLine:
    chain_id = chain["chain_id"]
    return ChainLine(
        chain_id,
        heads.get(chain_id, chain.get("head") or 0),
        chain.get("checkpoint") or 0,
        chain.get("events_published", 0),
        waiting.get(chain_id),
        _seconds(chain.get("lag_ms")),
        _nodes(chain),
        catch_up(chain),
    )


def _nodes(chain: Mapping[str, Any]) -> NodeSummary | None:
    usable, known = usable_nodes(chain)
    if not known:
        return None
    problems = tuple(node_problems(chain, int(time.time() * 1000)))
    return NodeSummary(usable, known, active_node(chain), chain.get("rpc_requests_per_block"), problems)


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
