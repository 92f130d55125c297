"""One node as the chain edge sees it: the devchain over both transports."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import orjson
import pytest

from hookfarm.chain.block import Head
from hookfarm.chain.node import Node, connect
from hookfarm.chain.node_pool import NodePool
from hookfarm.chain.prover import Prover
from hookfarm.chain.timing import NodeTimeouts
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.devchain.transaction import Log
from hookfarm.errors import ChainUnavailable
from tests.support.waiting import eventually

TIMEOUTS = NodeTimeouts(request_seconds=5, connect_seconds=1, silence_seconds=0.2, probe_seconds=0.2)
TRANSPORTS = ["ws", "http"]


@pytest.fixture
def devchain() -> Iterator[RunningDevchain]:
    with running_devchain(logs_per_block=3) as devchain:
        yield devchain


def url_of(devchain: RunningDevchain, transport: str) -> str:
    return devchain.ws_url if transport == "ws" else devchain.http_url


def on_node(url: str, scenario: Callable[[Node], Awaitable[None]], timeouts: NodeTimeouts = TIMEOUTS) -> None:
    """Runs the scenario with an open node, which is closed afterwards."""

    async def run() -> None:
        [profile] = NodePool([url]).all
        node = await connect(profile, timeouts, lambda _: None, lambda: None)
        try:
            await scenario(node)
        finally:
            await node.close()

    asyncio.run(run())


def calls(devchain: RunningDevchain, method: str) -> int:
    """How many it has had so far."""
    return int(devchain.stats()["methods"].get(method, 0))


async def wait_for_calls(devchain: RunningDevchain, method: str, count: int) -> None:
    """On a thread, so that whoever makes them goes on."""
    await asyncio.to_thread(eventually, lambda: calls(devchain, method) >= count, 10.0, f"{count} of {method}")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_node_gives_its_chain_id_head_headers_and_blocks(devchain: RunningDevchain, transport: str) -> None:
    async def scenario(node: Node) -> None:
        assert int(await node.request("eth_chainId"), 16) == devchain.chain_id
        head = await node.head()
        header = await node.header(2)
        assert head == Head(2, header.block_hash, header.timestamp)
        [block] = await Prover(devchain.chain_id).canonical(node, [2], head.block_hash)
        assert [orjson.loads(event)["log_index"] for event in block.events] == [0, 1, 2]

    devchain.mine(2)
    on_node(url_of(devchain, transport), scenario)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_new_head_rings(devchain: RunningDevchain, transport: str) -> None:
    async def scenario(node: Node) -> None:
        await node.head()
        while (await node.next_head()).number < 1:
            pass

    async def mining(node: Node) -> None:
        waiting = asyncio.create_task(scenario(node))
        await asyncio.to_thread(devchain.mine, 1)
        await asyncio.wait_for(waiting, 5)

    on_node(url_of(devchain, transport), mining)


def test_a_head_over_websocket_brings_its_hash_and_time(devchain: RunningDevchain) -> None:
    async def scenario(node: Node) -> None:
        await asyncio.to_thread(devchain.mine, 1)
        head = await node.next_head()
        mined = devchain.head()
        assert head == Head(1, mined.hash, mined.header.timestamp)

    on_node(devchain.ws_url, scenario)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_block_that_the_node_does_not_have_is_unavailable(devchain: RunningDevchain, transport: str) -> None:
    async def scenario(node: Node) -> None:
        with pytest.raises(ChainUnavailable, match="does not have block 99"):
            await node.header(99)

    on_node(url_of(devchain, transport), scenario)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_refused_batches_shrink_and_grow_again(devchain: RunningDevchain, transport: str) -> None:
    now = 100.0
    [profile] = NodePool([url_of(devchain, transport)], clock=lambda: now).all

    async def run() -> None:
        nonlocal now
        node = await connect(profile, TIMEOUTS, lambda _: None, lambda: None)
        try:
            devchain.set_fault("refused_batches", calls=3)
            assert len(await node.headers(range(1, 81))) == 80
            assert profile.batches.calls in (2, 3)
            devchain.clear_faults()
            await node.headers(range(1, 81))
            assert profile.batches.calls in (2, 3), "it is not tried again at once"
            now += 3_600
            await node.headers(range(1, 81))
            await node.headers(range(1, 81))
            requests = sum(devchain.stats()["requests"].values())
            assert len(await node.headers(range(1, 81))) == 80
            assert sum(devchain.stats()["requests"].values()) - requests <= 3
        finally:
            await node.close()

    devchain.mine(80)
    asyncio.run(run())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_error_answer_leaves_the_connection_usable(devchain: RunningDevchain, transport: str) -> None:
    async def scenario(node: Node) -> None:
        devchain.set_fault("error", count=1, method="eth_chainId", code=-32005, message="too much")
        with pytest.raises(ChainUnavailable, match="eth_chainId: -32005 too much"):
            await node.request("eth_chainId")
        assert int(await node.request("eth_chainId"), 16) == devchain.chain_id
        assert not node.closed

    on_node(url_of(devchain, transport), scenario)


def test_a_cut_websocket_fails_all_who_wait_at_once(devchain: RunningDevchain) -> None:
    async def scenario(node: Node) -> None:
        devchain.set_fault("latency", method="eth_chainId", milliseconds=60_000)
        asked = calls(devchain, "eth_chainId")
        requests = [asyncio.create_task(node.request("eth_chainId")) for _ in range(3)]
        await wait_for_calls(devchain, "eth_chainId", asked + 3)
        devchain.drop_connections()
        for answer in await asyncio.gather(*requests, return_exceptions=True):
            assert isinstance(answer, ChainUnavailable)
            assert "no answer in time" not in str(answer)
        assert node.closed
        with pytest.raises(ChainUnavailable):
            await node.next_head()
        with pytest.raises(ChainUnavailable):
            await node.request("eth_chainId")

    on_node(devchain.ws_url, scenario)


def test_a_failed_poll_closes_an_http_node(devchain: RunningDevchain) -> None:
    async def scenario(node: Node) -> None:
        await node.next_head()
        devchain.set_fault("http_status", status=503)
        with pytest.raises(ChainUnavailable, match="503"):
            await node.next_head()
        assert node.closed

    on_node(devchain.http_url, scenario, NodeTimeouts())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_node_that_is_not_there_is_unavailable_by_its_origin(devchain: RunningDevchain, transport: str) -> None:
    async def scenario(node: Node) -> None:
        await node.request("eth_chainId")

    address = url_of(devchain, transport)
    devchain.go_down()
    with pytest.raises(ChainUnavailable) as caught:
        on_node(f"{address}/v3/canary", scenario)
    assert address in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_quiet_chain_is_no_silent_node(devchain: RunningDevchain) -> None:
    async def scenario(node: Node) -> None:
        await node.head()
        await node.next_head()
        probes = calls(devchain, "eth_blockNumber")
        waiting = asyncio.create_task(node.next_head())
        await wait_for_calls(devchain, "eth_blockNumber", probes + 2)
        assert not waiting.done()
        waiting.cancel()

    on_node(devchain.ws_url, scenario)


def test_a_silent_node_is_noticed(devchain: RunningDevchain) -> None:
    async def scenario(node: Node) -> None:
        await node.head()
        await node.next_head()
        devchain.set_fault("silence")
        with pytest.raises(ChainUnavailable, match="silent, and does not answer"):
            await node.next_head()

    on_node(devchain.ws_url, scenario)
    devchain.clear_faults()


def test_a_node_that_forgot_the_subscription_is_noticed(devchain: RunningDevchain) -> None:
    async def scenario(node: Node) -> None:
        await node.head()
        await node.next_head()
        devchain.set_fault("dropped_heads")
        devchain.mine(2)
        with pytest.raises(ChainUnavailable, match="reached block 2 without announcing it"):
            await node.next_head()

    on_node(devchain.ws_url, scenario)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_block_with_megabytes_of_logs_comes_whole(devchain: RunningDevchain, transport: str) -> None:
    async def scenario(node: Node) -> None:
        [block] = await Prover(devchain.chain_id).blocks(node, [await node.header(1)])
        assert len(block.events) == 4

    devchain.mine_logs([Log(b"\x01" * 20, (), b"\xee" * 600_000)] * 4)
    on_node(url_of(devchain, transport), scenario)
