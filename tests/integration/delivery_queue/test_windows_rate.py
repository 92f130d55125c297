"""What an endpoint's owner may ask for: so many at once, so many a second, one after the other."""

import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hookfarm import delivery_queue
from hookfarm.delivery_queue.job import ClaimedJob, Job
from hookfarm.records import Endpoint
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support.delivery import add_endpoint, delivered, enqueue, job, undelivered
from tests.support.farm_processes import FarmProcess, started_farms
from tests.support.ledger import assert_drained
from tests.support.queue import settle, take
from tests.support.receivers import peer, read_request, running_receiver
from tests.support.waiting import eventually

URL = "http://127.0.0.1:9/"
LATE_US = 500_000
"""As in store/lua/shared/window.lua."""
SEED = 20261122

StartDelivery = Callable[[int], FarmProcess]


@pytest.fixture
def start_delivery(redis_url: str) -> Iterator[StartDelivery]:
    """Starts that many delivery processes; what fails is tried again after 100 ms."""
    allowed = {"HOOKFARM_ALLOW_PRIVATE": "127.0.0.0/8", "HOOKFARM_RETRY_SCHEDULE": ",".join(["100ms"] * 20)}
    with started_farms() as start:
        yield lambda workers: start(
            "webhook_delivery", "--workers", str(workers), "--concurrency", "1", redis_url=redis_url, **allowed
        ).wait_ready()


@dataclass(frozen=True)
class Answered:
    id: str
    status: int


class Judge:
    """A peer's script that answers each webhook as `choose` decides, after a while, and counts how many meet."""

    def __init__(self, choose: Callable[[], int] = lambda: 200, hold_seconds: float = 0.02) -> None:
        self.answered: list[Answered] = []
        self.most_at_once = 0
        self._choose = choose
        self._hold_seconds = hold_seconds
        self._at_once = 0
        self._lock = threading.Lock()
        self._never = threading.Event()

    @property
    def delivered(self) -> list[str]:
        """The ids of those that were answered with success."""
        return [each.id for each in list(self.answered) if each.status == 200]

    def __call__(self, connection: socket.socket, _: int) -> None:
        while True:
            head, _body = read_request(connection)
            with self._lock:
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
            self._never.wait(self._hold_seconds)
            with self._lock:
                self._at_once -= 1
                status = self._choose()
                self.answered.append(Answered(_webhook_id(head), status))
            connection.sendall(b"HTTP/1.1 %d Judged\r\ncontent-length: 0\r\n\r\n" % status)


def _webhook_id(head: bytes) -> str:
    [line] = [line for line in head.split(b"\r\n") if line.startswith(b"webhook-id: ")]
    return line.partition(b": ")[2].decode()


def _jobs(endpoint: Endpoint, count: int) -> list[Job]:
    return [job(endpoint) for _ in range(count)]


# max_in_flight


@pytest.mark.parametrize("most", [1, 3])
def test_an_endpoint_never_has_more_than_max_in_flight_at_once_and_gets_as_many(
    client: Any, redis_url: str, start_delivery: StartDelivery, most: int
) -> None:
    judge = Judge()
    with peer(judge) as receiver:
        endpoint = add_endpoint(client, receiver.url, max_in_flight=most)
        enqueue(redis_url, *_jobs(endpoint, 100))
        start_delivery(10)
        eventually(lambda: len(judge.delivered) >= 50, 20, "half of the deliveries")
        enqueue(redis_url, *_jobs(endpoint, 100))
        eventually(lambda: len(judge.delivered) >= 200, 20, "all deliveries")
        assert judge.most_at_once == most
        eventually(lambda: not undelivered(client), what="the ledger drained")
        assert_drained(client)


def test_max_in_flight_holds_when_attempts_fail(
    client: Any, redis_url: str, start_delivery: StartDelivery
) -> None:
    chance = random.Random(SEED)
    judge = Judge(lambda: chance.choice((200, 200, 500)))
    with peer(judge) as receiver:
        endpoint = add_endpoint(client, receiver.url, max_in_flight=2)
        jobs = _jobs(endpoint, 60)
        enqueue(redis_url, *jobs)
        start_delivery(10)
        eventually(lambda: set(judge.delivered) == {each.id for each in jobs}, 30, "all deliveries")
        assert judge.most_at_once <= 2


def test_without_a_limit_an_endpoint_alone_gets_all_workers(
    client: Any, redis_url: str, start_delivery: StartDelivery
) -> None:
    judge = Judge()
    with peer(judge) as receiver:
        endpoint = add_endpoint(client, receiver.url)
        enqueue(redis_url, *_jobs(endpoint, 500))
        start_delivery(10)
        eventually(lambda: len(judge.delivered) >= 500, 20, "all deliveries")
        assert judge.most_at_once == 10


# rate_limit_per_second


def test_an_endpoint_is_given_its_rate_and_no_more_than_half_a_second_of_lateness_is_made_good(
    client: Any, redis_url: str
) -> None:
    """By the clock of Redis, so that it holds on any machine: a job's sequence is the time at which it opened."""
    rate = 400
    endpoint = add_endpoint(client, URL, rate_limit_per_second=rate)
    connection = PipelinedConnection(redis_url, delivery_queue.BLOCK_SECONDS)
    began = _redis_us(client)
    enqueue(redis_url, *_jobs(endpoint, 10 * rate))
    opened_us, lost_us, ticked = list[int](), 0, began
    while ticked - began < 2_000_000:
        is_pause_due = len(opened_us) > rate // 2 and not lost_us  # Longer than can be made good, nothing ticks.
        next_tick = ticked + 2 * LATE_US if is_pause_due else ticked
        now = eventually(lambda: _after(client, next_tick), what="the next tick")  # noqa: B023
        lost_us += max(0, now - ticked - LATE_US)
        ticked = now
        delivery_queue.tick(client)
        while client.llen(keys.DELIVERY_QUEUE):
            claimed = take(connection)
            assert isinstance(claimed, ClaimedJob)
            opened_us.append(claimed.sequence)
            settle(connection, delivered(claimed))
    connection.close()
    per_us = rate / 1e6
    for first, start in enumerate(opened_us):
        for count, at in enumerate(opened_us[first:], 1):
            assert count <= per_us * (at - start + LATE_US) + 2, f"{count} jobs within {at - start} us"
    assert len(opened_us) >= per_us * (ticked - began - lost_us - LATE_US), "it was given less than its rate"


def _after(client: Any, at_us: int) -> int:
    """The time, or 0 before `at_us`."""
    now = _redis_us(client)
    return now if now > at_us else 0


def _redis_us(client: Any) -> int:
    seconds, microseconds = client.time()
    return int(seconds * 1_000_000 + microseconds)


def test_an_endpoint_that_waits_for_its_rate_holds_no_worker(
    client: Any, redis_url: str, start_delivery: StartDelivery
) -> None:
    with running_receiver() as limited, running_receiver() as free:
        limited_endpoint = add_endpoint(client, limited.url, rate_limit_per_second=1)
        enqueue(redis_url, *_jobs(limited_endpoint, 100))
        enqueue(redis_url, *_jobs(add_endpoint(client, free.url), 300))
        start_delivery(1)
        free.wait_for(300)
        assert len(limited.received) < 50, "fewer than the rate allows within the patience"
        limited.wait_for(len(limited.received) + 4)


# ordered


def test_an_ordered_endpoint_gets_its_deliveries_in_order_though_attempts_fail(
    client: Any, redis_url: str, start_delivery: StartDelivery
) -> None:
    chance = random.Random(SEED)
    judge = Judge(lambda: chance.choice((200, 200, 500)), hold_seconds=0.005)
    with peer(judge) as receiver:
        endpoint = add_endpoint(client, receiver.url, ordered=True)
        jobs = _jobs(endpoint, 60)
        enqueue(redis_url, *jobs[:20])
        start_delivery(10)
        for start in (20, 40):
            eventually(lambda: len(judge.delivered) >= start - 10, 30, f"{start - 10} deliveries")  # noqa: B023
            enqueue(redis_url, *jobs[start : start + 20])
        eventually(lambda: len(judge.delivered) >= 60, 30, "all deliveries")
        assert judge.delivered == [each.id for each in jobs]
        assert any(each.status == 500 for each in judge.answered)
        assert judge.most_at_once == 1
        eventually(lambda: not undelivered(client), what="the ledger drained")
        assert_drained(client)


def test_an_ordered_endpoint_that_fails_does_not_hold_up_another_one(
    client: Any, redis_url: str, start_delivery: StartDelivery
) -> None:
    failing, sound = Judge(lambda: 500), Judge()
    with peer(failing) as bad, peer(sound) as good:
        enqueue(redis_url, *_jobs(add_endpoint(client, bad.url, ordered=True), 20))
        jobs = _jobs(add_endpoint(client, good.url, ordered=True), 20)
        enqueue(redis_url, *jobs)
        start_delivery(2)
        eventually(lambda: len(sound.delivered) >= 20, what="the sound one's deliveries")
        assert sound.delivered == [each.id for each in jobs]
        assert len({each.id for each in failing.answered}) == 1, "only the head is tried"
