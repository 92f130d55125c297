"""What the keeper publishes while the farm runs, between a scoreboard that the test writes and a real Redis."""

import signal
from collections.abc import Callable

import pytest
import redis

from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Slot, State
from hookfarm.keeper import process as keeper
from hookfarm.keeper.process import Duty, Keeper, KeeperConfig, WatchedService
from hookfarm.status import readiness
from hookfarm.status.readiness import UNREADY_GRACE_SECONDS
from hookfarm.store import keys
from tests.support.kept_farm import (
    LONG,
    SERVICE,
    KeptFarm,
    drained,
    events_of_the_key,
    ready,
    said,
    wait_ready,
    wait_withdrawn,
)
from tests.support.waiting import eventually


def test_the_key_comes_once_every_worker_is_up(farm: KeptFarm, client: redis.Redis) -> None:
    farm.start_and_wait()
    farm.come_up(*farm.workers[:2])
    eventually(lambda: said(client, "workers_up") == 2, what="two of three being counted")
    assert not ready(client)
    assert not farm.scoreboard.is_ready(SERVICE)
    farm.come_up(farm.workers[2])
    wait_ready(client, farm)
    eventually(lambda: "ready service=webhook_delivery processes=3" in farm.log, what="the line in the log")


def test_the_key_waits_for_the_proof(farm: KeptFarm, client: redis.Redis) -> None:
    def confirm(redis_client: redis.Redis) -> bool:
        redis_client.incr("asked")
        return bool(redis_client.exists("proof"))

    farm.config = KeeperConfig(farm.url, (WatchedService(SERVICE, farm._report, confirm),), ())
    farm.start_and_wait()
    farm.come_up()
    eventually(lambda: int(client.get("asked") or 0) > 3, what="the keeper asking for the proof")
    assert not ready(client)
    client.set("proof", "1")
    wait_ready(client, farm)


def test_the_proof_is_needed_once(farm: KeptFarm, client: redis.Redis) -> None:
    """An emptied Redis has lost it, and the workers do not report again."""
    farm.config = KeeperConfig(
        farm.url, (WatchedService(SERVICE, farm._report, lambda c: bool(c.exists("proof"))),), ()
    )
    client.set("proof", "1")
    farm.start_and_wait()
    farm.come_up()
    wait_ready(client, farm)
    farm.workers[0].on_exit()
    wait_withdrawn(client, farm)
    client.flushall()
    farm.come_up(farm.workers[0])
    wait_ready(client, farm)


def test_the_status_has_counts_and_the_reason(farm: KeptFarm, client: redis.Redis) -> None:
    farm.start_and_wait()
    farm.come_up(*farm.workers[:2])
    farm.workers[2].reason = "the disk is full"
    eventually(lambda: said(client, "workers_up") == 2, what="the status")
    assert said(client, "ready") is False
    assert said(client, "workers") == 3
    assert said(client, "reported_by_the_service") == 3
    eventually(lambda: said(client, "reason") == "webhook_delivery 2 (the disk is full)", what="the reason")
    farm.come_up(farm.workers[2])
    eventually(lambda: said(client, "ready") is True, what="the status being ready")
    assert said(client, "reason") == ""


def test_the_key_is_refreshed_while_it_is_true(farm: KeptFarm, client: redis.Redis) -> None:
    farm.refresh_seconds = 0.1
    farm.start_and_wait()
    farm.come_up()
    wait_ready(client, farm)
    for _ in range(3):
        client.expire(keys.ready(SERVICE), 30)
        eventually(lambda: client.ttl(keys.ready(SERVICE)) > 30, what="the refresh")


def test_a_doubted_key_is_not_refreshed(farm: KeptFarm, client: redis.Redis) -> None:
    child = Child(keeper.SERVICE, 0, farm.scoreboard)
    ticking = Keeper(child, farm.config, refresh_seconds=0.0)
    farm.come_up()
    ticking.tick(LONG)
    assert ready(client)
    listener = events_of_the_key(client)
    ticking.tick(LONG)
    assert drained(listener) == [b"set", b"expire"]
    farm.workers[1].on_exit()
    ticking.tick(LONG + 1)
    ticking.tick(LONG + 1 + UNREADY_GRACE_SECONDS - 0.01)
    assert drained(listener) == [], "neither refreshed nor withdrawn"
    ticking.tick(LONG + 1 + UNREADY_GRACE_SECONDS + 0.01)
    assert drained(listener) == [b"del"]
    listener.close()
    ticking.close()
    child.close()


def test_a_deleted_key_is_restored_unless_the_service_looks_unready(farm: KeptFarm, client: redis.Redis) -> None:
    child = Child(keeper.SERVICE, 0, farm.scoreboard)
    ticking = Keeper(child, farm.config, readiness.REFRESH_SECONDS)
    farm.come_up()
    ticking.tick(LONG)
    client.delete(keys.ready(SERVICE))
    farm.workers[1].on_exit()
    ticking.tick(LONG + 1)
    assert not ready(client)
    farm.come_up(farm.workers[1])
    ticking.tick(LONG + 2)
    assert ready(client)
    ticking.close()
    child.close()


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (lambda slot: slot.on_exit(), "webhook_delivery 1 (gone)"),
        (lambda slot: slot.heartbeat(-1.0), "webhook_delivery 1 (heartbeat late by "),
        (lambda slot: setattr(slot, "state", State.STALLED), "webhook_delivery 1 (stalled)"),
    ],
    ids=["gone", "late", "stalled"],
)
def test_the_key_goes_when_a_worker_is_in_trouble_and_comes_back(
    farm: KeptFarm, client: redis.Redis, trouble: Callable[[Slot], object], why: str
) -> None:
    farm.start_and_wait()
    farm.come_up()
    wait_ready(client, farm)
    trouble(farm.workers[1])
    eventually(lambda: not ready(client), what="the withdrawal")
    assert said(client, "ready") is False
    assert str(said(client, "reason")).startswith(why)
    farm.come_up(farm.workers[1])
    wait_ready(client, farm)


def test_the_key_stays_while_a_worker_is_replaced_at_once(farm: KeptFarm, client: redis.Redis) -> None:
    farm.start_and_wait()
    farm.come_up()
    wait_ready(client, farm)
    listener = events_of_the_key(client)
    for _ in range(3):
        farm.workers[1].on_exit()
        farm.workers[1].on_fork(LONG)
        farm.come_up(farm.workers[1])
        before = said(client, "timestamp")
        eventually(lambda old=before: said(client, "timestamp") != old, what="the next status")  # type: ignore[misc]
    assert drained(listener) == []
    assert UNREADY_GRACE_SECONDS < keeper.STATUS_SECONDS, "the keeper has had the time to withdraw"
    listener.close()


def test_duties_are_done_again_and_again_each_at_its_interval(farm: KeptFarm, client: redis.Redis) -> None:
    duties = (Duty("often", 0.0, lambda c: c.incr("often")), Duty("once", LONG, lambda c: c.incr("once")))
    farm.config = KeeperConfig(farm.url, farm.config.services, duties)
    farm.start_and_wait()
    eventually(lambda: int(client.get("often") or 0) > 5, what="the duty")
    assert client.get("once") == b"1"


def test_the_key_stays_while_workers_are_replaced_as_planned_and_not_longer(
    farm: KeptFarm, client: redis.Redis
) -> None:
    farm.start_and_wait()
    farm.come_up()
    wait_ready(client, farm)
    listener = events_of_the_key(client)
    farm.workers[1].mark_replacing(LONG)
    farm.workers[1].on_exit()
    for _ in range(3):
        before = said(client, "timestamp")
        eventually(lambda old=before: said(client, "timestamp") != old, what="the next status")  # type: ignore[misc]
    assert said(client, "workers_up") == 2
    assert drained(listener) == []
    farm.workers[1].mark_replacing(0)
    eventually(lambda: not ready(client), what="the withdrawal")
    listener.close()


def test_an_excuse_does_not_make_a_service_ready(farm: KeptFarm, client: redis.Redis) -> None:
    farm.start_and_wait()
    farm.come_up(*farm.workers[:2])
    farm.workers[2].mark_replacing(LONG)
    before = eventually(lambda: said(client, "timestamp"), what="a status")
    eventually(lambda: said(client, "timestamp") != before, what="the next status")
    assert not ready(client)
    farm.come_up(farm.workers[2])
    wait_ready(client, farm)


def test_readiness_and_status_follow_the_number_that_is_wanted(farm: KeptFarm, client: redis.Redis) -> None:
    farm.start_and_wait()
    farm.come_up(*farm.workers[:2])
    eventually(lambda: said(client, "workers") == 3, what="three being wanted")
    farm.scoreboard.set_target(SERVICE, 2)
    wait_ready(client, farm)
    eventually(lambda: said(client, "workers") == 2, what="two being wanted")
    assert said(client, "reported_by_the_service") == 3, "what the third has done still counts"
    farm.scoreboard.set_target(SERVICE, 3)
    eventually(lambda: not ready(client), what="the withdrawal")
    assert str(said(client, "reason")).startswith("webhook_delivery 2 (gone")


def test_of_a_service_that_is_to_have_no_process_nothing_is_said(farm: KeptFarm, client: redis.Redis) -> None:
    farm.start_and_wait()
    farm.come_up()
    wait_ready(client, farm)
    farm.scoreboard.set_target(SERVICE, 0)
    eventually(lambda: not client.exists(keys.ready(SERVICE), keys.status(SERVICE)), what="both keys going")
    assert not farm.scoreboard.is_ready(SERVICE)
    farm.scoreboard.set_target(SERVICE, 3)
    wait_ready(client, farm)


def test_a_worker_that_is_retired_while_the_farm_goes_on_is_woken(farm: KeptFarm, client: redis.Redis) -> None:
    def wake(redis_client: redis.Redis) -> None:
        redis_client.incr("woken")

    farm.config = KeeperConfig(farm.url, farm.config.services, (), wake)
    farm.start_and_wait()
    farm.come_up()
    wait_ready(client, farm)
    assert not client.exists("woken")
    farm.request_stop(farm.workers[0])
    eventually(lambda: int(client.get("woken") or 0) > 2, what="it being woken until it goes")
    farm.workers[0].on_exit()
    farm.come_up(farm.workers[0])
    wait_ready(client, farm)


def test_who_backs_off_is_shown_with_its_reason(farm: KeptFarm, client: redis.Redis) -> None:
    farm.start_and_wait()
    farm.come_up(*farm.workers[:2])
    farm.workers[2].reason = "the disk is full"
    farm.workers[2].schedule_fork(LONG, tries=5)
    [shown] = eventually(lambda: said(client, "backoff"), what="the back-off in the status")
    assert (shown["process"], shown["reason"], shown["tries"]) == ("webhook_delivery 2", "the disk is full", 5)
    assert 0 < shown["retry_in_ms"] <= 1000 * LONG


def test_each_part_of_a_service_has_a_key_of_its_own(farm: KeptFarm, client: redis.Redis) -> None:
    def name(slot: Slot) -> str:
        return f"{SERVICE}:{slot.counter(0)}" if slot.counter(0) else ""

    def parts() -> set[bytes | str]:
        return set(client.keys(f"{keys.ready(SERVICE)}:*"))

    farm.config = KeeperConfig(farm.url, (WatchedService(SERVICE, farm._report, part=name),), ())
    farm.start_and_wait()
    one, two, _ = farm.workers
    one.set_counter(0, 1)
    farm.come_up(one)
    key = keys.ready(f"{SERVICE}:1")
    eventually(lambda: client.get(key) == b"true", what="the key of the first part")
    assert 0 < client.ttl(key) <= readiness.TTL_SECONDS
    assert not ready(client)
    two.set_counter(0, 22)
    farm.come_up()
    eventually(lambda: len(parts()) == 2 and ready(client), what="the key of the second part, and of all")
    client.delete(key)
    eventually(lambda: client.get(key) == b"true", what="the key's return")
    one.state = State.STALLED
    eventually(lambda: parts() == {keys.ready(f"{SERVICE}:22").encode()}, what="the withdrawal of the first part")
    eventually(lambda: not ready(client), what="the withdrawal of all")
    one.set_counter(0, 3)
    one.state = State.UP
    eventually(lambda: parts() == {keys.ready(f"{SERVICE}:{n}").encode() for n in (3, 22)}, what="another part")
    farm.signal(signal.SIGTERM)
    eventually(lambda: not parts(), what="the keys' deletion")
