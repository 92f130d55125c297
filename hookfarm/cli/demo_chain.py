"""The demo's chain: a devchain as a child of the farm, and how the demo speaks with it."""

import asyncio
import contextlib
import http.client
import itertools
from typing import Any

import orjson

from hookfarm.devchain.options import DevchainOptions
from hookfarm.errors import ChainUnavailable
from hookfarm.farm.child import Child

SERVICE = "devchain"
HEARTBEAT_SECONDS = 0.5
HEARTBEAT_PROMISE_SECONDS = 5.0
"""Blocks of 10,000 logs take a second or two to make."""
TIMEOUT_SECONDS = 10.0
MOST_BLOCKS = 50
"""How many blocks' logs are asked for at once."""


def run(child: Child, options: DevchainOptions) -> None:
    """The child's whole life. It starts paused, so that nothing is emitted before somebody counts."""
    asyncio.run(_live(child, options))


async def _live(child: Child, options: DevchainOptions) -> None:
    from hookfarm.devchain.node import DevNode, mine_until
    from hookfarm.devchain.server import listening

    stop, loop, node = asyncio.Event(), asyncio.get_running_loop(), DevNode(options)
    node.paused = True
    loop.add_reader(child.stop_fd, stop.set)
    async with listening(node):
        child.up()
        mining = asyncio.create_task(mine_until(node, stop))
        while not stop.is_set() and not mining.done():
            child.slot.promise(HEARTBEAT_PROMISE_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), HEARTBEAT_SECONDS)
        await mining
    loop.remove_reader(child.stop_fd)


class DemoChain:
    """A client of a devchain; ChainUnavailable where it does not answer."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        self._ids = itertools.count(1)

    def pause(self) -> None:
        """No more blocks by the clock."""
        self._call("devchain_pause")

    def begin(self) -> None:
        """A first block now, and then by the clock."""
        self._call("devchain_mine")
        self._call("devchain_resume")

    def head(self) -> int:
        return int(self._call("eth_blockNumber"), 16)

    def logs(self, first: int, last: int) -> list[str]:
        """Every log of the blocks from `first` to `last`, as `<block hash>:<log index>`."""
        found: list[str] = []
        for start in range(first, last + 1, MOST_BLOCKS):
            end = min(last, start + MOST_BLOCKS - 1)
            raw = self._call("eth_getLogs", {"fromBlock": hex(start), "toBlock": hex(end)})
            found += (f"{log['blockHash']}:{int(log['logIndex'], 16)}" for log in raw)
        return found

    def close(self) -> None:
        self._connection.close()

    def _call(self, method: str, *parameters: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": parameters}
        try:
            self._connection.request("POST", "/", orjson.dumps(request), {"Content-Type": "application/json"})
            answer = orjson.loads(self._connection.getresponse().read())
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as error:
            self._connection.close()
            raise ChainUnavailable(f"devchain: {method}: {error or type(error).__name__}") from error
        if "error" in answer:
            raise ChainUnavailable(f"devchain: {method}: {answer['error'].get('message')}")
        return answer["result"]
