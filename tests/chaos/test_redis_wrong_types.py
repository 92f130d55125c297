"""Keys that hold something else than they must: said once by name, not ready meanwhile, right when mended."""

from collections.abc import Callable

import pytest
import redis

from hookfarm.records import Endpoint, Subscription, new_endpoint_id
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from tests.chaos.assertions import evaluate
from tests.chaos.cluster import Cluster
from tests.chaos.load import CHAIN_ID, Load
from tests.support.delivery import undelivered
from tests.support.farm_processes import FarmProcess
from tests.support.ledger import assert_drained
from tests.support.waiting import PATIENCE_SECONDS, eventually

WORKERS = 5
OTHER_CHAIN = 9099

Spoil = Callable[["redis.Redis", str], object]

FOREIGN: dict[str, Spoil] = {
    "string": lambda client, key: client.set(key, "x"),
    "hash": lambda client, key: client.hset(key, "a", "b"),
}


def spoil(client: "redis.Redis", key: str, kind: str) -> None:
    with client.pipeline(transaction=True) as pipe:
        pipe.delete(key)
        FOREIGN[kind](pipe, key)
        pipe.execute()


def said_of(farm: FarmProcess, service: str, words: str) -> list[str]:
    return [line for line in farm.stderr.splitlines() if f" {service} " in line and words in line]


def await_ready(farm: FarmProcess, service: str, ready: bool) -> None:
    eventually(lambda: farm.is_ready(service) == ready, what=f"{service} being {'' if ready else 'not '}ready")


def await_settled(client: "redis.Redis") -> None:
    """Nothing is owed any more. Other streams than the load's own may be anything."""
    eventually(lambda: not undelivered(client) + client.exists(keys.DELIVERY_QUEUE), 15, "the ledger drained")
    assert client.xlen(keys.events(CHAIN_ID)) == 0
    assert_drained(client)


def await_delivered(cluster: Cluster, load: Load, within: float = PATIENCE_SECONDS) -> None:
    cluster.recording.wait_for_ids(set(load.owed()), within)
    with cluster.server.client() as client:
        await_settled(client)
    found = evaluate(load.owed(), cluster.recording.arrivals)
    assert not found.lost
    assert not found.duplicates
    assert not found.unsigned


def test_a_stream_of_the_wrong_type_stops_its_own_chain_alone(cluster: Cluster) -> None:
    key = keys.events(OTHER_CHAIN)
    with cluster.load() as load, cluster.server.client() as client:
        wanted = (Subscription("sub_other", OTHER_CHAIN),)
        Registry(client).add(Endpoint(new_endpoint_id(), "http://127.0.0.1:9/", subscriptions=wanted))
        farm = cluster.farm(WORKERS)
        children = farm.children()
        spoil(client, key, "string")
        await_ready(farm, keys.MESSAGE_PROCESSOR, False)
        load.send(0, 50)
        await_delivered(cluster, load)
        [said] = said_of(farm, keys.MESSAGE_PROCESSOR, f"stream {OTHER_CHAIN} down")
        assert f"{key} is a string; it must be a stream" in said
        client.delete(key)
        await_ready(farm, keys.MESSAGE_PROCESSOR, True)
        eventually(lambda: client.xinfo_groups(key), what="the group being made again")
        load.send(50, 50)
        await_delivered(cluster, load)
        assert len(said_of(farm, keys.MESSAGE_PROCESSOR, f"stream {OTHER_CHAIN} ")) == 2
        assert farm.children() == children, "a process has died of it"
    assert farm.stop() == 0


@pytest.mark.parametrize(("key", "must"), [(keys.JOBS, "hash"), (keys.ENDPOINTS, "hash")])
def test_a_key_of_the_wrong_type_that_the_processor_needs_is_named_once_and_costs_no_event(
    cluster: Cluster, key: str, must: str
) -> None:
    with cluster.load() as load, cluster.server.client() as client:
        farm = cluster.farm(WORKERS)
        children = farm.children()
        load.send(0, 10)
        await_delivered(cluster, load)
        kept = client.dump(key)
        spoil(client, key, "string")
        if key == keys.ENDPOINTS:
            client.incr(keys.REGISTRY_REVISION)
            client.zadd(keys.REGISTRY_CHANGES, {"ep_touched": int(client.get(keys.REGISTRY_REVISION) or 0)})
        load.send(10, 50)
        await_ready(farm, keys.MESSAGE_PROCESSOR, False)
        client.delete(key)
        if kept is not None:
            client.restore(key, 0, kept)
        await_ready(farm, keys.MESSAGE_PROCESSOR, True)
        await_delivered(cluster, load)
        [said] = said_of(farm, keys.MESSAGE_PROCESSOR, "redis down")
        assert f"{key} is a string; it must be a {must}" in said
        assert len(said_of(farm, keys.MESSAGE_PROCESSOR, "redis up")) == 1
        assert farm.children() == children, "a process has died of it"
    assert farm.stop() == 0


def test_a_queue_that_was_overwritten_is_made_again_from_the_ledger(cluster: Cluster) -> None:
    with cluster.load() as load, cluster.server.client() as client:
        farm = cluster.farm(WORKERS)
        children = farm.children()
        load.send(0, 100)
        eventually(lambda: client.llen(keys.DELIVERY_QUEUE) > 5, what="a queue")
        spoil(client, keys.DELIVERY_QUEUE, "hash")
        await_ready(farm, keys.WEBHOOK_DELIVERY, False)
        load.send(100, 20)
        client.delete(keys.DELIVERY_QUEUE)
        await_ready(farm, keys.WEBHOOK_DELIVERY, True)
        await_delivered(cluster, load)
        assert farm.children() == children, "a process has died of it"
        said = said_of(farm, keys.WEBHOOK_DELIVERY, "redis down")
        assert len(said) == len(said_of(farm, keys.WEBHOOK_DELIVERY, "redis up")) == WORKERS
        assert all("delivery_queue is a hash; it must be a list" in line for line in said)
    assert farm.stop() == 0


def test_a_flushed_redis_is_gone_on_with_and_the_loss_of_the_endpoints_is_said(cluster: Cluster) -> None:
    with cluster.server.client() as client:
        with cluster.load() as load:
            farm = cluster.farm(WORKERS)
            children = farm.children()
            load.send(0, 20)
            await_delivered(cluster, load)
        client.flushall()
        eventually(
            lambda: said_of(farm, keys.MESSAGE_PROCESSOR, "all endpoints are missing"), what="the word of it"
        )
        before = set(load.owed())
        with cluster.load() as again:
            eventually(lambda: client.exists(keys.events(CHAIN_ID)), what="the stream and its group being made")
            again.send(0, 20)
            cluster.recording.wait_for_ids(set(again.owed()), within=60)
            assert not before & set(again.owed())
            await_settled(client)
        for service in (keys.MESSAGE_PROCESSOR, keys.WEBHOOK_DELIVERY):
            await_ready(farm, service, True)
        assert len(said_of(farm, keys.MESSAGE_PROCESSOR, "all endpoints are missing")) == 1
        assert farm.children() == children, "a process has died of it"
    assert farm.stop() == 0
