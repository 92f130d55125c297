"""Garbage in the keys that the farm reads becomes dead letters, and the rest is delivered."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
import redis

from hookfarm.records import Endpoint, Subscription, new_endpoint_id
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from tests.chaos.assertions import evaluate
from tests.chaos.cluster import Cluster
from tests.chaos.endpoint_secrets import secret_of
from tests.chaos.load import CHAIN_ID, Load, add_endpoints
from tests.support.farm_processes import FarmProcess
from tests.support.ledger import assert_ledger_invariant
from tests.support.waiting import PATIENCE_SECONDS, eventually

FIFTY_MB = 50 * 1024 * 1024
WORKERS = 5
GOOD_EVENTS = 60
FAN_OUT = 5

ELEMENTS: list[bytes] = [
    b"",
    b" ",
    b"garbage",
    b"\xff\xfe\x00\x01",
    b"null",
    b"true",
    b"7",
    b"-1e999",
    b'"text"',
    b"[]",
    b"{}",
    b"NaN",
    b'{"endpoint":"ep_a","payload":{}} trailing',
    b'{"endpoint":"ep_a"}',
    b'{"payload":{}}',
    b'{"endpoint":7,"payload":{}}',
    b'{"endpoint":"","payload":{}}',
    b'{"endpoint":"ep a\\n","payload":{}}',
    b'{"endpoint":"ep_a","payload":[]}',
    b'{"endpoint":"ep_a","payload":null}',
    b'{"endpoint":"ep_a","payload":{},"id":7}',
    b'{"endpoint":"ep_a","payload":{},"id":""}',
    b'{"endpoint":"ep_a","payload":{},"id":"' + b"x" * 1000 + b'"}',
    b'{"endpoint":"ep_nobody","payload":{},"id":"to_nobody"}',
    b'{"endpoint":"ep_a","payload":' + b'{"a":' * 600 + b"1" + b"}" * 600 + b"}",
    b"[" * 200_000,
    b'{"seq":"x","id":"a","endpoint":"ep_a","attempt":1}',
    b'{"seq":-1,"id":"a","endpoint":"ep_a","attempt":1,"payload":[]}',
    b'{"seq":18446744073709551617,"id":"b","endpoint":"ep_a","attempt":1,"payload":7}',
    b'{"seq":1e300,"id":"c","endpoint":"ep_a","attempt":1,"payload":"x"}',
    b'{"seq":5,"id":"d","endpoint":"ep_a","attempt":0,"payload":[]}',
    b"x" * FIFTY_MB,
    b'{"endpoint":"ep_a","payload":{"a":"' + b"x" * FIFTY_MB + b'"}}',
]
"""None of them is a job."""


def event(**changes: Any) -> bytes:
    whole: dict[str, Any] = {
        "chain_id": CHAIN_ID,
        "block_number": 1,
        "block_hash": f"0x{1:064x}",
        "block_timestamp": 1_700_000_000,
        "transaction_hash": f"0x{1:064x}",
        "transaction_index": 0,
        "log_index": 0,
        "address": f"0x{1:040x}",
        "topics": [],
        "data": "0x",
        "removed": False,
    }
    return orjson.dumps({name: value for name, value in {**whole, **changes}.items() if value is not ...})


ENTRIES: list[dict[bytes, bytes]] = [
    {b"event": content}
    for content in (
        b"",
        b"garbage",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"7",
        b"[" * 200_000,
        b'{"a":' * 2000,
        b"x" * FIFTY_MB,
        event(chain_id=CHAIN_ID + 1),
        event(chain_id=str(CHAIN_ID)),
        event(chain_id=True),
        event(block_number=-1),
        event(block_number=1.5),
        event(block_number=...),
        event(block_timestamp=2**63),
        event(block_hash="0x12"),
        event(block_hash=7),
        event(log_index=None),
        event(address="0x" + "g" * 40),
        event(topics=["0x00"]),
        event(topics=[f"0x{1:064x}"] * 5),
        event(topics={"a": 1}),
        event(data="0x123"),
        event(data=["0x"]),
        event(removed="yes"),
        event().replace(b'"block_number":1', b'"block_number":184467440737095516160'),
        event().replace(b'"log_index":0', b'"log_index":1e400'),
    )
] + [{b"other": b"field"}, {b"\xff": b"\xff"}]
"""None of them holds an event."""


def dead_letters(client: Any) -> list[dict[str, Any]]:
    return [orjson.loads(client.hget(keys.JOBS, name)) for name in client.zrange(keys.DEAD, 0, -1)]


def pids(farm: FarmProcess) -> dict[str, int]:
    return {name: process.pid for name, process in farm.children().items()}


def await_delivered(cluster: Cluster, load: Load, within: float = PATIENCE_SECONDS) -> None:
    cluster.recording.wait_for_ids(set(load.owed()), within)
    evaluate(load.owed(), cluster.recording.arrivals).assert_correct(deaths=0)


def test_garbage_in_either_hop_ends_among_the_dead_letters_with_its_reason(cluster: Cluster) -> None:
    farm = cluster.farm(WORKERS)
    living, lines = pids(farm), len(farm.stderr.splitlines())
    with cluster.server.client() as client:
        load = Load(client, add_endpoints(client, cluster.recording, FAN_OUT, FAN_OUT), FAN_OUT)
        for number, entry in enumerate(ENTRIES, 1):
            client.xadd(keys.events(CHAIN_ID), entry, id=f"0-{number}")
        for number, element in enumerate(ELEMENTS):
            client.lpush(keys.DELIVERY_QUEUE, element)
            load.send(number, 1)
        load.send(len(ELEMENTS), GOOD_EVENTS)
        await_delivered(cluster, load)
        wanted = len(ELEMENTS) + len(ENTRIES)
        eventually(lambda: client.zcard(keys.DEAD) == wanted, what="every dead letter")
        letters = dead_letters(client)
        assert all(letter["reason"] for letter in letters)
        assert all(len(orjson.dumps(letter)) < 20_000 for letter in letters), "garbage is kept in full"
        eventually(lambda: client.zcard(keys.OPEN) == 0, what="nothing being open")
        assert client.xlen(keys.events(CHAIN_ID)) == client.llen(keys.DELIVERY_QUEUE) == 0
        assert_ledger_invariant(client)
    assert pids(farm) == living, "a process has died of it"
    assert len(farm.stderr.splitlines()) - lines <= 2 * wanted
    eventually(lambda: all(map(farm.is_ready, (keys.MESSAGE_PROCESSOR, keys.WEBHOOK_DELIVERY))), what="readiness")
    assert farm.stop() == 0


def test_of_elements_with_one_id_the_second_is_a_dead_letter_while_the_first_is_owed(cluster: Cluster) -> None:
    farm = cluster.farm(WORKERS, HOOKFARM_RETRY_SCHEDULE="1h")
    with cluster.server.client() as client:
        [endpoint] = add_endpoints(client, cluster.recording, 1, behaviour="503")
        first, second = ({"endpoint": endpoint.id, "payload": {"n": n}, "id": "same"} for n in (1, 2))
        client.lpush(keys.DELIVERY_QUEUE, orjson.dumps(first))
        eventually(lambda: client.zcard(keys.RETRY) == 1, what="the first being owed")
        client.lpush(keys.DELIVERY_QUEUE, orjson.dumps(second))
        [letter] = eventually(lambda: dead_letters(client), what="the dead letter")
        assert "already in the queue" in letter["reason"]
        assert_ledger_invariant(client)
    assert farm.stop() == 0


ENDPOINTS: list[bytes] = [
    b"",
    b"garbage",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"{}",
    b"[" * 100_000,
    b'{"id":"ep_x"}',
    orjson.dumps({**Endpoint("ep_x", "https://example.com/").stored(), "secrets": [["whsec_!", None]]}),
    orjson.dumps({**Endpoint("ep_x", "https://example.com/").stored(), "subscriptions": {"a": 1}}),
    orjson.dumps({**Endpoint("ep_x", "https://example.com/").stored(), "timeout_seconds": "soon"}),
    orjson.dumps({**Endpoint("ep_x", "https://example.com/").stored(), "headers": {"a": "b\r\nc: d"}}),
    b"x" * (5 * 1024 * 1024),
]


def test_endpoints_that_are_none_are_skipped_by_name_and_the_others_are_served(cluster: Cluster) -> None:
    """Written over endpoints that were there, so that every reader is notified of them."""
    with cluster.server.client() as client:
        spoiled = []
        for content in ENDPOINTS:
            name = new_endpoint_id()
            wanted = (Subscription(f"sub_{name}", CHAIN_ID),)
            made = Endpoint(name, cluster.recording.url(name), subscriptions=wanted)
            Registry(client).update(replace(made, secrets=((secret_of(name), None),)))
            client.hset(keys.ENDPOINTS, name, content)
            spoiled.append(name)
        load = Load(client, add_endpoints(client, cluster.recording, FAN_OUT, FAN_OUT), FAN_OUT)
        farm = cluster.farm(WORKERS)
        living = pids(farm)
        load.send(0, GOOD_EVENTS)
        for name in spoiled:
            client.lpush(keys.DELIVERY_QUEUE, orjson.dumps({"endpoint": name, "payload": {}}))
        await_delivered(cluster, load)
        eventually(lambda: client.zcard(keys.DEAD) == len(spoiled), what="the dead letters")
        assert all(letter["reason"].startswith("endpoint_invalid: ") for letter in dead_letters(client))
        eventually(lambda: client.zcard(keys.OPEN) == 0, what="nothing being open")
        assert_ledger_invariant(client)
    assert pids(farm) == living, "a process has died of it"
    for name in spoiled:
        [said] = [line for line in farm.stderr.splitlines() if "endpoint cannot be read" in line and name in line]
        assert "reason=" in said
    assert farm.stop() == 0


PRIVATE: dict[str, Callable[["redis.Redis"], object]] = {
    "sequence": lambda client: client.set(keys.SEQUENCE, "garbage"),
    "revision": lambda client: client.set(keys.REGISTRY_REVISION, "garbage"),
    "open": lambda client: client.zadd(keys.OPEN, {b"unknown": 5, b"\xff": 6}),
    "holders": lambda client: client.hset(keys.HELD_BY_FARM, "x", "garbage"),
    "a sequence beyond all": lambda client: client.rpush(
        keys.DELIVERY_QUEUE,
        b'{"seq":%d,"id":"a","endpoint":"ep_nobody","attempt":1,"payload":{}}' % (2**53 - 1),
    ),
}


@pytest.mark.parametrize("place", PRIVATE)
def test_garbage_in_a_private_key_ends_no_process_and_takes_nothing_from_what_is_queued(
    cluster: Cluster, place: str
) -> None:
    farm = cluster.farm(WORKERS)
    with cluster.server.client() as client:
        load = Load(client, add_endpoints(client, cluster.recording, FAN_OUT, FAN_OUT), FAN_OUT)
        load.send(0, GOOD_EVENTS)
        eventually(lambda: client.xlen(keys.events(CHAIN_ID)) == 0, what="all jobs being queued")
        living = pids(farm)
        PRIVATE[place](client)
        await_delivered(cluster, load)
        eventually(lambda: not client.llen(keys.DELIVERY_QUEUE), what="the queue being empty")
    assert pids(farm) == living, "a process has died of it"
    assert len(farm.stderr.splitlines()) < 20 + len(living), farm.stderr
    assert farm.stop() == 0
