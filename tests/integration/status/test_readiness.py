"""Readiness as others see it in Redis."""

import os
import socket

import orjson
import pytest
import redis

from hookfarm.status import readiness

SERVICE = "webhook_delivery"
READY, STATUS = f"{SERVICE}:ready", f"{SERVICE}:status"


def test_the_refresh_comes_at_a_third_of_the_time_to_live() -> None:
    assert readiness.TTL_SECONDS == 60
    assert readiness.REFRESH_SECONDS == 20


def test_a_ready_service_is_exactly_true_for_a_minute(client: "redis.Redis") -> None:
    readiness.publish(client, SERVICE, {"workers": 50})
    assert client.get(READY) == b"true"
    assert 50 <= client.ttl(READY) <= 60
    assert 50 <= client.ttl(STATUS) <= 60
    assert readiness.is_ready(client, SERVICE)


def test_the_status_is_json_that_says_who_says_so(client: "redis.Redis") -> None:
    readiness.publish(client, SERVICE, {"workers": 50})
    status = orjson.loads(client.get(STATUS) or b"")
    assert status["timestamp"].endswith("Z")
    assert (status["ready"], status["workers"], status["host"]) == (True, 50, socket.gethostname())
    assert status["pid"] == os.getppid(), "the keeper speaks for its master"
    assert readiness.read_status(client, SERVICE) == status


def test_a_withdrawn_service_is_not_ready_and_says_why(client: "redis.Redis") -> None:
    readiness.publish(client, SERVICE, {})
    readiness.withdraw(client, SERVICE, {"reason": "worker 7 is gone"})
    assert not client.exists(READY)
    assert not readiness.is_ready(client, SERVICE)
    status = readiness.read_status(client, SERVICE)
    assert status is not None
    assert (status["ready"], status["reason"]) == (False, "worker 7 is gone")


def test_describing_leaves_the_ready_key_alone(client: "redis.Redis") -> None:
    readiness.publish(client, SERVICE, {})
    client.expire(READY, 5)
    readiness.write_status(client, SERVICE, {"workers": 49}, ready=True)
    assert client.ttl(READY) <= 5
    assert (readiness.read_status(client, SERVICE) or {})["workers"] == 49


def test_a_lost_key_is_restored_and_one_that_is_there_left_alone(client: "redis.Redis") -> None:
    readiness.reassert_part(client, SERVICE)
    assert readiness.is_ready(client, SERVICE)
    assert 50 <= client.ttl(READY) <= 60
    client.expire(READY, 5)
    readiness.reassert_part(client, SERVICE)
    assert client.ttl(READY) <= 5


def test_a_farm_that_stops_leaves_nothing(client: "redis.Redis") -> None:
    readiness.publish(client, SERVICE, {})
    readiness.publish(client, "event_ingestor", {})
    readiness.clear(client, [SERVICE, "event_ingestor"])
    readiness.clear(client, [])
    assert client.keys() == []


@pytest.mark.parametrize("value", ["True", "1", "", "true ", "false"])
def test_nothing_but_true_is_ready(client: "redis.Redis", value: str) -> None:
    client.set(READY, value)
    assert not readiness.is_ready(client, SERVICE)


@pytest.mark.parametrize("value", [b"no json", b"[1]", b"\xff", b""])
def test_a_status_that_is_none_is_taken_for_none(client: "redis.Redis", value: bytes) -> None:
    assert readiness.read_status(client, SERVICE) is None
    client.set(STATUS, value)
    assert readiness.read_status(client, SERVICE) is None


def test_what_an_earlier_farm_of_this_host_said_is_disowned(client: "redis.Redis") -> None:
    readiness.publish(client, SERVICE, {})
    readiness.delete_own(client, SERVICE)
    assert client.keys() == []


def test_what_another_host_says_is_left_alone(client: "redis.Redis") -> None:
    readiness.publish(client, SERVICE, {"host": "another"})
    readiness.delete_own(client, SERVICE)
    assert readiness.is_ready(client, SERVICE)


def test_disowning_takes_no_notice_of_garbage(client: "redis.Redis") -> None:
    client.set(STATUS, "garbage")
    readiness.delete_own(client, SERVICE)
    assert client.get(STATUS) == b"garbage"


def test_waiting_ends_as_soon_as_the_service_is_ready(client: "redis.Redis") -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            readiness.publish(client, SERVICE, {})

    assert readiness.wait(client, SERVICE, 60, pause)
    assert pauses == [readiness.WAIT_POLL_SECONDS] * 3


def test_waiting_ends_after_the_time_out(client: "redis.Redis") -> None:
    pauses: list[float] = []
    assert not readiness.wait(client, SERVICE, 0, pauses.append)
    assert pauses == []
