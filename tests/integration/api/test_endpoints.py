"""/v1/endpoints, asked of the API's own process."""

import struct
import threading
from typing import Any

import orjson
import pytest
import redis
from standardwebhooks.webhooks import Webhook

from hookfarm.config import ChainConfig
from hookfarm.records import Endpoint
from hookfarm.registry.listing import MAX_SCANNED
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from tests.support.api_process import Api, ApiReply, pages, refused, running_api
from tests.support.delivery import add_endpoint
from tests.support.receivers import Receiver, Reply
from tests.support.redis_server import RedisServer

TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
HOOK = "https://hooks.example.com/"
NEW: dict[str, Any] = {"url": HOOK, "subscriptions": [{"chain_id": 1, "event": TRANSFER}]}


def create(api: Api, key: str | None = None, **fields: Any) -> ApiReply:
    return api.ask("POST", "/v1/endpoints", {**NEW, **fields}, {"Idempotency-Key": key} if key else None)


def test_an_endpoint_is_made_shown_changed_and_removed(api: Api) -> None:
    made = create(api)
    assert made.status == 201
    place = made.headers["location"]
    shown = api.ask("GET", place)
    assert shown.headers["etag"] == made.headers["etag"]
    assert made.json["secret"].startswith("whsec_")
    assert "secret" not in shown.json
    assert shown.json["window"] == {
        "open": 0, "limit": None, "parked": 0, "retry": 0,
        "circuit": "closed", "failures": 0, "paused_reason": None,
    }  # fmt: skip
    changed = api.ask("PATCH", place, {"description": "mine"})
    assert (changed.status, changed.json["description"], changed.json["url"]) == (200, "mine", HOOK)
    assert changed.headers["etag"] != shown.headers["etag"]
    assert api.ask("DELETE", place).status == 204
    refused(api.ask("GET", place), 404)
    refused(api.ask("DELETE", place), 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "http://10.0.0.1/"}, "url"),
        ({}, "url"),
        ({**NEW, "colour": "red"}, "colour"),
        ({**NEW, "subscriptions": [{"chain_id": 1, "event": "Transfer(addres from)"}]}, "subscriptions[0].event"),
        (
            {**NEW, "subscriptions": [{"chain_id": 1, "event": TRANSFER, "where": "x > 1"}]},
            "subscriptions[0].where",
        ),
        ({**NEW, "headers": {"webhook-id": "x"}}, "headers.'webhook-id'"),
        ({**NEW, "timeout_seconds": 1e9}, "timeout_seconds"),
    ],
)
def test_a_wrong_endpoint_is_refused_by_the_name_of_its_field(api: Api, body: Any, field: str) -> None:
    refused(api.ask("POST", "/v1/endpoints", body), 422, field)
    assert api.ask("GET", "/v1/endpoints").json["data"] == []


def test_a_stale_etag_changes_and_removes_nothing(api: Api) -> None:
    made = create(api)
    place, stale = made.headers["location"], made.headers["etag"]
    now = api.ask("PATCH", place, {"description": "a"}, {"If-Match": stale}).headers["etag"]
    refused(api.ask("PATCH", place, {"description": "b"}, {"If-Match": stale}), 412, "If-Match")
    refused(api.ask("DELETE", place, None, {"If-Match": stale}), 412, "If-Match")
    assert api.ask("GET", place).json["description"] == "a"
    assert api.ask("DELETE", place, None, {"If-Match": f'"other", {now}'}).status == 204


def test_a_rotation_shows_a_new_secret_and_changes_the_etag(api: Api) -> None:
    made = create(api)
    rotated = api.ask("POST", f"{made.headers['location']}/rotate-secret")
    assert rotated.status == 200
    assert rotated.json["secret"] != made.json["secret"]
    assert rotated.headers["etag"] != made.headers["etag"]


def test_a_disabled_endpoint_says_so_until_it_is_enabled(api: Api) -> None:
    place = create(api).headers["location"]
    disabled = api.ask("POST", f"{place}/disable").json
    assert (disabled["enabled"], disabled["window"]["paused_reason"]) == (False, "disabled by its owner")
    enabled = api.ask("POST", f"{place}/enable").json
    assert (enabled["enabled"], enabled["window"]["paused_reason"]) == (True, None)


def test_a_creation_sent_again_under_its_key_makes_no_second_endpoint(api: Api) -> None:
    first, second = create(api, key="k"), create(api, key="k")
    assert first.status == second.status == 201
    assert (first.json["id"], first.json["secret"]) == (second.json["id"], second.json["secret"])
    assert len(api.ask("GET", "/v1/endpoints").json["data"]) == 1
    refused(create(api, key="k", description="another"), 422, "Idempotency-Key")
    api.ask("DELETE", first.headers["location"])
    refused(create(api, key="k"), 409, "Idempotency-Key")


def test_a_refused_creation_does_not_use_its_key_up(api: Api) -> None:
    refused(create(api, key="k", url="nowhere"), 422, "url")
    assert create(api, key="k").status == 201


def test_of_many_creations_at_once_under_one_key_one_makes_the_endpoint(api: Api) -> None:
    answers: list[ApiReply] = []
    threads = [threading.Thread(target=lambda: answers.append(create(api, key="k"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {reply.status for reply in answers} <= {201, 409}
    assert len({reply.json["id"] for reply in answers if reply.status == 201}) == 1
    assert len(api.ask("GET", "/v1/endpoints").json["data"]) == 1


def test_a_creation_says_from_which_block_it_matches_and_which_chain_nobody_follows(
    redis_server: RedisServer,
) -> None:
    with redis_server.client() as client:
        client.set(keys.checkpoint(5), "41:0xab")
    with running_api(redis_server.url, chains=(ChainConfig(7, ("http://127.0.0.1:1",)),)) as api:
        wanted = [{"chain_id": 5}, {"chain_id": 6}, {"chain_id": 7}]
        made = create(api, subscriptions=wanted).json
    assert [one["effective_from_block"] for one in made["subscriptions"]] == [42, None, None]
    assert made["warnings"] == ["subscriptions[1].chain_id: chain 6 is not watched yet; start a farm with --chain"]


def test_lists_go_by_cursor_newest_first_while_endpoints_come_and_go(api: Api, redis_server: RedisServer) -> None:
    ids = [create(api).json["id"] for _ in range(7)]
    first = api.ask("GET", "/v1/endpoints?limit=3").json
    assert [one["id"] for one in first["data"]] == ids[:3:-1]
    create(api)
    with redis_server.client() as client:
        Registry(client).remove(ids[4])
    rest = pages(api, "/v1/endpoints?limit=3", first["next_cursor"])
    assert [one["id"] for page in rest for one in page] == ids[3::-1]


def test_a_filter_finds_the_one_of_many_a_bounded_look_at_a_time(api: Api, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        many = [Endpoint(f"ep_{number}", f"{HOOK}{number}") for number in range(MAX_SCANNED + 100)]
        many[10] = Endpoint("ep_10", f"{HOOK}NEEDLE", enabled=False, disabled_reason="x")
        client.hset(keys.ENDPOINTS, mapping={one.id: orjson.dumps(one.stored()) for one in many})
        client.zadd(keys.REGISTRY_CREATED, {one.id: 10**15 + number for number, one in enumerate(many)})
    for query in ("q=needle", "enabled=false"):
        found = pages(api, f"/v1/endpoints?{query}")
        assert [[one["id"] for one in page] for page in found] == [[], ["ep_10"]], query


def test_open_circuits_are_found_at_once_however_many_endpoints_there_are(
    api: Api, redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        names = [f"ep_{number}" for number in range(MAX_SCANNED + 100)]
        stored = {
            name: orjson.dumps(Endpoint(name, HOOK, "odd" if name == "ep_9" else "").stored()) for name in names
        }
        client.hset(keys.ENDPOINTS, mapping=stored)
        client.zadd(keys.REGISTRY_CREATED, {name: 10**15 + number for number, name in enumerate(names)})
        client.zadd(keys.OPEN_CIRCUITS, {"ep_9": 3, "ep_7": 1, "ep_8": 2, "ep_gone": 4})

        def ids(query: str) -> list[list[str]]:
            return [[one["id"] for one in page] for page in pages(api, f"/v1/endpoints?circuit=open{query}")]

        assert ids("") == [["ep_9", "ep_8", "ep_7"]]
        assert ids("&limit=2") == [["ep_9", "ep_8"], ["ep_7"]]
        assert ids("&q=odd") == [["ep_9"]]
        assert ids("&enabled=false") == [[]]
        client.zadd(keys.OPEN_CIRCUITS, dict.fromkeys(names, 5))
        assert [name for page in ids("&limit=200") for name in page] == names[::-1]


def test_a_list_that_is_read_again_shows_what_has_changed_since(api: Api) -> None:
    place = create(api, description="before").headers["location"]
    for description in ("before", "since", "before"):
        api.ask("PATCH", place, {"description": description})
        [shown] = api.ask("GET", "/v1/endpoints").json["data"]
        assert shown["description"] == description


def test_each_endpoint_shows_its_retries_and_its_last_attempts(api: Api, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        one = add_endpoint(client, HOOK)
        for number in range(150):
            status = "200" if number % 3 else "500"
            client.xadd(keys.ATTEMPTS + one.id, {"a": f"msg_1 1 {status} {number}"})
            client.append(keys.ENDPOINT_STATS + one.id, struct.pack(">I", 2 * number + (status == "200")))
        client.hset(
            keys.JOBS, "msg_1", b'{"id":"msg_1","endpoint":"%b","attempt":2,"payload":{}}' % one.id.encode()
        )
        client.zadd(keys.RETRY, {"msg_1": 5})
    shown = api.ask("GET", f"/v1/endpoints/{one.id}").json
    assert shown["recent"] == {"attempts": 100, "succeeded": 67, "p50_ms": 100, "p99_ms": 149}
    assert shown["window"]["retry"] == 1


def test_what_is_stored_and_no_endpoint_is_a_conflict_and_hides_no_other(api: Api, client: "redis.Redis") -> None:
    made = create(api).json["id"]
    client.hset(keys.ENDPOINTS, "ep_garbage", b"{}")
    refused(api.ask("GET", "/v1/endpoints/ep_garbage"), 409)
    refused(api.ask("PATCH", "/v1/endpoints/ep_garbage", {"ordered": True}), 409)
    assert [one["id"] for one in api.ask("GET", "/v1/endpoints").json["data"]] == [made]
    assert api.ask("DELETE", "/v1/endpoints/ep_garbage").status == 204


def test_a_test_sends_a_signed_sample_of_each_subscription_and_tells_the_reply(
    api: Api, receiver: Receiver
) -> None:
    receiver.reply_with(*(2 * [Reply(418, body=b"short and stout")]))
    subscriptions = [{"chain_id": 1, "event": TRANSFER}, {"chain_id": 2}]
    made = create(api, url=receiver.url, subscriptions=subscriptions).json
    reply = api.ask("POST", f"/v1/endpoints/{made['id']}/test")
    assert reply.status == 200
    replies = reply.json["data"]
    assert [reply["subscription"] for reply in replies] == [one["id"] for one in made["subscriptions"]]
    assert {(reply["status"], reply["detail"], reply["delivered"]) for reply in replies} == {
        (418, "short and stout", False)
    }
    assert replies[0]["headers"]["content-length"] == "15"
    sample = receiver.received[0]
    headers = dict(sample.headers)
    assert headers["webhook-test"] == "1"
    body = Webhook(made["secret"]).verify(sample.body, headers)
    assert body["data"]["event"]["name"] == "Transfer"
    assert int(body["data"]["event"]["args"]["value"]) > 0
    place, second = f"/v1/endpoints/{made['id']}/test", replies[1]["subscription"]
    [one] = api.ask("POST", place, {"subscription": second}).json["data"]
    assert one["subscription"] == second
    refused(api.ask("POST", place, {"subscription": "sub_x"}), 422, "subscription")
    refused(api.ask("POST", place, {"transaction_hash": "0x"}), 422, "transaction_hash")


def test_an_endpoint_that_never_answers_holds_up_nobody_but_its_own_test(api: Api, receiver: Receiver) -> None:
    answered = threading.Event()
    receiver.reply_with(Reply(after=answered))
    made = create(api, url=receiver.url, timeout_seconds=60).json["id"]
    trying = threading.Thread(target=lambda: api.ask("POST", f"/v1/endpoints/{made}/test"), daemon=True)
    trying.start()
    receiver.wait_for(1)
    assert api.ask("GET", f"/v1/endpoints/{made}").status == 200
    assert api.stop() == 0
    answered.set()
    trying.join(30)
