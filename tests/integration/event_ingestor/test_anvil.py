"""The ingestor on a real node."""

from pathlib import Path
from typing import Any

import pytest

from hookfarm.event_stream import Checkpoint
from hookfarm.store import keys
from tests.support.anvil import TRANSFER_TOPIC, Anvil, deploy_emitter, emit_transfer, running_anvil, send_transfer
from tests.support.ingestor import Published, running_ingestor
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

CHAIN = 31337
RECIPIENT = "0x" + "c0ffee" * 6 + "beef"
TRANSPORTS = ["ws", "http"]


def url_of(node: Anvil, transport: str) -> str:
    return node.ws_url if transport == "ws" else node.http_url


def published(server: RedisServer) -> list[dict[str, Any]]:
    """What was emitted and not taken back."""
    found = Published(server)
    try:
        return found.events()
    finally:
        found.client.close()


def values(events: list[dict[str, Any]]) -> list[int]:
    return [int(event["data"], 16) for event in events]


def wait_for_head(server: RedisServer, node: Anvil) -> None:
    """Until the checkpoint is the node's head."""
    head = node.call("eth_getBlockByNumber", "latest", False)
    expected = Checkpoint(int(head["number"], 16), head["hash"]).encode().encode()

    def reached() -> bool:
        with server.client() as client:
            return bool(client.get(keys.checkpoint(CHAIN)) == expected)

    eventually(reached, what=f"the checkpoint reaching block {head['number']}")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_transfer_becomes_its_event(redis_server: RedisServer, transport: str) -> None:
    with running_anvil() as node:
        contract = deploy_emitter(node)
        with running_ingestor(CHAIN, url_of(node, transport), redis_server.url):
            transaction = emit_transfer(node, contract, RECIPIENT, 12_345, sender=2)
            wait_for_head(redis_server, node)
        block = node.call("eth_getBlockByNumber", "latest", False)
        assert published(redis_server) == [
            {
                "chain_id": CHAIN,
                "block_number": 2,
                "block_hash": block["hash"],
                "block_timestamp": int(block["timestamp"], 16),
                "transaction_hash": transaction,
                "transaction_index": 0,
                "log_index": 0,
                "address": contract,
                "topics": [
                    TRANSFER_TOPIC,
                    "0x" + "0" * 24 + node.call("eth_accounts")[2][2:],
                    "0x" + "0" * 24 + RECIPIENT[2:],
                ],
                "data": f"0x{12_345:064x}",
                "removed": False,
            }
        ]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_many_blocks_and_many_logs_in_one_come_in_order(redis_server: RedisServer, transport: str) -> None:
    with running_anvil() as node:
        contract = deploy_emitter(node)
        with running_ingestor(CHAIN, url_of(node, transport), redis_server.url):
            for value in range(20):
                emit_transfer(node, contract, RECIPIENT, value)
            node.call("evm_setAutomine", False)
            for value in range(20, 40):
                send_transfer(node, contract, RECIPIENT, value)
            node.call("anvil_mine", "0x30")
            wait_for_head(redis_server, node)
        events = published(redis_server)
        assert values(events) == list(range(40))
        assert [event["log_index"] for event in events[20:]] == list(range(20))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_node_restarted_with_its_chain_is_followed_again(
    redis_server: RedisServer, transport: str, tmp_path: Path
) -> None:
    with running_anvil(extra=["--state", str(tmp_path / "state.json")]) as node:
        contract = deploy_emitter(node)
        with running_ingestor(CHAIN, url_of(node, transport), redis_server.url) as ingestor:
            emit_transfer(node, contract, RECIPIENT, 1)
            wait_for_head(redis_server, node)
            node.stop()
            eventually(lambda: ingestor.stalled, what="the ingestor saying that it is stalled")
            node.start()
            emit_transfer(node, contract, RECIPIENT, 2)
            eventually(lambda: ingestor.up, what="the ingestor being up again")
            wait_for_head(redis_server, node)
        assert values(published(redis_server)) == [1, 2]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_frozen_node_stalls_it_until_it_thaws(redis_server: RedisServer, transport: str) -> None:
    with running_anvil() as node:
        contract = deploy_emitter(node)
        with running_ingestor(CHAIN, url_of(node, transport), redis_server.url) as ingestor:
            node.freeze()
            eventually(lambda: ingestor.stalled, what="the ingestor saying that it is stalled")
            node.thaw()
            emit_transfer(node, contract, RECIPIENT, 1)
            eventually(lambda: ingestor.up, what="the ingestor being up again")
            wait_for_head(redis_server, node)
        assert values(published(redis_server)) == [1]


def test_a_reorg_is_followed(redis_server: RedisServer) -> None:
    with running_anvil() as node:
        contract = deploy_emitter(node)
        with running_ingestor(CHAIN, node.ws_url, redis_server.url):
            for value in (1, 2, 3):
                emit_transfer(node, contract, RECIPIENT, value)
            wait_for_head(redis_server, node)
            node.call("anvil_reorg", 2, [])
            emit_transfer(node, contract, RECIPIENT, 4)
            wait_for_head(redis_server, node)
        assert values(published(redis_server)) == [1, 4]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_chain_that_was_reverted_to_a_lower_block_is_followed(redis_server: RedisServer, transport: str) -> None:
    with running_anvil() as node:
        contract = deploy_emitter(node)
        snapshot = node.call("evm_snapshot")
        with running_ingestor(CHAIN, url_of(node, transport), redis_server.url):
            for value in (1, 2, 3):
                emit_transfer(node, contract, RECIPIENT, value)
            wait_for_head(redis_server, node)
            assert node.call("evm_revert", snapshot)
            emit_transfer(node, contract, RECIPIENT, 4)
            wait_for_head(redis_server, node)
        assert values(published(redis_server)) == [4]
