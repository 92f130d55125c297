"""Liveness, readiness and health over HTTP, from the API's own process."""

import http.client
import socket
from contextlib import closing

import pytest
import redis

from hookfarm.api import process
from hookfarm.api.context import Settings
from hookfarm.config import Address
from hookfarm.errors import CouldNotBoot
from hookfarm.farm.child import EXIT_COULD_NOT_BOOT
from hookfarm.status import readiness
from hookfarm.store import keys
from tests.support.api_process import STARTED, TOKEN, Api
from tests.support.redis_server import RedisServer

ANYWHERE = Address("127.0.0.1", 0)


def test_livez_depends_on_nothing_else(api: Api, redis_server: RedisServer) -> None:
    redis_server.kill()
    assert api.get("/livez") == (200, {"status": "alive"})


def test_readyz_says_in_one_word_whether_every_started_service_is_ready(api: Api, client: redis.Redis) -> None:
    assert api.get("/readyz") == (503, {"status": "not ready"})
    readiness.publish(client, keys.MESSAGE_PROCESSOR, {})
    assert api.get("/readyz") == (503, {"status": "not ready"})
    readiness.publish(client, keys.WEBHOOK_DELIVERY, {})
    assert api.get("/readyz") == (200, {"status": "ready"})
    readiness.withdraw(client, keys.WEBHOOK_DELIVERY, {})
    assert api.get("/readyz") == (503, {"status": "not ready"})


def test_health_says_it_service_by_service(api: Api, client: redis.Redis) -> None:
    readiness.publish(client, keys.MESSAGE_PROCESSOR, {"workers": 1})
    readiness.withdraw(client, keys.WEBHOOK_DELIVERY, {"reason": "webhook_delivery 3 (gone)"})
    status, found = api.get("/health")
    assert (status, found["status"], found["redis"]) == (503, "not ready", "ok")
    assert set(found["services"]) == set(STARTED)
    assert found["services"][keys.MESSAGE_PROCESSOR]["ready"] is True
    assert found["services"][keys.MESSAGE_PROCESSOR]["workers"] == 1
    assert found["services"][keys.WEBHOOK_DELIVERY]["ready"] is False
    assert found["services"][keys.WEBHOOK_DELIVERY]["reason"] == "webhook_delivery 3 (gone)"
    readiness.publish(client, keys.WEBHOOK_DELIVERY, {})
    status, found = api.get("/health")
    assert (status, found["status"]) == (200, "ready")


def test_health_counts_what_another_host_runs(api: Api, client: redis.Redis) -> None:
    for service in STARTED:
        readiness.publish(client, service, {})
    readiness.withdraw(client, keys.EVENT_INGESTOR, {"host": "another"})
    assert api.get("/health")[0] == 503
    readiness.publish(client, keys.EVENT_INGESTOR, {"host": "another"})
    status, found = api.get("/health")
    assert status == 200
    assert found["services"][keys.EVENT_INGESTOR]["host"] == "another"


def test_a_status_that_is_none_does_not_hide_the_key(api: Api, client: redis.Redis) -> None:
    for service in STARTED:
        readiness.publish(client, service, {})
        client.set(keys.status(service), "garbage")
    status, found = api.get("/health")
    assert status == 200
    assert found["services"] == {
        service: {"ready": True, "reason": "not running", "status_age_ms": None} for service in STARTED
    }


def test_without_redis_nothing_is_ready_and_health_says_so(api: Api, redis_server: RedisServer) -> None:
    redis_server.kill()
    status, found = api.get("/health")
    assert (status, found["status"]) == (503, "not ready")
    assert found["services"] == {s: {"ready": False, "reason": "Redis does not answer"} for s in STARTED}
    assert api.get("/readyz") == (503, {"status": "not ready"})
    redis_server.start()
    with redis_server.client() as client:
        for service in STARTED:
            readiness.publish(client, service, {})
    assert api.get("/readyz")[0] == 200


def test_what_does_not_exist_is_not_found(api: Api) -> None:
    assert api.get("/nowhere")[0] == 404
    assert api.get("/openapi.json")[0] == 200


def test_it_stops_on_sigterm_although_a_client_is_still_connected(api: Api) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)) as idle:
        idle.request("GET", "/livez")
        idle.getresponse().read()
        assert api.stop() == 0


def test_a_port_in_use_is_named(redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        one = Api(Settings(redis_url, TOKEN, STARTED), address)
        assert one.wait() == EXIT_COULD_NOT_BOOT
        expected = f"api: cannot listen on {address} (Address already in use); give another --api"
        assert one.slot.reason == expected


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "x" * 64 + ".example", "ä" * 70])
def test_a_host_that_is_not_ours_is_refused_in_one_line(host: str) -> None:
    with pytest.raises(CouldNotBoot, match=f"^api: cannot listen on {host}:8400 \\(.+\\); give another --api$"):
        process.listening(Address(host, 8400))


def test_an_answer_does_not_wait_for_the_clients_acknowledgement() -> None:
    with process.listening(ANYWHERE) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_it_listens_on_ipv6_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with process.listening(Address("::1", 0)) as listener:
        assert listener.family == socket.AF_INET6
