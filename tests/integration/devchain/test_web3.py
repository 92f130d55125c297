"""web3.py against the devchain, without any special case."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from web3 import AsyncHTTPProvider, AsyncWeb3, WebSocketProvider
from web3.exceptions import BlockNotFound, TransactionNotFound, Web3RPCError

from hookfarm.devchain.embedded import RunningDevchain, running_devchain

WITHIN_SECONDS = 40.0


@pytest.fixture
def devchain() -> Iterator[RunningDevchain]:
    with running_devchain(logs_per_block=3, safe_distance=1, finalized_distance=2) as running:
        yield running


@asynccontextmanager
async def over_http(devchain: RunningDevchain) -> AsyncIterator[AsyncWeb3[Any]]:
    provider = AsyncHTTPProvider(devchain.http_url)
    try:
        yield AsyncWeb3(provider)
    finally:
        await provider.disconnect()


@asynccontextmanager
async def over_websocket(devchain: RunningDevchain) -> AsyncIterator[AsyncWeb3[Any]]:
    async with AsyncWeb3(WebSocketProvider(devchain.ws_url)) as web3:
        yield web3


async def next_heads(web3: AsyncWeb3[Any], count: int) -> list[Any]:
    heads: list[Any] = []
    async with asyncio.timeout(WITHIN_SECONDS):
        async for message in web3.socket.process_subscriptions():
            heads.append(message["result"])
            if len(heads) == count:
                break
    return heads


@pytest.mark.parametrize("connected", [over_http, over_websocket])
def test_web3_reads_chain_blocks_logs_and_receipts(devchain: RunningDevchain, connected: Any) -> None:
    blocks = devchain.mine(4)

    async def read() -> None:
        async with connected(devchain) as web3:
            assert await web3.is_connected()
            assert await web3.eth.chain_id == 31337
            assert await web3.eth.block_number == 4
            for tag, number in (("latest", 4), ("safe", 3), ("finalized", 2), ("earliest", 0)):
                assert (await web3.eth.get_block(tag))["number"] == number
            block = await web3.eth.get_block(blocks[1].hash, full_transactions=True)
            assert block["hash"].to_0x_hex() == blocks[1].hash
            assert block["parentHash"].to_0x_hex() == blocks[0].hash
            logs = await web3.eth.get_logs({"blockHash": block["hash"]})
            assert [log["logIndex"] for log in logs] == [0, 1, 2]
            receipts = await web3.eth.get_block_receipts(2)
            assert [log for receipt in receipts for log in receipt["logs"]] == logs
            transaction = block["transactions"][0]
            assert await web3.eth.get_transaction(transaction["hash"]) == transaction
            assert await web3.eth.get_transaction_receipt(transaction["hash"]) == receipts[0]

    asyncio.run(read())


@pytest.mark.parametrize("connected", [over_http, over_websocket])
def test_web3_raises_its_usual_errors(devchain: RunningDevchain, connected: Any) -> None:
    async def read() -> None:
        async with connected(devchain) as web3:
            with pytest.raises(BlockNotFound):
                await web3.eth.get_block(99)
            with pytest.raises(TransactionNotFound):
                await web3.eth.get_transaction("0x" + "11" * 32)
            with pytest.raises(Web3RPCError, match="unknown block"):
                await web3.eth.get_logs({"blockHash": "0x" + "11" * 32})

    asyncio.run(read())


def test_web3_decodes_the_transfers_with_the_erc20_abi(devchain: RunningDevchain) -> None:
    devchain.mine()
    address, uint = {"type": "address", "indexed": True}, {"type": "uint256", "indexed": False}
    abi = {
        "type": "event",
        "name": "Transfer",
        "anonymous": False,
        "inputs": [address | {"name": "from"}, address | {"name": "to"}, uint | {"name": "value"}],
    }

    async def read() -> None:
        async with over_http(devchain) as web3:
            transfer = web3.eth.contract(abi=[abi]).events.Transfer()
            for log, raw in zip(await web3.eth.get_logs({}), devchain.canonical_logs(), strict=True):
                arguments = transfer.process_log(log)["args"]
                assert arguments["value"] == int(raw["data"], 16)
                assert arguments["from"].lower() == "0x" + raw["topics"][1][-40:]

    asyncio.run(read())


def test_web3_receives_heads_and_fetches_their_logs(devchain: RunningDevchain) -> None:
    async def listen() -> list[Any]:
        async with over_websocket(devchain) as web3:
            await web3.eth.subscribe("newHeads")
            await asyncio.to_thread(devchain.mine, 3)
            heads = await next_heads(web3, 3)
            return [await web3.eth.get_logs({"blockHash": head["hash"]}) for head in heads]

    logs = [log["transactionHash"].to_0x_hex() for each in asyncio.run(listen()) for log in each]
    assert logs == [log["transactionHash"] for log in devchain.canonical_logs()]


def test_web3_follows_a_reorg_by_its_heads(devchain: RunningDevchain) -> None:
    async def listen() -> list[Any]:
        async with over_websocket(devchain) as web3:
            await web3.eth.subscribe("newHeads")
            await asyncio.to_thread(devchain.mine, 3)
            await asyncio.to_thread(devchain.reorg, 2, length=3)
            return await next_heads(web3, 6)

    heads = asyncio.run(listen())
    assert [head["number"] for head in heads] == [1, 2, 3, 2, 3, 4]
    assert heads[3]["parentHash"] == heads[0]["hash"]
    assert heads[3]["hash"] != heads[1]["hash"]


def test_web3_unsubscribes(devchain: RunningDevchain) -> None:
    async def listen() -> bool:
        async with over_websocket(devchain) as web3:
            return bool(await web3.eth.unsubscribe(await web3.eth.subscribe("newHeads")))

    assert asyncio.run(listen())


def test_web3_batches_requests(devchain: RunningDevchain) -> None:
    devchain.mine(3)

    async def read() -> list[Any]:
        async with over_http(devchain) as web3, web3.batch_requests() as batch:
            for number in (1, 2, 3):
                batch.add(web3.eth.get_block(number))
            return list(await batch.async_execute())

    assert [block["number"] for block in asyncio.run(read())] == [1, 2, 3]
    stats = devchain.stats()
    assert stats["requests"]["http"] == 1
    assert stats["methods"]["eth_getBlockByNumber"] == 3
