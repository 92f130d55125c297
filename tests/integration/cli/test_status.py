"""`hookfarm status` over a queue in which something waits everywhere."""

import json
from typing import Any

from hookfarm.store import keys
from tests.support.delivery import OneWorker, add_endpoint, enqueue, job
from tests.support.finished_command import done, run
from tests.support.receivers import Receiver


def test_every_place_in_the_queue_is_counted(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint, paused = add_endpoint(client, receiver.url), add_endpoint(client, receiver.url, enabled=False)
    receiver.reply_with(500)
    enqueue(redis_url, job(endpoint))
    client.lpush(keys.DELIVERY_QUEUE, b"no job")
    worker.step(2)
    worker.settle()
    enqueue(redis_url, *(job(paused) for _ in range(1200)), *(job(endpoint) for _ in range(2)))
    found = json.loads(done(run(redis_url, "status", "--json")))
    in_queue = {"queued": 2, "open": 2, "parked": 1200, "retry": 1, "dead": 1, "unconfirmed": 0}
    assert found["queue"] == {**in_queue, "backfill": 0}
    assert found["endpoints"] == {"total": 2, "enabled": 1, "circuit_open": 0}
    shown = done(run(redis_url, "status"))
    assert "delivery_queue  queued 2  open 2  parked 1,200  retry 1  dead 1  unconfirmed 0\n" in shown
    assert "endpoints  enabled 1  disabled 1  circuit open 0\n" in shown
    assert "\x1b" not in shown
