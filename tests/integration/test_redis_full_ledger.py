"""A Redis without room: whatever takes from it still works, since only that makes room."""

from typing import Any

from hookfarm import delivery_queue, keys
from hookfarm.redis_clients import Exchange
from tests.support.delivery import add_endpoint, enqueue, job


def test_orphans_are_found_and_queued_again_while_redis_is_full(client: Any, redis_url: str) -> None:
    enqueue(redis_url, job(add_endpoint(client, "http://127.0.0.1:9/"), "a"))
    exchange = Exchange(redis_url, 1)
    delivery_queue.ask(exchange, None)
    assert delivery_queue.answer(exchange)[0] is not None
    exchange.close()
    client.config_set("maxmemory", 1)
    watermark = delivery_queue.watermark(client)
    assert watermark is not None
    [(orphan, sequence)] = delivery_queue.hold(client, "farm", watermark, (), 1)
    assert delivery_queue.requeue_orphan(client, orphan, sequence)
    assert client.llen(keys.DELIVERY_QUEUE) == 1
    client.config_set("maxmemory", 0)
