"""Liveness, readiness and health over HTTP, from the API's own process."""

import http.client
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import redis

from hookfarm.api import process as api
from hookfarm.api.context import Settings
from hookfarm.config import Address
from hookfarm.errors import CouldNotBoot
from hookfarm.farm.child import EXIT_COULD_NOT_BOOT, Child
from hookfarm.farm.scoreboard import Scoreboard, State
from hookfarm.farm.spawn import fork, run_child
from hookfarm.status import readiness
from hookfarm.store import keys
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

ANYWHERE = Address("127.0.0.1", 0)
STARTED = (keys.MESSAGE_PROCESSOR, keys.WEBHOOK_DELIVERY)


class Api:
    """The API's process, forked as the master forks it."""

    def __init__(self, redis_url: str, address: Address) -> None:
        self.scoreboard = Scoreboard({api.SERVICE: 1})
        self.slot = self.scoreboard.slots(api.SERVICE)[0]
        self.slot.on_fork(10)
        self.pid = fork(lambda: self._live(redis_url, address))
        self.slot.on_forked(self.pid)

    def _live(self, redis_url: str, address: Address) -> int:
        child = Child(api.SERVICE, 0, self.scoreboard)
        settings = Settings(redis_url, "a-token-of-the-tests", STARTED)
        return run_child(child, api.prepare, -1, lambda c: api.run(c, address, settings))

    def wait_up(self) -> None:
        eventually(lambda: self.slot.state == State.UP, within=10, what="the API being up")

    @property
    def port(self) -> int:
        return self.slot.counter(api.PORT)

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON body."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def wait(self) -> int:
        status = eventually(self._reaped, within=10, what="the API's end")
        self.pid = 0
        return os.waitstatus_to_exitcode(status[0])

    def _reaped(self) -> list[int]:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return [status] if pid else []

    def stop(self, number: int = signal.SIGTERM) -> int:
        os.kill(self.pid, number)
        return self.wait()

    def close(self) -> None:
        if self.pid:
            self.stop(signal.SIGKILL)


@pytest.fixture
def start(redis_url: str) -> Iterator[Callable[..., Api]]:
    started: list[Api] = []

    def start_one(address: Address = ANYWHERE) -> Api:
        started.append(Api(redis_url, address))
        return started[-1]

    yield start_one
    for one in started:
        one.close()


@pytest.fixture
def served(start: Callable[..., Api]) -> Api:
    one = start()
    one.wait_up()
    return one


def test_livez_asks_nobody_else(served: Api, redis_server: RedisServer) -> None:
    redis_server.kill()
    assert served.get("/livez") == (200, {"status": "alive"})


def test_readyz_says_in_one_word_whether_every_started_service_is_ready(
    served: Api, client: "redis.Redis"
) -> None:
    assert served.get("/readyz") == (503, {"status": "not ready"})
    readiness.publish(client, keys.MESSAGE_PROCESSOR, {})
    assert served.get("/readyz") == (503, {"status": "not ready"})
    readiness.publish(client, keys.WEBHOOK_DELIVERY, {})
    assert served.get("/readyz") == (200, {"status": "ready"})
    readiness.withdraw(client, keys.WEBHOOK_DELIVERY, {})
    assert served.get("/readyz") == (503, {"status": "not ready"})


def test_health_says_it_service_by_service(served: Api, client: "redis.Redis") -> None:
    readiness.publish(client, keys.MESSAGE_PROCESSOR, {"workers": 1})
    readiness.withdraw(client, keys.WEBHOOK_DELIVERY, {"reason": "webhook_delivery 3 (gone)"})
    status, found = served.get("/health")
    assert (status, found["status"], found["redis"]) == (503, "not ready", "ok")
    assert set(found["services"]) == set(STARTED)
    assert found["services"][keys.MESSAGE_PROCESSOR]["ready"] is True
    assert found["services"][keys.MESSAGE_PROCESSOR]["workers"] == 1
    assert found["services"][keys.WEBHOOK_DELIVERY]["ready"] is False
    assert found["services"][keys.WEBHOOK_DELIVERY]["reason"] == "webhook_delivery 3 (gone)"
    readiness.publish(client, keys.WEBHOOK_DELIVERY, {})
    status, found = served.get("/health")
    assert (status, found["status"]) == (200, "ready")


def test_health_counts_what_another_host_runs(served: Api, client: "redis.Redis") -> None:
    for service in STARTED:
        readiness.publish(client, service, {})
    readiness.withdraw(client, keys.EVENT_INGESTOR, {"host": "another"})
    assert served.get("/health")[0] == 503
    readiness.publish(client, keys.EVENT_INGESTOR, {"host": "another"})
    status, found = served.get("/health")
    assert status == 200
    assert found["services"][keys.EVENT_INGESTOR]["host"] == "another"


def test_a_status_that_is_none_does_not_hide_the_key(served: Api, client: "redis.Redis") -> None:
    for service in STARTED:
        readiness.publish(client, service, {})
        client.set(keys.status(service), "garbage")
    status, found = served.get("/health")
    assert status == 200
    assert found["services"] == {
        service: {"ready": True, "reason": "not running", "status_age_ms": None} for service in STARTED
    }


def test_without_redis_nothing_is_ready_and_health_says_so(served: Api, redis_server: RedisServer) -> None:
    redis_server.kill()
    status, found = served.get("/health")
    assert (status, found["status"]) == (503, "not ready")
    assert found["services"] == {s: {"ready": False, "reason": "Redis does not answer"} for s in STARTED}
    assert served.get("/readyz") == (503, {"status": "not ready"})
    redis_server.start()
    with redis_server.client() as client:
        for service in STARTED:
            readiness.publish(client, service, {})
    assert served.get("/readyz")[0] == 200


def test_what_does_not_exist_is_not_found(served: Api) -> None:
    assert served.get("/nowhere")[0] == 404
    assert served.get("/openapi.json")[0] == 200


def test_told_to_stop_it_goes_although_a_client_is_still_connected(served: Api) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=5)) as idle:
        idle.request("GET", "/livez")
        idle.getresponse().read()
        assert served.stop() == 0


def test_a_port_in_use_is_named(start: Callable[..., Api]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        one = start(address)
        assert one.wait() == EXIT_COULD_NOT_BOOT
        expected = f"api: cannot listen on {address} (Address already in use); choose another --api"
        assert one.slot.reason == expected


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "x" * 64 + ".example", "ä" * 70])
def test_a_host_that_is_not_ours_is_refused_in_one_line(host: str) -> None:
    with pytest.raises(CouldNotBoot, match=f"^api: cannot listen on {host}:8400 \\(.+\\); choose another --api$"):
        api.listening(Address(host, 8400))


def test_an_answer_does_not_wait_for_the_clients_acknowledgement() -> None:
    with api.listening(ANYWHERE) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_it_listens_on_ipv6_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with api.listening(Address("::1", 0)) as listener:
        assert listener.family == socket.AF_INET6
