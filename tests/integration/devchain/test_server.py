"""The devchain's port as a plain client meets it: transports, faults, slow clients, the end."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from hookfarm.devchain.chain import DevchainOptions
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.devchain.server import serve
from hookfarm.errors import CouldNotBoot
from tests.support.waiting import eventually

WITHIN_SECONDS = 40.0


@pytest.fixture
def devchain() -> Iterator[RunningDevchain]:
    with running_devchain(logs_per_block=2) as running:
        yield running


@asynccontextmanager
async def http_session() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=WITHIN_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield session


def call_of(method: str, *params: object, request_id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": list(params)}


def post(url: str, body: object) -> tuple[int, Any, dict[str, str]]:
    """Status, JSON (None where there is no body) and headers of one POST."""

    async def send() -> tuple[int, Any, dict[str, str]]:
        content = body if isinstance(body, str) else json.dumps(body)
        async with http_session() as session, session.post(url, data=content) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None, dict(response.headers)

    return asyncio.run(send())


def result_of(devchain: RunningDevchain, method: str, *params: object) -> Any:
    return post(devchain.http_url, call_of(method, *params))[1]["result"]


async def ask(client: aiohttp.ClientWebSocketResponse, method: str, *params: object) -> Any:
    await client.send_json(call_of(method, *params))
    return (await client.receive_json())["result"]


def test_http_answers_on_any_path(devchain: RunningDevchain) -> None:
    status, answer, headers = post(devchain.http_url + "/v3/key", call_of("eth_chainId"))
    assert (status, answer["result"]) == (200, "0x7a69")
    assert headers["Content-Type"].startswith("application/json")


def test_http_answers_a_batch(devchain: RunningDevchain) -> None:
    batch = [call_of("eth_blockNumber", request_id=i) for i in range(3)]
    assert [each["id"] for each in post(devchain.http_url, batch)[1]] == [0, 1, 2]


def test_http_answers_a_message_that_is_no_json_with_a_parse_error(
    devchain: RunningDevchain,
) -> None:
    status, answer, _ = post(devchain.http_url, "{bad")
    assert (status, answer["error"]["code"], answer["id"]) == (200, -32700, None)


def test_http_answers_a_notification_with_an_empty_body(devchain: RunningDevchain) -> None:
    status, answer, _ = post(devchain.http_url, {"jsonrpc": "2.0", "method": "eth_chainId"})
    assert (status, answer) == (204, None)


def test_http_get_that_is_no_handshake_is_refused(devchain: RunningDevchain) -> None:
    async def get() -> int:
        async with http_session() as session, session.get(devchain.http_url) as response:
            return response.status

    assert asyncio.run(get()) == 405


def test_websocket_answers_batches_and_bad_messages_on_any_path(devchain: RunningDevchain) -> None:
    async def talk() -> None:
        async with http_session() as session, session.ws_connect(devchain.ws_url + "/ws/key") as client:
            await client.send_str("{bad")
            assert (await client.receive_json())["error"]["code"] == -32700
            await client.send_json([call_of("eth_chainId", request_id=i) for i in (4, 5)])
            assert [each["id"] for each in await client.receive_json()] == [4, 5]
            await client.send_bytes(json.dumps(call_of("eth_chainId")).encode())
            assert (await client.receive_json())["result"] == "0x7a69"

    asyncio.run(talk())


def test_another_process_can_steer_the_chain_over_http(devchain: RunningDevchain) -> None:
    result_of(devchain, "devchain_mine", 3)
    change = result_of(devchain, "devchain_reorg", 1)
    assert change["added"][0]["hash"] == devchain.head().hash
    result_of(devchain, "devchain_setFault", "lag", {"blocks": 2})
    assert result_of(devchain, "eth_blockNumber") == "0x1"
    assert result_of(devchain, "devchain_stats")["head"]["number"] == 3


def test_silence_swallows_requests_and_heads_while_the_socket_stays_open(
    devchain: RunningDevchain,
) -> None:
    """Messages come in order: what is read after the silence shows that nothing came before."""

    async def talk() -> list[Any]:
        async with http_session() as session, session.ws_connect(devchain.ws_url) as client:
            await ask(client, "eth_subscribe", "newHeads")
            devchain.set_fault("silence")
            await client.send_json(call_of("eth_chainId", request_id=66))
            eventually(lambda: devchain.stats()["requests"]["websocket"] == 2, what="the request")
            devchain.mine()
            devchain.clear_faults()
            devchain.mine()
            await client.send_json(call_of("eth_blockNumber", request_id=77))
            return [await client.receive_json() for _ in range(2)]

    head, answer = asyncio.run(talk())
    assert head["params"]["result"]["number"] == "0x2"
    assert (answer["id"], answer["result"]) == (77, "0x2")


def test_cut_drops_open_websockets_and_later_requests(devchain: RunningDevchain) -> None:
    async def talk() -> None:
        async with http_session() as session, session.ws_connect(devchain.ws_url) as client:
            await ask(client, "eth_chainId")
            devchain.set_fault("cut")
            dropped = await client.receive(timeout=WITHIN_SECONDS)
            assert dropped.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
            assert client.close_code != 1000
            with pytest.raises(aiohttp.ClientError):
                await session.ws_connect(devchain.ws_url)
            with pytest.raises(aiohttp.ClientError):
                await session.post(devchain.http_url, json=call_of("eth_chainId"))
            devchain.clear_faults()
            async with session.ws_connect(devchain.ws_url) as again:
                assert await ask(again, "eth_blockNumber") == "0x0"

    asyncio.run(talk())
    eventually(lambda: devchain.stats()["websockets"] == 0, what="the dropped clients are forgotten")


def test_http_status_with_retry_after_for_requests_and_handshakes(devchain: RunningDevchain) -> None:
    devchain.set_fault("http_status", count=2, status=429, retry_after=7)
    status, _, headers = post(devchain.http_url, call_of("eth_chainId"))
    assert (status, headers["Retry-After"]) == (429, "7")

    async def connect() -> int:
        async with http_session() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(devchain.ws_url)
            return refused.value.status

    assert asyncio.run(connect()) == 429
    assert post(devchain.http_url, call_of("eth_chainId"))[0] == 200


def test_an_answer_over_http_breaks_off_in_the_middle(devchain: RunningDevchain) -> None:
    devchain.set_fault("half_frame", count=1)
    with pytest.raises(aiohttp.ClientPayloadError):
        post(devchain.http_url, call_of("eth_getBlockByNumber", "latest", False))
    assert result_of(devchain, "eth_blockNumber") == "0x0"


def test_an_answer_over_a_websocket_breaks_off_in_the_middle(devchain: RunningDevchain) -> None:
    async def scenario() -> None:
        async with http_session() as session, session.ws_connect(devchain.ws_url) as client:
            await ask(client, "eth_chainId")
            devchain.set_fault("half_frame", count=1)
            await client.send_json(call_of("eth_getBlockByNumber", "latest", False))
            message = await client.receive()
            assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSE)

    asyncio.run(scenario())


def test_a_gateway_refuses_a_range_with_a_status_and_no_json(devchain: RunningDevchain) -> None:
    devchain.mine(5)
    devchain.set_fault("refused_ranges", blocks=2, provider="gateway")

    async def status() -> tuple[int, str]:
        body = json.dumps(call_of("eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x5"}))
        async with http_session() as session, session.post(devchain.http_url, data=body) as response:
            return response.status, await response.text()

    assert asyncio.run(status()) == (413, "<html>413 Request Entity Too Large</html>\n")


def test_late_answer_does_not_hold_up_the_ones_after_it(devchain: RunningDevchain) -> None:
    devchain.set_fault("latency", method="eth_chainId", milliseconds=300)

    async def talk() -> list[int]:
        async with http_session() as session, session.ws_connect(devchain.ws_url) as client:
            await client.send_json(call_of("eth_chainId", request_id=1))
            await client.send_json(call_of("eth_blockNumber", request_id=2))
            return [(await client.receive_json())["id"] for _ in range(2)]

    assert asyncio.run(talk()) == [2, 1]


def test_subscriber_that_reads_nothing_is_dropped_and_disturbs_no_other() -> None:
    async def talk(devchain: RunningDevchain) -> tuple[list[str], int]:
        async with http_session() as session, session.ws_connect(devchain.ws_url) as good:
            await ask(good, "eth_subscribe", "newHeads")
            with deaf_subscriber(devchain):
                announced, mined = [], 0
                while devchain.stats()["websockets"] == 2:
                    devchain.mine(50)
                    mined += 50
                    for _ in range(50):
                        announced.append((await good.receive_json())["params"]["result"]["number"])
            return announced, mined

    with running_devchain(logs_per_block=0, outbox_messages=60) as devchain:
        announced, mined = asyncio.run(asyncio.wait_for(talk(devchain), 3 * WITHIN_SECONDS))
    assert announced == [hex(number) for number in range(1, mined + 1)]


@contextmanager
def deaf_subscriber(devchain: RunningDevchain) -> Iterator[None]:
    """A WebSocket client that subscribes to heads and reads nothing after the handshake."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", devchain.port))
        client.sendall(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert b" 101 " in client.recv(4096)
        request = json.dumps(call_of("eth_subscribe", "newHeads")).encode()
        assert len(request) < 126
        mask = bytes(4)
        client.sendall(bytes((0x81, 0x80 | len(request))) + mask + request)
        eventually(
            lambda: devchain.stats()["methods"].get("eth_subscribe") == 2,
            what="the deaf client's subscription",
        )
        yield


def test_connections_are_dropped_once_on_demand(devchain: RunningDevchain) -> None:
    async def talk() -> None:
        async with http_session() as session, session.ws_connect(devchain.ws_url) as client:
            await ask(client, "eth_chainId")
            assert devchain.drop_connections() == 1
            assert (await client.receive(timeout=WITHIN_SECONDS)).type != aiohttp.WSMsgType.TEXT
            async with session.ws_connect(devchain.ws_url) as again:
                assert await ask(again, "eth_chainId") == "0x7a69"

    asyncio.run(talk())


def test_node_that_went_down_comes_up_on_its_port_with_its_chain(devchain: RunningDevchain) -> None:
    [block] = devchain.mine()
    devchain.go_down()
    with pytest.raises(aiohttp.ClientConnectorError):
        post(devchain.http_url, call_of("eth_chainId"))
    devchain.mine()
    devchain.come_up()
    assert result_of(devchain, "eth_blockNumber") == "0x2"
    assert result_of(devchain, "eth_getBlockByNumber", "0x1", False)["hash"] == block.hash


def wait_for_request(devchain: RunningDevchain) -> None:
    eventually(lambda: devchain.stats()["requests"].get("http") == 1, WITHIN_SECONDS, "a request")


def test_end_closes_connections_port_and_thread() -> None:
    async def outlive() -> Any:
        async with http_session() as session:
            with running_devchain() as devchain:
                client = await session.ws_connect(devchain.ws_url)
                await ask(client, "eth_chainId")
                devchain.set_fault("silence")
                pending = asyncio.create_task(session.post(devchain.http_url, json=call_of("eth_chainId")))
                await asyncio.to_thread(wait_for_request, devchain)
            with pytest.raises(aiohttp.ClientError):
                await pending
            assert (await client.receive(timeout=WITHIN_SECONDS)).type == aiohttp.WSMsgType.CLOSE
            return devchain

    devchain = asyncio.run(outlive())
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", devchain.port)) != 0
    assert "devchain" not in [thread.name for thread in threading.enumerate()]


def test_error_in_the_body_is_raised_and_the_devchain_ends() -> None:
    with pytest.raises(ZeroDivisionError), running_devchain():
        raise ZeroDivisionError
    assert "devchain" not in [thread.name for thread in threading.enumerate()]


def test_port_in_use_is_named() -> None:
    with (
        running_devchain() as first,
        pytest.raises(CouldNotBoot, match=f"127.0.0.1:{first.port}"),
        running_devchain(port=first.port),
    ):
        raise AssertionError("two devchains on one port")


def test_serve_mines_on_time_with_reorgs_until_it_is_stopped() -> None:
    options = DevchainOptions(port=0, block_time=0.01, logs_per_block=1, reorg_every=5, reorg_depth=2)

    async def run() -> list[Any]:
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(options, on_ready=ready.set_result, stop=stop))
        async with http_session() as session:
            async with session.ws_connect((await ready).replace("http", "ws")) as client:
                await ask(client, "eth_subscribe", "newHeads")
                heads = [(await client.receive_json())["params"]["result"] for _ in range(12)]
            stop.set()
            await asyncio.wait_for(serving, WITHIN_SECONDS)
        return heads

    heads = asyncio.run(run())
    numbers = [int(head["number"], 16) for head in heads]
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    assert steps == {1, -1}


def test_paused_chain_stands_still_until_resumed() -> None:
    with running_devchain(block_time=0.01, logs_per_block=0) as devchain:
        eventually(lambda: devchain.head().number >= 2, what="blocks by the clock")
        devchain.pause()
        head = devchain.head().number
        devchain.mine()
        assert devchain.head().number == head + 1
        devchain.resume()
        eventually(lambda: devchain.head().number >= head + 3, what="blocks after resume")
