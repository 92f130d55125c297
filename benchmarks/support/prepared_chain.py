"""A node with prepared answers in its own process, so that its own work is not measured.

    python -m support.prepared_chain BLOCKS LOGS_PER_BLOCK [SECONDS [CHAIN_ID…]]

The node prints its WebSocket URL when it listens. Without SECONDS, its head is the last block. With SECONDS, its
head is block 0 until it reads a line from stdin. Then it announces a block every SECONDS and prints the time of
each announcement (Unix ns). Several chains have the same blocks, each at the URL followed by its id. They announce
in turns. After the last announcement the node prints the number of requests for each chain since the first one.
Blocks contain ERC-20 transfers of few tokens among many accounts, with correct blooms and invented hashes. A block
has LOGS_PER_BLOCK logs on average, 50 % more or less: a constant round number would look like a truncated answer.
"""

import asyncio
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from hookfarm.abi import bloom

CHAIN_ID = 31337
TOKENS = 200
ACCOUNTS = 50_000
SETTLE_SECONDS = 1.0
"""Time after the last announcement until the requests are counted."""
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


def hash_of(number: int) -> str:
    return f"0x{number + (1 << 200):064x}"


def token(number: int) -> str:
    """Return the address of a token, by its number below TOKENS."""
    return f"0x{number + (7 << 150):040x}"


class PreparedChain:
    """Blocks 0 to `blocks`, the same in each run. Answers are prepared bytes; only the request's id is added."""

    def __init__(self, blocks: int, logs_per_block: int) -> None:
        self._draw = random.Random(1)
        self._of_token: list[list[tuple[int, int]]] = [[] for _ in range(TOKENS)]
        self.head = blocks
        self._logs: list[bytes] = [b""]
        self._headers: list[bytes] = [self._header(0, 0)]
        self.events = 0
        for number in range(1, blocks + 1):
            count = self._draw.randint(logs_per_block // 2, logs_per_block * 3 // 2)
            logs = [self._log(number, index) for index in range(count)]
            self.events += count
            self._logs.append(orjson.dumps(logs)[1:-1])
            values = {value for log in logs for value in (log["address"], *log["topics"])}
            self._headers.append(self._header(number, bloom.of_values(values)))
        self._answers: Mapping[str, Callable[[Sequence[Any]], bytes]] = {
            "eth_subscribe": lambda _: b'"0x1"',
            "eth_blockNumber": lambda _: orjson.dumps(hex(self.head)),
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getLogs": self._get_logs,
        }

    def logs_of(self, first_tokens: int) -> list[tuple[int, int]]:
        """Return (block, index) of the logs of the first tokens."""
        return sorted(log for logs in self._of_token[:first_tokens] for log in logs)

    def announcement(self) -> str:
        """Return the `newHeads` notification of the head."""
        head = self._headers[self.head].decode()
        params = f'{{"subscription":"0x1","result":{head}}}'
        return f'{{"jsonrpc":"2.0","method":"eth_subscription","params":{params}}}'

    def answer(self, request: Any, chain_id: int = CHAIN_ID) -> bytes:
        """Return the answer to one message; a batch has one answer."""
        if isinstance(request, list):
            return b"[" + b",".join(self.answer(each, chain_id) for each in request) + b"]"
        if request["method"] == "eth_chainId":
            result = orjson.dumps(hex(chain_id))
        else:
            result = self._answers[request["method"]](request["params"])
        return b'{"jsonrpc":"2.0","id":%d,"result":%b}' % (request["id"], result)

    def _block_by_number(self, parameters: Sequence[Any]) -> bytes:
        tag = parameters[0]
        return self._headers[int(tag, 16)] if tag.startswith("0x") else self._headers[self.head]

    def _get_logs(self, parameters: Sequence[Any]) -> bytes:
        criteria = parameters[0]
        if "blockHash" in criteria:
            return b"[" + self._logs[int(criteria["blockHash"], 16) - (1 << 200)] + b"]"
        first, last = int(criteria["fromBlock"], 16), int(criteria["toBlock"], 16)
        return b"[" + b",".join(self._logs[first : last + 1]) + b"]"

    def _header(self, number: int, logs_bloom: int) -> bytes:
        return orjson.dumps(
            {
                "number": hex(number),
                "hash": hash_of(number),
                "parentHash": hash_of(number - 1),
                "timestamp": hex(1_700_000_000 + number),
                "logsBloom": f"0x{bloom.to_bytes(logs_bloom).hex()}",
            }
        )

    def _log(self, number: int, index: int) -> dict[str, Any]:
        which, sender, to = (self._draw.randrange(n) for n in (TOKENS, ACCOUNTS, ACCOUNTS))
        self._of_token[which].append((number, index))
        return {
            "address": token(which),
            "topics": [TRANSFER, f"0x{sender + (9 << 150):064x}", f"0x{to + (9 << 150):064x}"],
            "data": f"0x{self._draw.getrandbits(80):064x}",
            "blockHash": hash_of(number),
            "blockNumber": hex(number),
            "blockTimestamp": hex(1_700_000_000 + number),
            "transactionHash": f"0x{self._draw.getrandbits(256):064x}",
            "transactionIndex": hex(index),
            "logIndex": hex(index),
            "removed": False,
        }


class PreparedServer:
    """Server of one or more chains with the same blocks."""

    def __init__(self, chain: PreparedChain, chain_ids: Sequence[int]) -> None:
        self._chain = chain
        self._clients: dict[int, set[web.WebSocketResponse]] = {chain_id: set() for chain_id in chain_ids}
        self._heads = dict.fromkeys(self._clients, chain.head)
        self._requests = dict.fromkeys(self._clients, 0)

    async def run(self, every_seconds: float | None) -> None:
        application = web.Application()
        application.router.add_get("/{chain_id:[0-9]*}", self._talk)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"ws://127.0.0.1:{runner.addresses[0][1]}/", flush=True)
        if every_seconds is not None:
            await self._announce(every_seconds)
        await asyncio.Event().wait()

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        chain_id = int(request.match_info["chain_id"] or CHAIN_ID)
        client = web.WebSocketResponse(compress=False)
        await client.prepare(request)
        self._clients[chain_id].add(client)
        async for message in client:
            if message.type == WSMsgType.TEXT:
                self._requests[chain_id] += 1
                self._chain.head = self._heads[chain_id]
                answer = self._chain.answer(orjson.loads(message.data), chain_id)
                await client.send_frame(answer, WSMsgType.TEXT)
        self._clients[chain_id].discard(client)
        return client

    async def _announce(self, every_seconds: float) -> None:
        """Announce all blocks: block 1 of each chain in turn, then block 2, at constant intervals."""
        last = self._chain.head
        self._heads = dict.fromkeys(self._heads, 0)
        await asyncio.to_thread(sys.stdin.readline)
        self._requests = dict.fromkeys(self._requests, 0)
        interval, due = every_seconds / len(self._heads), time.monotonic()
        for number in range(1, last + 1):
            for chain_id, clients in self._clients.items():
                due += interval
                await asyncio.sleep(due - time.monotonic())
                self._heads[chain_id] = self._chain.head = number
                print(time.time_ns(), flush=True)
                for client in clients:
                    await client.send_str(self._chain.announcement())
        await asyncio.sleep(SETTLE_SECONDS)
        print(*self._requests.values(), flush=True)


if __name__ == "__main__":
    blocks, logs_per_block, *more = sys.argv[1:]
    pause, ids = float(more[0]) if more else None, [int(chain_id) for chain_id in more[1:]]
    asyncio.run(PreparedServer(PreparedChain(int(blocks), int(logs_per_block)), ids or [CHAIN_ID]).run(pause))
