"""How a delivery process is put together, before and after its fork."""

import contextlib
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hookfarm.delivery_queue import BLOCK_SECONDS
from hookfarm.farm.child import Child
from hookfarm.http_client.connections import Connections, tls_context
from hookfarm.http_client.request import Endpoints
from hookfarm.http_client.transport import Transport
from hookfarm.registry.registry import Registry
from hookfarm.security.ssrf import IPNetwork
from hookfarm.security.vault import MasterKey, Vault
from hookfarm.store.clients import PipelinedConnection, command_client
from hookfarm.tracing.setup import Tracing, opened
from hookfarm.webhook_delivery.worker import Policy, Worker


@dataclass(frozen=True)
class Deployment:
    """What all delivery processes of a farm share: made before the forks, no socket in it."""

    redis_url: str
    policy: Policy
    tls: ssl.SSLContext
    allowed: tuple[IPNetwork, ...]
    vault: Vault
    tracing: Tracing | None = None


def deployment(
    redis_url: str,
    policy: Policy,
    ca_file: Path | None,
    allowed: tuple[IPNetwork, ...],
    master_keys: tuple[MasterKey, ...] = (),
    tracing: Tracing | None = None,
) -> Deployment:
    """Loads certificates and code once, in the master, for all its children."""
    return Deployment(redis_url, policy, tls_context(ca_file), allowed, Vault(master_keys), tracing)


def run(child: Child, shared: Deployment) -> None:
    """A delivery process's whole life: returns once the child was told to stop and has settled.

    It runs as SCHED_BATCH (sched(7)): woken by a reply, it waits its turn instead of pushing aside a worker in
    the middle of a job, which would then find its caches cold.
    """
    with contextlib.suppress(OSError):  # A container may forbid it.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    connection = PipelinedConnection(shared.redis_url, BLOCK_SECONDS)
    endpoints = Endpoints(connection, shared.allowed, shared.vault)
    transport = Transport(Connections(shared.tls, shared.allowed), give_up=lambda: child.out_of_grace)
    registry = _registry(shared.redis_url)
    with opened(shared.tracing, child) as spans:
        Worker(child, connection, endpoints, transport, registry, shared.policy, spans).run()


def _registry(redis_url: str) -> Callable[[], Registry]:
    """For the few that ever write to it: redis-py's client is 0.4 MB of each process and 0.6 ms of its start."""
    return lambda: Registry(command_client(redis_url))
