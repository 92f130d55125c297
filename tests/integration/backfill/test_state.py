"""Backfills as those see them who look: the list, its filters and pages, and what a picture has of them."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hookfarm import status
from hookfarm.api import metrics as api_metrics
from hookfarm.backfill import job_queue, state
from hookfarm.backfill.job_queue import Batch
from hookfarm.backfill.state import Backfill, BackfillFilter
from hookfarm.event_stream import Checkpoint
from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry
from hookfarm.status import readiness
from hookfarm.store import keys
from hookfarm.store.clients import async_client
from tests.support.api_process import Api, pages, refused, running_api
from tests.support.backfill_queue import BLOCK, fill, lock, name, start, submit
from tests.support.delivery import CHAIN_ID, job, set_capacity

ONE, TWO, THREE = "ep_one", "ep_two", "ep_three"
LAST = Checkpoint(9, "0xb9")


@pytest.fixture(autouse=True)
def registry(client: Any) -> Registry:
    set_capacity(client, 1)
    made = Registry(client)
    for each in (ONE, TWO, THREE):
        made.add(Endpoint(each, "http://127.0.0.1:9/"))
    return made


@pytest.fixture
def api(redis_url: str) -> Iterator[Api]:
    with running_api(redis_url) as one:
        yield one


def seen(client: Any, endpoint: str) -> Backfill:
    found = state.read(client, name(endpoint))
    assert found is not None
    return found


def alive(redis_url: str, endpoint: str, per_second: float | None = None, note: str = "") -> None:
    """A sign of life that lasts for ten minutes, however slow the machine is."""

    async def run() -> None:
        async with async_client(redis_url) as client:
            await job_queue.heartbeat(client, name(endpoint), per_second, note)
            await client.zadd(keys.BACKFILLS, {name(endpoint): 600_000}, xx=True, incr=True)

    asyncio.run(run())


def fall_silent(client: Any, endpoint: str, seconds: int = 60) -> None:
    """As if its process had been killed so long ago."""
    client.zadd(keys.BACKFILLS, {name(endpoint): 1000 * (client.time()[0] - seconds)})


def finish(redis_url: str, endpoint: str) -> None:
    fill(redis_url, endpoint, [])
    assert submit(redis_url, endpoint, Batch(BLOCK, LAST, 8, 0, is_last=True)).result == "done"


def test_a_running_one_says_how_far_it_is_how_fast_and_how_long_it_takes(client: Any, redis_url: str) -> None:
    fill(redis_url, ONE, [job(ONE, f"past-{n}") for n in range(5)])
    alive(redis_url, ONE, 2.0)
    shown = seen(client, ONE).public()
    assert (shown["state"], shown["at_block"], shown["blocks"], shown["total"]) == ("running", 1, 1, 9)
    assert (shown["blocks_per_second"], shown["remaining_ms"], shown["reason"]) == (2.0, 4000, "")
    assert (shown["delivered_new"], shown["queued"]) == (5, client.zcard(keys.BACKFILL_QUEUE + ONE))
    assert shown["queued"] > 0
    assert shown["lock_ms"] is None


def test_one_that_does_not_get_on_says_why_and_promises_no_time(client: Any, redis_url: str) -> None:
    start(client, ONE)
    alive(redis_url, ONE, 2.0, "waiting for the farm to deliver" + "." * 1000)
    shown = seen(client, ONE).public()
    assert (shown["state"], shown["remaining_ms"]) == ("running", None)
    assert shown["reason"].startswith("waiting for the farm to deliver")
    assert len(shown["reason"]) == job_queue.MAX_REASON_CHARACTERS


def test_one_that_is_silent_is_stopped_and_its_speed_is_no_longer_told(client: Any, redis_url: str) -> None:
    start(client, ONE)
    alive(redis_url, ONE, 2.0, "no node answers")
    fall_silent(client, ONE)
    shown = seen(client, ONE).public()
    assert (shown["state"], shown["running"]) == ("stopped", False)
    assert (shown["blocks_per_second"], shown["remaining_ms"], shown["reason"]) == (None, None, "")
    assert shown["since_heartbeat_ms"] == pytest.approx(60_000, abs=20_000)


def test_a_killed_one_that_still_holds_its_endpoint_says_for_how_long(client: Any, redis_url: str) -> None:
    start(client, ONE)
    lock(redis_url, ONE)
    assert 0 < client.pttl(keys.BACKFILL_LOCK + ONE) <= 1000 * job_queue.LOCK_SECONDS
    client.pexpire(keys.BACKFILL_LOCK + ONE, 600_000)
    fall_silent(client, ONE)
    assert seen(client, ONE).public()["lock_ms"] == pytest.approx(600_000, abs=60_000)
    client.delete(keys.BACKFILL_LOCK + ONE)
    assert seen(client, ONE).public()["lock_ms"] is None


def test_what_another_backfill_holds_is_not_said_of_this_one(client: Any, redis_url: str) -> None:
    start(client, ONE)
    client.set(keys.BACKFILL_LOCK + ONE, f"{ONE}:{CHAIN_ID}:5::", px=60_000)
    assert seen(client, ONE).public()["lock_ms"] is None


def test_a_last_sign_of_life_after_the_end_is_none(client: Any, redis_url: str, registry: Registry) -> None:
    finish(redis_url, ONE)
    alive(redis_url, ONE, 2.0)
    assert (seen(client, ONE).state, seen(client, ONE).per_second) == ("done", None)
    start(client, TWO)
    registry.remove(TWO)
    alive(redis_url, TWO, 2.0)
    assert state.read(client, name(TWO)) is None
    assert client.zscore(keys.BACKFILLS, name(TWO)) is None


def test_one_that_is_begun_again_forgets_those_that_are_no_longer_remembered(client: Any) -> None:
    start(client, ONE)
    client.zadd(keys.BACKFILLS, {"ep_gone:1:1::": 1})
    start(client, TWO)
    assert client.zscore(keys.BACKFILLS, "ep_gone:1:1::") is None
    assert client.zscore(keys.BACKFILLS, name(ONE)) is not None


def test_a_list_has_those_that_are_wanted_the_last_to_move_first(client: Any, redis_url: str) -> None:
    finish(redis_url, ONE)
    start(client, TWO)
    start(client, THREE)
    alive(redis_url, THREE)
    fall_silent(client, ONE, 5)
    fall_silent(client, TWO)

    def found(wanted: BackfillFilter) -> list[str]:
        return [each.endpoint for each in state.page(client, wanted, None, 50)[0]]

    assert found(BackfillFilter()) == [THREE, ONE, TWO]
    assert found(BackfillFilter(endpoint=TWO)) == [TWO]
    assert found(BackfillFilter(endpoint="ep_")) == []
    assert [found(BackfillFilter(state=state)) for state in state.STATES] == [[THREE], [TWO], [ONE]]


def test_the_api_lists_them_page_by_page(client: Any, redis_url: str, api: Api) -> None:
    assert api.ask("GET", "/v1/backfills").json == {"data": [], "next_cursor": None}
    for number in range(5):
        facts: dict[str, str | int] = {"endpoint": ONE, "chain_id": 7, "subscription": "sub_a"}
        state.start(client, f"{ONE}:7:{number}:9:sub_a", {**facts, "from_block": number, "to_block": 9})
        client.zincrby(keys.BACKFILLS, 600_000, f"{ONE}:7:{number}:9:sub_a")
    listed = pages(api, "/v1/backfills?limit=2")
    assert [len(page) for page in listed] == [2, 2, 1]
    assert {row["from_block"] for page in listed for row in page} == set(range(5))
    [row] = api.ask("GET", f"/v1/backfills?endpoint={ONE}&state=running&limit=1").json["data"]
    assert (row["subscription"], row["state"], row["at_block"]) == ("sub_a", "running", None)
    assert api.ask("GET", "/v1/backfills?state=done").json["data"] == []
    refused(api.ask("GET", "/v1/backfills?state=asleep"), 422, "state")
    refused(api.ask("GET", "/v1/backfills?cursor=WzFd"), 422, "cursor")
    assert api.ask("GET", "/v1/backfills", token=None).status == 401


def test_a_picture_has_those_that_are_not_done_and_what_waits_in_queues(client: Any, redis_url: str) -> None:
    finish(redis_url, ONE)
    fill(redis_url, TWO, [job(TWO, f"past-{n}") for n in range(40)])
    alive(redis_url, TWO)
    start(client, THREE)
    fall_silent(client, THREE)
    found = status.take_snapshot(client)
    assert {row["endpoint"]: row["state"] for row in found["backfills"]} == {TWO: "running", THREE: "stopped"}
    assert found["queue"]["backfill"] == client.hlen(keys.BACKFILL_JOBS) > 0


def test_a_picture_looks_at_the_ten_last_to_move_however_many_there_are(client: Any, redis_url: str) -> None:
    began_ms = int(time.time() * 1000)
    for number in range(30):
        facts: dict[str, str | int] = {"endpoint": ONE, "chain_id": 7, "subscription": ""}
        state.start(client, f"{ONE}:7:{number}::", {**facts, "from_block": number, "to_block": 99})
        client.zadd(keys.BACKFILLS, {f"{ONE}:7:{number}::": began_ms - number})
    assert [row["from_block"] for row in status.take_snapshot(client)["backfills"]] == list(range(10))


def test_the_depth_of_all_queues_is_measured(client: Any, redis_url: str) -> None:
    fill(redis_url, ONE, [job(ONE, f"past-{n}") for n in range(40)])

    async def read() -> api_metrics.RedisNumbers:
        async with async_client(redis_url) as connected:
            return await api_metrics.read_redis(connected, [])

    [family] = [
        family
        for family in api_metrics.redis_families(asyncio.run(read()), ())
        if family.name == "delivery_queue_backfill_jobs"
    ]
    assert family.samples[0].value == client.hlen(keys.BACKFILL_JOBS) > 0


NODE = {
    "name": "wss://one.example",
    "kind": "ws",
    "state": "cooldown",
    "cooldown_until": "2096-10-02T07:06:40.000Z",
    "last_error": "HTTP 429",
    "last_error_at": "1970-01-01T00:00:00.001Z",
    "requests": 9,
    "calls": 9,
    "errors": {"rate_limited": 1},
}


def test_a_chain_is_asked_for_by_its_id_and_has_its_nodes(client: Any, api: Api) -> None:
    row = {"chain_id": 7, "head": 3, "checkpoint": 3, "lag_blocks": 0, "reason": "", "events_published": 1}
    told = {**row, "rpc_requests_per_block": 1.5, "catch_up": None, "nodes": [NODE]}
    readiness.publish(client, keys.EVENT_INGESTOR, {"chains": [{**row, "chain_id": 6}, told]})
    _, listed = api.ask("GET", "/v1/chains").json["data"]
    found = api.ask("GET", "/v1/chains/7")
    assert found.status == 200
    assert found.json == {**listed, "lag_ms": found.json["lag_ms"]}
    assert (found.json["rpc_requests_per_block"], found.json["nodes"]) == (1.5, [NODE])
    refused(api.ask("GET", "/v1/chains/8"), 404)


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [("8", 404, None), ("0", 422, "chain_id"), ("x", 422, "chain_id"), (str(2**64), 422, "chain_id")],
)
def test_a_chain_that_is_none_is_refused(api: Api, path: str, status: int, field: str | None) -> None:
    refused(api.ask("GET", f"/v1/chains/{path}"), status, field)


def test_a_chain_whose_farm_is_of_an_older_version_has_no_nodes(client: Any) -> None:
    readiness.publish(client, keys.EVENT_INGESTOR, {"chains": [{"chain_id": 7, "head": 3, "checkpoint": 3}]})
    assert status.take_snapshot(client)["chains"][0]["nodes"] == []
