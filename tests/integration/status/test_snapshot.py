"""The snapshot of a farm."""

import asyncio
from typing import Any

import orjson
import pytest
import redis

from hookfarm import status
from hookfarm.event_stream import StreamReader
from hookfarm.registry.store import Registry
from hookfarm.status import readiness
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection, async_client
from tests.support.delivery import OneWorker, add_endpoint, enqueue, job
from tests.support.receivers import Receiver

CHAIN = 7
ELSEWHERE = 8
INGESTOR = {
    "chains": [
        {
            "chain_id": CHAIN,
            "head": 110,
            "checkpoint": 100,
            "lag_blocks": 10,
            "checkpoint_at": "2001-09-09T01:46:40.000Z",
            "events_published": 9,
            "catch_up": {"blocks_per_second": 2.0, "remaining_ms": 5000},
            "reason": "",
        }
    ]
}


def test_nothing_running_is_a_snapshot_of_that(client: Any) -> None:
    found = status.take_snapshot(client)
    assert found["services"] == {
        name: {"reason": "not running", "ready": False, "status_age_ms": None} for name in keys.SERVICES
    }
    assert (found["chains"], found["streams"]) == ([], [])
    in_queue = {"queued": 0, "open": 0, "parked": 0, "retry": 0, "dead": 0, "unconfirmed": 0}
    assert found["queue"] == {**in_queue, "backfill": 0}
    assert found["endpoints"] == {"total": 0, "enabled": 0, "circuit_open": 0}
    nothing = {"p50": None, "p99": None}
    assert found["delivery"] == {
        "activity": "",
        "delivered": None,
        "failed_attempts": None,
        "dead": None,
        "per_second": None,
        "post_ms": nothing,
        "queued_to_delivered_ms": nothing,
        "since_start": {"post_ms": nothing, "queued_to_delivered_ms": nothing},
    }


def test_a_service_says_what_it_said_and_how_long_ago(client: Any) -> None:
    readiness.publish(client, keys.WEBHOOK_DELIVERY, {"activity": "bp", "delivered": 3})
    readiness.withdraw(client, keys.EVENT_INGESTOR, {"reason": "chain 7: no answer"})
    client.expire(keys.status(keys.EVENT_INGESTOR), readiness.TTL_SECONDS - 12)
    found = status.take_snapshot(client)
    delivery, ingestor = found["services"][keys.WEBHOOK_DELIVERY], found["services"][keys.EVENT_INGESTOR]
    assert delivery["ready"]
    assert delivery["status_age_ms"] == pytest.approx(0, abs=5000)
    assert (ingestor["ready"], ingestor["reason"]) == (False, "chain 7: no answer")
    assert ingestor["status_age_ms"] == pytest.approx(12_000, abs=5000)
    assert (found["delivery"]["activity"], found["delivery"]["delivered"]) == ("bp", 3)


@pytest.mark.parametrize("garbage", [b"\xff", b"[1]", b"not JSON"])
def test_a_status_that_is_none_is_not_running(client: Any, garbage: bytes) -> None:
    client.set(keys.status(keys.WEBHOOK_DELIVERY), garbage)
    assert status.take_snapshot(client)["services"][keys.WEBHOOK_DELIVERY]["reason"] == "not running"


def test_a_chain_has_its_lag_its_heads_and_what_it_is_doing(client: Any) -> None:
    readiness.publish(client, keys.EVENT_INGESTOR, INGESTOR)
    client.hset(keys.heads(CHAIN), mapping={"latest": 100, "safe": 90, "no_finalized": 1})
    [chain] = status.take_snapshot(client)["chains"]
    assert (chain["chain_id"], chain["head"], chain["checkpoint"], chain["lag_blocks"]) == (CHAIN, 110, 100, 10)
    assert (chain["lag_ms"] or 0) > 500_000_000_000
    assert (chain["safe"], chain["finalized"], chain["unsupported_tags"]) == (90, None, ["finalized"])
    assert (chain["ready"], chain["reason"]) == (True, "")
    assert chain["catch_up"] == {"blocks_per_second": 2.0, "remaining_ms": 5000}
    assert "checkpoint_at" not in chain
    assert (chain["name"], chain["tag_confirmations"]) == ("", {"safe": 32, "finalized": 64})
    assert chain["proof"] is None, "the report of an older farm"


def test_what_is_proven_on_a_chain_depends_on_its_newest_block_and_on_what_was_learned(client: Any) -> None:
    def proof(**values: Any) -> str:
        row = {**INGESTOR["chains"][0], "chain_id": 137, "verify": "bloom", "blocks_beyond_bloom": 0, **values}
        readiness.publish(client, keys.EVENT_INGESTOR, {"chains": [row]})
        [chain] = status.take_snapshot(client)["chains"]
        assert chain["name"] == "Polygon PoS"
        return chain["proof"] or ""

    assert "if the bloom omits it (state syncs) or its" in proof(blooms="used")
    assert "if its address" in proof(blooms="used", checkpoint=80_084_800)
    assert "all headers have the same bloom" in proof(blooms="constant")
    assert "verify=contiguous ignores blooms" in proof(blooms="used", verify="contiguous")


def test_a_configured_chain_without_a_report_has_its_name_and_no_proof() -> None:
    [chain] = status.with_configured([], [10])
    assert (chain["name"], chain["proof"]) == ("OP Mainnet", None)
    assert chain["tag_confirmations"] == {"safe": 192, "finalized": 384}


def test_at_its_head_a_chain_is_not_late_however_old_its_last_block_is(client: Any) -> None:
    at_the_head = {"chains": [{**INGESTOR["chains"][0], "head": 100, "lag_blocks": 0}]}
    readiness.publish(client, keys.EVENT_INGESTOR, at_the_head)
    assert status.take_snapshot(client)["chains"][0]["lag_ms"] == 0


def test_a_chain_whose_ingestor_has_gone_silent_is_not_ready(client: Any) -> None:
    readiness.publish(client, keys.EVENT_INGESTOR, INGESTOR)
    client.expire(keys.status(keys.EVENT_INGESTOR), readiness.TTL_SECONDS - 12)
    [chain] = status.take_snapshot(client)["chains"]
    assert (chain["ready"], chain["reason"]) == (False, "the ingestor has stopped reporting")


def test_streams_are_those_of_ingestors_and_processors_with_what_waits_in_them(
    client: Any, connection: PipelinedConnection
) -> None:
    readiness.publish(client, keys.EVENT_INGESTOR, INGESTOR)
    readiness.publish(client, keys.MESSAGE_PROCESSOR, {"chains": [ELSEWHERE]})
    reader = StreamReader(connection, "one")
    reader.follow([ELSEWHERE])
    for number in range(3):
        client.xadd(keys.events(ELSEWHERE), {"event": number})
    reader.send_read()
    reader.receive()
    client.xadd(keys.events(ELSEWHERE), {"event": 3})
    assert status.take_snapshot(client)["streams"] == [
        {"chain_id": CHAIN, "length": 0, "pending": 0, "lag": 0},
        {"chain_id": ELSEWHERE, "length": 4, "pending": 3, "lag": 1},
    ]


def test_a_stream_that_is_none_is_unknown_and_costs_nobody_else(client: Any) -> None:
    readiness.publish(client, keys.MESSAGE_PROCESSOR, {"chains": [CHAIN, ELSEWHERE]})
    client.set(keys.events(CHAIN), "x")
    client.xadd(keys.events(ELSEWHERE), {"event": 1})
    assert status.take_snapshot(client)["streams"] == [
        {"chain_id": CHAIN, "length": None, "pending": None, "lag": None},
        {"chain_id": ELSEWHERE, "length": 1, "pending": 0, "lag": 1},
    ]


def test_a_queue_that_cannot_be_read_is_an_error(client: Any) -> None:
    client.set(keys.RETRY, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        status.take_snapshot(client)
    client.delete(keys.RETRY)


def test_the_queue_and_the_endpoints_are_counted(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint, paused = add_endpoint(client, receiver.url), add_endpoint(client, receiver.url, enabled=False)
    receiver.reply_with(*[500] * 8)
    enqueue(redis_url, *(job(endpoint) for _ in range(8)), *(job(paused) for _ in range(3)))
    worker.step(5)
    worker.settle()
    client.hset(keys.UNCONFIRMED, "msg_1", "{}")
    found = status.take_snapshot(client)
    assert found["endpoints"] == {"total": 2, "enabled": 1, "circuit_open": 1}
    queue = found["queue"]
    assert (queue["dead"], queue["unconfirmed"]) == (0, 1)
    assert queue["retry"] >= 5, "probes may have failed since"
    assert queue["open"] + queue["parked"] == 11 - queue["retry"]
    assert queue["parked"] >= 3
    client.delete(keys.UNCONFIRMED)
    Registry(client).remove(paused.id)
    assert status.take_snapshot(client)["endpoints"]["total"] == 1


def test_both_clients_return_the_same_snapshot(client: Any, redis_url: str) -> None:
    readiness.publish(client, keys.EVENT_INGESTOR, INGESTOR)

    async def look() -> status.Snapshot:
        asynchronous = async_client(redis_url)
        try:
            return await status.take_snapshot_async(asynchronous)
        finally:
            await asynchronous.aclose()

    assert settled(asyncio.run(look())) == settled(status.take_snapshot(client))


def settled(found: status.Snapshot) -> bytes:
    """Without what time changes."""
    changing = ("timestamp", "status_age_ms", "lag_ms")

    def pruned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: pruned(inner) for name, inner in value.items() if name not in changing}
        return [pruned(inner) for inner in value] if isinstance(value, list) else value

    return orjson.dumps(pruned(found))


def test_its_cost_does_not_grow_with_what_is_in_redis(client: Any) -> None:
    small = cost(client)
    with client.pipeline(transaction=False) as pipe:
        for number in range(5000):
            pipe.hset(keys.ENDPOINTS, f"ep_{number}", b"{}")
            pipe.sadd(keys.DISABLED_ENDPOINTS, f"ep_{number}")
            pipe.zadd(keys.OPEN_CIRCUITS, {f"ep_{number}": 1})
        pipe.execute()
    assert cost(client) == small
    assert not small.keys() & {"keys", "scan", "hgetall", "hvals", "smembers", "zrange", "hscan"}
    client.delete(keys.DISABLED_ENDPOINTS, keys.OPEN_CIRCUITS, keys.ENDPOINTS)


def cost(client: Any) -> dict[str, int]:
    """The commands of a snapshot, and how often each."""
    client.config_resetstat()
    status.take_snapshot(client)
    stats = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items()}
