"""The whole pipeline in a cluster: a chain that the test mines, and a farm with an ingestor."""

from collections.abc import Iterable
from typing import cast

import redis

from hookfarm.devchain.embedded import RunningDevchain
from hookfarm.matching.payload import LOG_EMITTED, webhook_id
from hookfarm.records import Endpoint, Event, Subscription, new_endpoint_id, new_subscription_id
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from tests.chaos.cluster import LOOPBACK, Cluster
from tests.chaos.endpoint_secrets import secret_of
from tests.chaos.load import CHAIN_ID
from tests.chaos.recording import Recording
from tests.support.farm_processes import FarmProcess

ENDPOINTS = 3


def owed_ids(chain: RunningDevchain, endpoints: Iterable[Endpoint]) -> set[str]:
    """The webhook-ids that the chain as it is now comes to."""
    logs = chain.canonical_logs()
    events = [
        {"chain_id": CHAIN_ID, "block_hash": log["blockHash"], "log_index": int(log["logIndex"], 16)}
        for log in logs
    ]
    return {webhook_id(cast(Event, event), e.id, LOG_EMITTED) for event in events for e in endpoints}


def add_endpoints(cluster: Cluster, behaviour: str = "200") -> list[Endpoint]:
    """They want everything that happens on the chain."""
    with cluster.server.client() as client:
        return add_endpoints_at(client, cluster.recording, behaviour)


def add_endpoints_at(client: "redis.Redis", recording: Recording, behaviour: str = "200") -> list[Endpoint]:
    """As `add_endpoints`, in whichever Redis."""
    made = []
    for _ in range(ENDPOINTS):
        name = new_endpoint_id()
        wanted = (Subscription(new_subscription_id(), CHAIN_ID),)
        url, secrets = recording.url(name, behaviour), ((secret_of(name), None),)
        made.append(Endpoint(name, url, subscriptions=wanted, secrets=secrets))
        Registry(client).update(made[-1])
    return made


def whole_farm(cluster: Cluster, chain: RunningDevchain, workers: int) -> FarmProcess:
    services = (keys.MESSAGE_PROCESSOR, keys.WEBHOOK_DELIVERY, keys.EVENT_INGESTOR)
    options = ("--workers", str(workers), "--chain", f"{CHAIN_ID}={chain.ws_url}")
    return cluster.start_farm(
        *services, *options, redis_url=cluster.server.url, HOOKFARM_ALLOW_PRIVATE=LOOPBACK
    ).wait_ready()
