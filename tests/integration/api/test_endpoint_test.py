"""`POST /v1/endpoints/{id}/test` with a transaction: the logs of its receipt, from the chain's own node."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from hookfarm.config import ChainConfig
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from tests.support.api_process import Api, refused, running_api
from tests.support.delivery import CHAIN_ID
from tests.support.receivers import Receiver

TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"


@pytest.fixture
def chain() -> Iterator[RunningDevchain]:
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=2) as running:
        running.pause()
        running.mine(2)
        yield running


@pytest.fixture
def api(redis_url: str, chain: RunningDevchain) -> Iterator[Api]:
    urls = ("http://127.0.0.1:1", chain.http_url)
    with running_api(redis_url, chains=(ChainConfig(CHAIN_ID, urls),)) as one:
        yield one


def test_the_logs_of_a_transaction_are_sent_as_they_match(
    api: Api, chain: RunningDevchain, receiver: Receiver
) -> None:
    log: Any = chain.canonical_logs()[-1]
    fields = {"url": receiver.url, "subscriptions": [{"chain_id": CHAIN_ID, "event": TRANSFER}]}
    made = api.ask("POST", "/v1/endpoints", fields).json
    place = f"/v1/endpoints/{made['id']}/test"
    reply = api.ask("POST", place, {"transaction_hash": log["transactionHash"]})
    assert reply.status == 200, reply.body
    owed = [one for one in chain.canonical_logs() if one["transactionHash"] == log["transactionHash"]]
    bodies = [orjson.loads(received.body)["data"] for received in receiver.received]
    assert [body["log_index"] for body in bodies] == [int(str(one["logIndex"]), 16) for one in owed]
    assert {body["event"]["name"] for body in bodies} == {"Transfer"}
    assert {reply["delivered"] for reply in reply.json["data"]} == {True}
    refused(api.ask("POST", place, {"transaction_hash": f"0x{'11' * 32}"}), 404)
    api.ask(
        "PATCH", f"/v1/endpoints/{made['id']}", {"subscriptions": [{"chain_id": CHAIN_ID, "event": "Other()"}]}
    )
    refused(api.ask("POST", place, {"transaction_hash": log["transactionHash"]}), 409, "transaction_hash")


def test_a_chain_that_does_not_answer_is_said(api: Api, chain: RunningDevchain, receiver: Receiver) -> None:
    fields = {"url": receiver.url, "subscriptions": [{"chain_id": CHAIN_ID}]}
    made = api.ask("POST", "/v1/endpoints", fields).json
    chain.go_down()
    refused(api.ask("POST", f"/v1/endpoints/{made['id']}/test", {"transaction_hash": f"0x{'11' * 32}"}), 502)
    assert receiver.received == []
