"""Transfers of a real node: paid, failed, and to a contract that they create."""

from collections.abc import Iterator
from typing import Any

import pytest

from hookfarm.event_stream import Checkpoint
from hookfarm.records import parse_endpoint
from hookfarm.registry.store import Registry
from tests.support.anvil import TRANSFER_TOPIC, Anvil, deploy_emitter, running_anvil
from tests.support.ingestor import CHAIN, TRANSPORTS, Published, running_ingestor
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

RECIPIENT = "0x" + "c0ffee" * 6 + "beef"
ETHER = 10**18
REVERTING = "0x600580600b6000396000f360006000fd"
"""Creates a contract of which every call reverts: PUSH1 0, PUSH1 0, REVERT behind a loader of 11 bytes."""


@pytest.fixture
def published(redis_server: RedisServer) -> Iterator[Published]:
    found = Published(redis_server)
    raw = {"url": "https://example.com/", "subscriptions": [{"chain_id": CHAIN, "kind": "transfer"}]}
    Registry(found.client).add(parse_endpoint(raw, str))
    yield found
    found.client.close()


def send(node: Anvil, status: str = "0x1", **fields: Any) -> Any:
    """A transaction of the node's first account; its receipt, once it is mined."""
    call = {"from": node.call("eth_accounts")[0], "gas": hex(500_000), **fields}
    transaction = node.call("eth_sendTransaction", call)
    receipt = eventually(lambda: node.call("eth_getTransactionReceipt", transaction), what="it being mined")
    assert receipt["status"] == status
    return receipt


def wait_for_head(published: Published, node: Anvil) -> None:
    head = node.call("eth_getBlockByNumber", "latest", False)
    expected = Checkpoint(int(head["number"], 16), head["hash"])
    eventually(lambda: published.checkpoint() == expected, 20, f"the checkpoint reaching block {head['number']}")


def url_of(node: Anvil, transport: str) -> str:
    return node.ws_url if transport == "ws" else node.http_url


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_payment_becomes_its_transfer(redis_server: RedisServer, published: Published, transport: str) -> None:
    with running_anvil() as node:
        with running_ingestor(CHAIN, url_of(node, transport), redis_server.url):
            receipt = send(node, to=RECIPIENT, value=hex(3 * ETHER))
            wait_for_head(published, node)
        block = node.call("eth_getBlockByNumber", "latest", False)
    assert published.entries() == [
        {
            "kind": "transfer",
            "chain_id": CHAIN,
            "block_number": 1,
            "block_hash": block["hash"],
            "block_timestamp": int(block["timestamp"], 16),
            "transaction_hash": receipt["transactionHash"],
            "transaction_index": 0,
            "from": receipt["from"],
            "to": RECIPIENT,
            "value": str(3 * ETHER),
            "removed": False,
        }
    ]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_reverts_moves_nothing_and_what_creates_a_contract_pays_it(
    redis_server: RedisServer, published: Published, transport: str
) -> None:
    with running_anvil() as node:
        contract = send(node, data=REVERTING)["contractAddress"]
        with running_ingestor(CHAIN, url_of(node, transport), redis_server.url):
            send(node, status="0x0", to=contract, value=hex(ETHER))
            creation = send(node, data="0x", value=hex(5))
            wait_for_head(published, node)
        balances = [int(node.call("eth_getBalance", each, "latest"), 16) for each in (contract, created(creation))]
    assert balances == [0, 5]
    assert [(entry["to"], entry["value"]) for entry in published.entries()] == [(created(creation), "5")]


def created(receipt: Any) -> str:
    address: str = receipt["contractAddress"]
    return address.lower()


def test_a_payment_to_a_contract_comes_before_its_log(redis_server: RedisServer, published: Published) -> None:
    with running_anvil() as node:
        contract = deploy_emitter(node)
        with running_ingestor(CHAIN, node.ws_url, redis_server.url):
            send(node, to=contract, value=hex(7), data="0x" + "00" * 68)
            wait_for_head(published, node)
    transfer, log = published.entries()
    assert (transfer["kind"], transfer["to"], transfer["value"]) == ("transfer", contract, "7")
    assert (log["address"], log["topics"][0], "kind" in log) == (contract, TRANSFER_TOPIC, False)
    assert transfer["transaction_hash"] == log["transaction_hash"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_many_payments_in_many_blocks_are_caught_up_with(
    redis_server: RedisServer, published: Published, transport: str
) -> None:
    with running_anvil() as node:
        for value in range(1, 41):
            send(node, to=RECIPIENT, value=hex(value))
        node.call("anvil_mine", "0x20")
        with running_ingestor(CHAIN, url_of(node, transport), redis_server.url, from_block=1):
            wait_for_head(published, node)
    assert [entry["value"] for entry in published.entries()] == [str(value) for value in range(1, 41)]


def test_a_reorg_takes_a_payment_back(redis_server: RedisServer, published: Published) -> None:
    with running_anvil() as node, running_ingestor(CHAIN, node.ws_url, redis_server.url):
        for value in (1, 2, 3):
            send(node, to=RECIPIENT, value=hex(value))
        wait_for_head(published, node)
        node.call("anvil_reorg", 2, [])
        send(node, to=RECIPIENT, value=hex(4))
        wait_for_head(published, node)
    assert [entry["value"] for entry in published.events()] == ["1", "4"]
    assert [entry["value"] for entry in published.entries() if entry["removed"]] == ["3", "2"]
