"""/v1/deliveries and /v1/dead-letters, asked of the API's own process."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from hookfarm import delivery_queue
from hookfarm.deliveries.trimming import LogTrimmer
from hookfarm.records import Endpoint
from hookfarm.store import keys
from tests.support.api_process import Api, pages, refused
from tests.support.delivery import OneWorker, add_endpoint, enqueue, job, one_worker, undelivered
from tests.support.receivers import Receiver


@pytest.fixture
def giving_up(redis_url: str) -> Iterator[OneWorker]:
    """A worker that tries everything once."""
    with one_worker(redis_url, schedule=()) as made:
        yield made


def attempt(worker: OneWorker, redis_url: str, endpoint: Endpoint, *ids: str) -> None:
    enqueue(redis_url, *(job(endpoint, delivery, b'{"n":1}') for delivery in ids))
    worker.step(len(ids))
    worker.settle()


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def test_attempts_of_all_endpoints_are_one_list_newest_first(
    client: Any, redis_url: str, api: Api, worker: OneWorker, receiver: Receiver
) -> None:
    one, other = add_endpoint(client, receiver.url), add_endpoint(client, receiver.url)
    attempt(worker, redis_url, one, "msg_1", "msg_2")
    receiver.reply_with(500)
    attempt(worker, redis_url, other, "msg_3")
    attempt(worker, redis_url, one, "msg_4")
    found = [row for page in pages(api, "/v1/deliveries?limit=1") for row in page]
    assert ids(found) == ["msg_4", "msg_3", "msg_2", "msg_1"]
    assert found[1] == {
        **{name: found[1][name] for name in ("cursor", "at", "duration_ms")},
        "id": "msg_3",
        "endpoint": other.id,
        "attempt": 1,
        "status": 500,
        "error": None,
        "delivered": False,
        "state": "retry",
    }
    assert ids(api.ask("GET", f"/v1/deliveries?cursor={found[1]['cursor']}").json["data"]) == ["msg_2", "msg_1"]
    for query, expected in {
        f"endpoint={one.id}": ["msg_4", "msg_2", "msg_1"], f"endpoint={other.id}": ["msg_3"],
        "status=failed": ["msg_3"], "status=500": ["msg_3"],
        "status=delivered": ["msg_4", "msg_2", "msg_1"], "status=timeout": [],
        "status=retry": ["msg_3"], f"status=retry&endpoint={one.id}": [],
        f"status=retry&endpoint={other.id}": ["msg_3"],
        "since=1h": ["msg_4", "msg_3", "msg_2", "msg_1"], "until=1h": [], "since=2100-01-01": [],
    }.items():  # fmt: skip
        assert ids([row for page in pages(api, f"/v1/deliveries?{query}") for row in page]) == expected, query


def test_what_stands_somewhere_now_is_listed_with_its_last_attempt(
    client: Any, redis_url: str, api: Api, worker: OneWorker, receiver: Receiver
) -> None:
    one = add_endpoint(client, receiver.url, max_in_flight=1)
    enqueue(redis_url, job(one, "msg_1"), job(one, "msg_2"), job(one, "msg_3"))
    assert ids(api.ask("GET", "/v1/deliveries?status=open").json["data"]) == ["msg_1"]
    parked = [
        row for page in pages(api, f"/v1/deliveries?status=parked&limit=1&endpoint={one.id}") for row in page
    ]
    assert [(row["id"], row["status"], row["error"], row["at"], row["state"]) for row in parked] == [
        ("msg_2", None, None, None, "parked"),
        ("msg_3", None, None, None, "parked"),
    ]
    refused(api.ask("GET", "/v1/deliveries?status=parked"), 422, "endpoint")
    refused(api.ask("GET", "/v1/deliveries?status=open&since=1h"), 422, "since")


def test_a_delivery_is_shown_whole_and_sent_again(
    client: Any, redis_url: str, api: Api, worker: OneWorker, receiver: Receiver
) -> None:
    attempt(worker, redis_url, add_endpoint(client, receiver.url), "msg_1")
    shown = api.ask("GET", "/v1/deliveries/msg_1").json
    assert (shown["state"], shown["payload"], shown["attempts"][0]["status"]) == ("delivered", {"n": 1}, 200)
    assert api.ask("POST", "/v1/deliveries/msg_1/redeliver").json["state"] == "open"
    refused(api.ask("POST", "/v1/deliveries/msg_1/redeliver"), 409)
    worker.step()
    worker.settle()
    assert [one.attempt for one in receiver.wait_for(2)] == [1, 2]
    refused(api.ask("GET", "/v1/deliveries/msg_nobody"), 404)
    refused(api.ask("POST", "/v1/deliveries/msg_nobody/redeliver"), 404)


def test_dead_letters_are_chosen_by_endpoint_reason_and_time(
    client: Any, redis_url: str, api: Api, giving_up: OneWorker, receiver: Receiver
) -> None:
    one, other = add_endpoint(client, receiver.url), add_endpoint(client, receiver.url)
    receiver.reply_with(500, 500, 500, 410)
    attempt(giving_up, redis_url, one, "msg_1", "msg_2")
    attempt(giving_up, redis_url, other, "msg_3")
    attempt(giving_up, redis_url, other, "msg_4")
    client.lpush(keys.DELIVERY_QUEUE, b"garbage")
    giving_up.step()
    giving_up.settle()
    [garbage] = [row["id"] for row in api.ask("GET", "/v1/dead-letters?endpoint=").json["data"]]
    for query, expected in {
        "limit=2": [garbage, "msg_4", "msg_3", "msg_2", "msg_1"], f"endpoint={one.id}": ["msg_2", "msg_1"],
        "reason=exhausted": ["msg_3", "msg_2", "msg_1"], "reason=endpoint_gone": ["msg_4"], "reason=endpoint": [],
        f"endpoint={other.id}&reason=exhausted": ["msg_3"], "reason=delivery_queue": [garbage], "until=1h": [],
        f"endpoint={one.id}&limit=1&since=1h": ["msg_2", "msg_1"], f"endpoint={one.id}&until=1h": [],
    }.items():  # fmt: skip
        assert ids([row for page in pages(api, f"/v1/dead-letters?{query}") for row in page]) == expected, query
    dead = pages(api, f"/v1/deliveries?status=dead&limit=1&endpoint={other.id}")
    assert [ids(page) for page in dead] == [["msg_4"], ["msg_3"]]


def test_dead_letters_are_redriven_one_by_one_or_as_they_are_chosen_and_purged_so(
    client: Any, redis_url: str, api: Api, giving_up: OneWorker, receiver: Receiver
) -> None:
    one = add_endpoint(client, receiver.url)
    receiver.reply_with(*(5 * [500]))
    attempt(giving_up, redis_url, one, "msg_1", "msg_2", "msg_3", "msg_4", "msg_5")
    assert api.ask("POST", "/v1/dead-letters/msg_1/redrive").json["state"] in ("open", "parked")
    refused(api.ask("POST", "/v1/dead-letters/msg_1/redrive"), 404)
    assert api.ask("DELETE", "/v1/dead-letters/msg_2").status == 204
    refused(api.ask("DELETE", "/v1/dead-letters/msg_2"), 404)
    nothing = api.ask("POST", "/v1/dead-letters/redrive", {"reason": "worker_lost"}).json
    assert nothing == {"redriven": 0, "refused": {}, "next_cursor": None}
    refused(api.ask("POST", "/v1/dead-letters/redrive", {"colour": "red"}), 422, "colour")
    refused(api.ask("POST", "/v1/dead-letters/purge", {"until": "tomorrow"}), 422, "until")
    assert api.ask("POST", "/v1/dead-letters/redrive", {"endpoint": one.id, "since": "1h"}).json["redriven"] == 3
    assert client.zcard(keys.DEAD) == client.zcard(keys.DEAD_INDEX) == 0
    client.lpush(keys.DELIVERY_QUEUE, b"garbage")
    while not client.zcard(keys.DEAD):
        giving_up.worker.iterate()
    giving_up.settle()
    [garbage] = api.ask("GET", "/v1/dead-letters").json["data"]
    assert list(api.ask("POST", "/v1/dead-letters/redrive").json["refused"]) == [garbage["id"]]
    assert api.ask("POST", "/v1/dead-letters/purge").json == {"purged": 1, "next_cursor": None}


def test_an_index_that_is_not_whole_is_made_anew_by_who_reads_it(
    client: Any, redis_url: str, api: Api, giving_up: OneWorker, receiver: Receiver
) -> None:
    one = add_endpoint(client, receiver.url)
    receiver.reply_with(500, 500)
    attempt(giving_up, redis_url, one, "msg_1", "msg_2")
    client.delete(keys.DEAD_INDEX)
    assert len(api.ask("GET", f"/v1/dead-letters?endpoint={one.id}").json["data"]) == 2
    client.zadd(keys.DEAD_INDEX, {"e|ep_x|000000000000001|msg_x": 0})
    assert len(api.ask("GET", "/v1/dead-letters?reason=exhausted").json["data"]) == 2
    client.set(keys.DEAD_INDEX, "x")
    attempt(giving_up, redis_url, one, "msg_3")
    receiver.reply_with(500)
    attempt(giving_up, redis_url, one, "msg_4")
    assert ids(api.ask("GET", f"/v1/dead-letters?endpoint={one.id}").json["data"]) == ["msg_4", "msg_2", "msg_1"]


def test_the_list_of_all_attempts_is_bounded_and_stops_no_delivery(
    client: Any, redis_url: str, api: Api, worker: OneWorker, receiver: Receiver
) -> None:
    one = add_endpoint(client, receiver.url)
    client.set(keys.ATTEMPTS_ALL, "of another type")
    attempt(worker, redis_url, one, "msg_1")
    assert (len(receiver.received), undelivered(client)) == (1, 0)
    refused(api.ask("GET", "/v1/deliveries"), 503)
    client.delete(keys.ATTEMPTS_ALL)
    attempt(worker, redis_url, one, "msg_2")
    assert ids(api.ask("GET", "/v1/deliveries").json["data"]) == ["msg_2"]
    client.xadd(keys.ATTEMPTS_ALL, {"a": f"{one.id} msg_3 1 200 1"}, id="9999999999999-0")
    LogTrimmer(1000, -20 * 365 * 86_400.0).perform(client)
    assert client.xlen(keys.ATTEMPTS_ALL) <= 2
    assert orjson.loads(api.ask("GET", "/v1/chains").body) == {"data": [], "next_cursor": None}
    assert delivery_queue.read_depths(client).open == 0
