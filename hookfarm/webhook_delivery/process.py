"""Construction of a delivery process before and after its fork."""

import contextlib
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hookfarm.event_loop import EventLoop
from hookfarm.farm.child import Child
from hookfarm.http_client.connections import tls_context
from hookfarm.http_client.resolver import Resolver
from hookfarm.http_client.transport import Transport
from hookfarm.registry.store import Registry
from hookfarm.security.ssrf import IPNetwork
from hookfarm.security.vault import MasterKey, Vault
from hookfarm.store.clients import command_client
from hookfarm.tracing import TracingSettings, open_spans
from hookfarm.webhook_delivery.endpoints import EndpointCache
from hookfarm.webhook_delivery.worker import Policy, Worker, WorkerResources

REGISTRY_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True)
class WorkerContext:
    """Objects that all delivery processes of a farm share: made before the forks, without sockets."""

    redis_url: str
    policy: Policy
    tls: ssl.SSLContext
    allowed: tuple[IPNetwork, ...]
    vault: Vault
    tracing: TracingSettings | None = None


def worker_context(
    redis_url: str,
    policy: Policy,
    ca_file: Path | None,
    allowed: tuple[IPNetwork, ...],
    master_keys: tuple[MasterKey, ...] = (),
    tracing: TracingSettings | None = None,
) -> WorkerContext:
    """Load certificates and code once, in the master, for all children."""
    return WorkerContext(redis_url, policy, tls_context(ca_file), allowed, Vault(master_keys), tracing)


def run(child: Child, context: WorkerContext) -> None:
    """Run a delivery process until the child is stopped and has settled its last job.

    The process runs as SCHED_BATCH (sched(7)): a reply that wakes it does not preempt another worker.
    Preemption in the middle of a job would leave that worker with cold CPU caches.
    """
    with contextlib.suppress(OSError):  # A container may forbid SCHED_BATCH.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    loop = EventLoop()
    endpoints = EndpointCache(context.allowed, context.vault)
    max_idle = 2 * context.policy.concurrency
    transport = Transport(loop, context.tls, context.allowed, Resolver(loop), max_idle)
    registry = _registry(context.redis_url)
    with open_spans(context.tracing, child) as spans:
        resources = WorkerResources(context.redis_url, endpoints, transport, registry, spans)
        Worker(child, resources, context.policy).run()


def _registry(redis_url: str) -> Callable[[], Registry]:
    """Connect on demand: redis-py's client costs each process 0.4 MB and 0.6 ms of its start."""
    return lambda: Registry(command_client(redis_url, REGISTRY_TIMEOUT_SECONDS))
