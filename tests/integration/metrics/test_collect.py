"""Asking all farms on a Redis what they have counted."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import redis

from hookfarm import metrics
from hookfarm.metrics import CollectedMetrics, Family, MetricsResponder, gauge
from hookfarm.store import clients, keys
from tests.support.redis_server import RedisServer, running_redis
from tests.support.waiting import PATIENCE_SECONDS, eventually

RESPONSE_SECONDS = 10.0


def families(value: int = 1) -> list[Family]:
    return [gauge("of_a_farm", "", ({}, value))]


class Farm:
    """A keeper's duty turned by a thread."""

    def __init__(self, url: str, value: int = 1) -> None:
        self.asked = 0
        self._value = value
        self._client = clients.command_client(url)
        self._answering = MetricsResponder(self._collect)
        self._stop = threading.Event()
        self._answering.perform(self._client)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _collect(self) -> list[Family]:
        self.asked += 1
        return families(self._value)

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            self._answering.perform(self._client)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()


@pytest.fixture
def start(redis_url: str) -> Iterator[Callable[..., Farm]]:
    farms: list[Farm] = []

    def start_one(url: str = redis_url, value: int = 1) -> Farm:
        farms.append(Farm(url, value))
        return farms[-1]

    yield start_one
    for farm in farms:
        farm.close()


def ask(url: str, within: float = RESPONSE_SECONDS) -> CollectedMetrics:
    async def call() -> CollectedMetrics:
        async with clients.async_client(url) as client:
            return await metrics.collect(client, within)

    return asyncio.run(call())


def listeners(client: redis.Redis) -> int:
    [(_, count)] = client.pubsub_numsub(keys.metrics_request(0))
    return int(count)


def test_every_farm_answers_for_itself(start: Callable[..., Farm], redis_url: str, client: redis.Redis) -> None:
    start(value=1), start(value=2)
    eventually(lambda: listeners(client) == 2, what="both listening")
    called = ask(redis_url)
    assert {answer.families[0].samples[0].value for answer in called.farms} == {1, 2}
    assert {(a.host, a.pid) for a in called.farms} == {(socket.gethostname(), os.getppid())}
    assert called.missing == 0


def test_nothing_is_collected_without_a_request_and_once_for_each_request(
    start: Callable[..., Farm], redis_url: str
) -> None:
    farm = start()
    assert farm.asked == 0
    ask(redis_url)
    ask(redis_url)
    assert farm.asked == 2


def test_without_a_farm_the_answer_comes_at_once(redis_url: str) -> None:
    assert ask(redis_url, within=60) == CollectedMetrics((), 0)


def test_a_farm_that_does_not_answer_is_counted_and_not_waited_for_longer(
    start: Callable[..., Farm], redis_url: str, client: redis.Redis
) -> None:
    start()
    with closing(client.pubsub()) as hung:
        hung.subscribe(keys.metrics_request(0))
        eventually(lambda: listeners(client) == 2, what="both listening")
        called = ask(redis_url, within=5)
    assert (len(called.farms), called.missing) == (1, 1)


def test_a_farm_that_speaks_otherwise_is_as_good_as_silent(redis_url: str, client: redis.Redis) -> None:
    with closing(client.pubsub(ignore_subscribe_messages=True)) as strange:
        strange.subscribe(keys.metrics_request(0))
        strange.get_message(timeout=PATIENCE_SECONDS)
        done = threading.Thread(target=answer_strangely, args=(client, strange))
        done.start()
        called = ask(redis_url)
        done.join()
    assert called == CollectedMetrics((), 1)


def answer_strangely(client: redis.Redis, listener: "redis.client.PubSub") -> None:
    message = eventually(lambda: listener.get_message(timeout=0.1), what="the call")
    client.publish(message["data"].decode(), b'{"host":"a","pid":1,"families":[{"name":"x"}]}')


def test_farms_of_another_database_are_others(start: Callable[..., Farm], redis_url: str) -> None:
    start(value=7)
    other = f"{redis_url}?db=3"
    start(url=other, value=8)
    for url, value in ((redis_url, 7), (other, 8)):
        [answer] = ask(url).farms
        assert answer.families[0].samples[0].value == value


def test_a_farm_whose_connection_was_lost_listens_again(
    start: Callable[..., Farm], redis_url: str, client: redis.Redis
) -> None:
    start()
    assert client.client_kill_filter(_type="pubsub") == 1
    eventually(lambda: len(ask(redis_url).farms) == 1, what="an answer")


def test_a_server_that_was_restarted_hears_the_farms_again(
    start: Callable[..., Farm], redis_server: RedisServer
) -> None:
    start()
    redis_server.kill()
    redis_server.start()
    eventually(lambda: len(ask(redis_server.url).farms) == 1, what="an answer")


def test_metrics_of_a_full_server_are_collected_too() -> None:
    with running_redis("--maxmemory-policy", "noeviction") as server, server.client() as client:
        farm = Farm(server.url)
        try:
            client.config_set("maxmemory", 1)
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                client.set("a", "b")
            assert len(ask(server.url).farms) == 1
        finally:
            farm.close()


def test_only_those_who_ask_are_answered(start: Callable[..., Farm], client: redis.Redis, redis_url: str) -> None:
    farm = start()
    with closing(client.pubsub(ignore_subscribe_messages=True)) as listener:
        listener.subscribe("channel", keys.METRICS_RESPONSES + "x")
        for _ in range(2):
            listener.get_message(timeout=5)  # That it listens.
        client.publish(keys.metrics_request(0), "channel")
        client.publish(keys.metrics_request(0), b"\xff")
        client.publish(keys.metrics_request(0), keys.METRICS_RESPONSES + "x")
        heard = eventually(lambda: listener.get_message(timeout=0.1), what="an answer")
    assert heard["channel"].decode() == keys.METRICS_RESPONSES + "x"
    assert farm.asked == 1
