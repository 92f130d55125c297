"""A Redis without room: whatever takes from it still works, since only that makes room."""

from dataclasses import replace
from typing import Any

import pytest
import redis

from hookfarm import delivery_queue
from hookfarm.delivery_queue import FarmLimits
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support import backfill_queue
from tests.support.delivery import add_endpoint, enqueue, job
from tests.support.queue import pop


def test_orphans_are_found_and_queued_again_while_redis_is_full(client: Any, redis_url: str) -> None:
    enqueue(redis_url, job(add_endpoint(client, "http://127.0.0.1:9/"), "a"))
    connection = PipelinedConnection(redis_url, 1)
    pop(connection)
    connection.close()
    client.config_set("maxmemory", 1)
    limits = FarmLimits(16, 1000)
    watermark = delivery_queue.sweep(client, "farm", 0, (), limits).watermark
    assert watermark is not None
    [(orphan, sequence)] = delivery_queue.sweep(client, "farm", watermark, (), limits).orphans
    assert delivery_queue.requeue_orphan(client, orphan, sequence)
    assert client.llen(keys.DELIVERY_QUEUE) == 1
    client.config_set("maxmemory", 0)


def test_a_backfill_queue_is_drained_while_redis_is_full_and_not_filled(client: Any, redis_url: str) -> None:
    endpoint = add_endpoint(client, "http://127.0.0.1:9/", enabled=False)
    backfill_queue.fill(redis_url, endpoint.id, [job(endpoint, f"m{n}") for n in range(40)])
    enqueue(redis_url, job(add_endpoint(client, "http://127.0.0.1:9/"), "live"))
    Registry(client).edit(endpoint.id, lambda known: replace(known, enabled=True))
    client.config_set("maxmemory", 1)
    delivery_queue.tick(client)
    assert len(backfill_queue.queued_ids(client, endpoint.id)) < 40
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        backfill_queue.submit(redis_url, endpoint.id, backfill_queue.next_batch([job(endpoint, "more")]))
    client.config_set("maxmemory", 0)
    assert backfill_queue.submit(redis_url, endpoint.id, backfill_queue.next_batch([job(endpoint, "more")])) == (
        "done",
        1,
    )
