"""Roots and hashes of a real node, over its hard forks and all types of transactions that it makes."""

from collections.abc import Iterator
from typing import Any

import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address

from hookfarm.event_stream import Checkpoint
from hookfarm.records import parse_endpoint
from hookfarm.registry.store import Registry
from tests.support.anvil import Anvil, deploy_emitter, running_anvil, send_transfer
from tests.support.ingestor import CHAIN, TRANSPORTS, Published, as_events, running_ingestor
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

RECIPIENT = "0x" + "c0ffee" * 6 + "beef"
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""Of anvil's first account, the same on every machine."""
REVERTING = "0x600580600b6000396000f360006000fd"
"""Creates a contract of which every call reverts."""
FORKS = ["london", "paris", "shanghai", "cancun", "prague"]
COMMON_TYPES = {"0x0", "0x1", "0x2"}
FEES = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}


@pytest.fixture
def published(redis_server: RedisServer) -> Iterator[Published]:
    found = Published(redis_server)
    raw = {"url": "https://example.com/", "subscriptions": [{"chain_id": CHAIN, "kind": "transfer"}]}
    Registry(found.client).add(parse_endpoint(raw, str))
    yield found
    found.client.close()


def send_signed(node: Anvil, **fields: Any) -> str:
    """Send a transaction of the first account, whose type follows from its fields; return its hash."""
    sender = Account.from_key(KEY)
    nonce = int(node.call("eth_getTransactionCount", sender.address, "latest"), 16)
    if "to" in fields:
        fields["to"] = to_checksum_address(fields["to"])
    signed = sender.sign_transaction({"chainId": CHAIN, "nonce": nonce, "gas": 300_000, "value": 5, **fields})
    transaction: str = node.call("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex())
    eventually(lambda: node.call("eth_getTransactionReceipt", transaction), what="it being mined")
    return transaction


def send_all_types(node: Anvil, fork: str) -> None:
    """Send transactions of the fork's types: with logs, without, reverted, to a contract that they create."""
    contract = deploy_emitter(node)
    other = deploy(node, REVERTING)
    send_signed(node, to=contract, gasPrice=10**10, data="0x" + "00" * 68)
    access = [{"address": contract, "storageKeys": ["0x" + "01" * 32]}]
    send_signed(node, to=contract, gasPrice=10**10, accessList=access, data="0x" + "00" * 68)
    send_signed(node, to=other, gasPrice=10**10)
    send_signed(node, gasPrice=10**10, data="0x")
    send_signed(node, to=contract, **FEES, accessList=access, data="0x" + "00" * 68)
    if fork == "prague":
        authorization = Account.from_key(KEY).sign_authorization(
            {"chainId": CHAIN, "address": contract, "nonce": nonce_of(node) + 1}
        )
        send_signed(node, to=RECIPIENT, **FEES, authorizationList=[authorization])


def nonce_of(node: Anvil) -> int:
    return int(node.call("eth_getTransactionCount", Account.from_key(KEY).address, "latest"), 16)


def deploy(node: Anvil, code: str) -> str:
    transaction = node.call("eth_sendTransaction", {"from": node.call("eth_accounts")[0], "data": code})
    receipt = eventually(lambda: node.call("eth_getTransactionReceipt", transaction), what="it being mined")
    contract: str = receipt["contractAddress"]
    return contract


def send_many(node: Anvil) -> None:
    """Make a block of 140 transactions, whose trie has keys of one and two bytes."""
    contract = deploy_emitter(node)
    node.call("evm_setAutomine", False)
    for value in range(140):
        send_transfer(node, contract, RECIPIENT, value, sender=value % 10)
    node.call("anvil_mine", "0x1")
    node.call("evm_setAutomine", True)


def blocks_of(node: Anvil) -> list[Any]:
    head = int(node.call("eth_blockNumber"), 16)
    return [node.call("eth_getBlockByNumber", hex(number), True) for number in range(1, head + 1)]


def url_of(node: Anvil, transport: str) -> str:
    return node.ws_url if transport == "ws" else node.http_url


def follow(node: Anvil, redis_url: str, published: Published, transport: str) -> None:
    """Publish all blocks of the node, none of which may be doubted."""
    head = node.call("eth_getBlockByNumber", "latest", False)
    expected = Checkpoint(int(head["number"], 16), head["hash"])
    url = url_of(node, transport)
    with running_ingestor(CHAIN, url, redis_url, from_block=1, verify="receipts-root") as ingestor:
        eventually(lambda: published.checkpoint() == expected, what="the checkpoint reaching the head")
        assert ingestor.up


def assert_whole(node: Anvil, published: Published) -> None:
    logs = node.call("eth_getLogs", {"fromBlock": "0x1", "toBlock": "latest"})
    assert [each for each in published.entries() if "kind" not in each] == as_events(logs)
    paid = [each for block in blocks_of(node) for each in block["transactions"] if int(each["value"], 16)]
    status = {each["hash"]: node.call("eth_getTransactionReceipt", each["hash"])["status"] for each in paid}
    moved = [each["hash"] for each in paid if status[each["hash"]] == "0x1"]
    assert [each["transaction_hash"] for each in published.entries() if "kind" in each] == moved


@pytest.mark.parametrize("fork", FORKS)
def test_blocks_of_every_fork_are_proven(
    redis_server: RedisServer, published: Published, caplog: pytest.LogCaptureFixture, fork: str
) -> None:
    with running_anvil(extra=["--hardfork", fork]) as node:
        send_all_types(node, fork)
        follow(node, redis_server.url, published, "ws")
        types = {each["type"] for block in blocks_of(node) for each in block["transactions"]}
        assert types == (COMMON_TYPES | {"0x4"} if fork == "prague" else COMMON_TYPES)
        assert_whole(node, published)
    assert "block hash not recomputed" not in caplog.messages


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_block_of_many_transactions_is_proven(
    redis_server: RedisServer, published: Published, caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    with running_anvil() as node:
        send_many(node)
        follow(node, redis_server.url, published, transport)
        assert len(blocks_of(node)[-1]["transactions"]) == 140
        assert_whole(node, published)
    assert "block hash not recomputed" not in caplog.messages
