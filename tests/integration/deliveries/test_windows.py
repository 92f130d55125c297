"""How windows stand, for those who look at them."""

from typing import Any

from hookfarm.deliveries import endpoint_stats
from hookfarm.deliveries.endpoint_stats import Window
from tests.support.delivery import OneWorker, add_endpoint, enqueue, job
from tests.support.receivers import Receiver


def test_each_endpoint_has_its_window_however_many_are_asked_for(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    busy = add_endpoint(client, receiver.url, max_in_flight=2)
    enqueue(redis_url, *(job(busy) for _ in range(5)))
    others = [f"ep_{number}" for number in range(2500)]
    found = endpoint_stats.read_windows(client, [*others[:1234], busy.id, *others[1234:]])
    assert (found[1234].open, found[1234].parked) == (2, 3)
    assert not found[1234].is_failing
    assert found[:1234] + found[1235:] == [Window()] * 2500
    assert endpoint_stats.read_windows(client, []) == []
    worker.step(5)
    worker.settle()
    assert endpoint_stats.read_windows(client, [busy.id]) == [Window()]
