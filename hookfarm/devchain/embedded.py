"""A devchain inside a test: the real server on its own thread, controlled by method calls."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from hookfarm.devchain.block import DevBlock
from hookfarm.devchain.chain import DevchainOptions, Reorg, with_profile
from hookfarm.devchain.control import calls_of
from hookfarm.devchain.faults import FaultValue
from hookfarm.devchain.node import DevNode, Watcher, mine_until
from hookfarm.devchain.serializers import JsonObject, logs_json, native_transfers_json
from hookfarm.devchain.server import DevchainServer, listening
from hookfarm.devchain.transaction import Call, Log

__all__ = ["DevBlock", "Log", "Reorg", "RunningDevchain", "running_devchain"]

T = TypeVar("T")

CALL_SECONDS = 30.0
"""Longer than any operation; a test that hangs fails with its traceback."""


class RunningDevchain:
    """Handle of a running devchain. Methods may be called from any thread; they block until done."""

    def __init__(self, node: DevNode, server: DevchainServer, loop: asyncio.AbstractEventLoop) -> None:
        self._node = node
        self._server = server
        self._loop = loop
        self.chain_id = node.options.chain_id
        self.port = server.port
        self.http_url = server.http_url
        self.ws_url = server.ws_url
        self._reservation: socket.socket | None = None

    def mine(self, n: int = 1) -> list[DevBlock]:
        """Mine `n` blocks of `logs_per_block` transfers each."""
        return self._call(lambda: self._node.mine(n))

    def mine_logs(self, logs: Sequence[Log], per_transaction: int = 1) -> DevBlock:
        """Mine one block with exactly these logs, `per_transaction` per transaction."""
        calls = calls_of(logs, per_transaction)
        return self._call(lambda: self._node.mine_calls(calls))

    def mine_calls(self, calls: Sequence[Call]) -> DevBlock:
        """Mine one block with exactly these transactions."""
        return self._call(lambda: self._node.mine_calls(calls))

    def reorg(
        self,
        depth: int,
        *,
        length: int | None = None,
        logs: Sequence[Sequence[Log]] = (),
        same_transactions: bool = False,
    ) -> Reorg:
        """Replace the last `depth` blocks by `length` new ones (default: `depth`).

        The first new blocks get `logs`, or with `same_transactions` the contents of the replaced blocks.
        """
        contents = [calls_of(each) for each in logs]
        return self._call(
            lambda: self._node.reorg(depth, length=length, contents=contents, same_transactions=same_transactions)
        )

    def switch_to(self, block_hash: str) -> Reorg:
        """Make a replaced block the head again, with its branch."""
        return self._call(lambda: self._node.switch_to(block_hash))

    def head(self) -> DevBlock:
        return self._call(lambda: self._node.chain.head)

    def block(self, number: int) -> DevBlock | None:
        """Return the canonical block with this number; None if there is none."""
        return self._call(lambda: self._node.chain.block(number))

    def canonical_logs(self) -> list[JsonObject]:
        """Return all canonical logs, without faults and pruned blocks."""
        blocks = self._call(lambda: list(self._node.chain.canonical_blocks()))
        return [log for block in blocks for log in logs_json(block)]

    def canonical_transfers(self) -> list[JsonObject]:
        """Return all canonical transactions that moved the chain's currency, without pruned blocks."""
        blocks = self._call(lambda: list(self._node.chain.canonical_blocks()))
        return [transfer for block in blocks for transfer in native_transfers_json(block)]

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` with every later change of the chain, on the devchain's thread."""
        self._call(lambda: self._node.watchers.append(watcher))

    def pause(self) -> None:
        """Pause mining by the clock until `resume`; `mine` still works."""
        self._call(lambda: setattr(self._node, "paused", True))

    def resume(self) -> None:
        self._call(lambda: setattr(self._node, "paused", False))

    def set_fault(self, kind: str, /, count: int | None = None, **parameters: FaultValue) -> None:
        """Add a fault of `faults.KINDS` for `count` occasions; None = until cleared."""
        self._call(lambda: self._node.set_fault(kind, count, **parameters))

    def clear_faults(self, kind: str | None = None) -> None:
        self._call(lambda: self._node.faults.clear(kind))

    def drop_connections(self) -> int:
        """Reset every open WebSocket once; return their number."""
        return self._call(self._node.drop_connections)

    def stats(self) -> dict[str, Any]:
        """Return the counters of the node; see `DevNode.stats`."""
        return self._call(self._node.stats)

    def go_down(self) -> None:
        """Close the port and all connections. The chain is kept, and mining still works.

        The port stays reserved, so that the kernel does not assign it to sockets that bind to port 0.
        """
        self._await(self._server.close())
        if self._reservation is None:
            self._reservation = _reserve_port(self._node.options.host, self.port)

    def come_up(self) -> None:
        """Listen on the same port again."""
        self._await(self._server.start())
        self.release_port()

    def release_port(self) -> None:
        """Release the port's reservation, if any."""
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None

    @contextmanager
    def peer(self) -> Iterator["RunningDevchain"]:
        """Yield another node of the same chain, with its own port, faults and counters. It does not mine."""
        node = DevNode(replace(self._node.options, port=0), chain=self._node.chain)
        server = DevchainServer(node)
        self._await(server.start())
        self._call(lambda: self._node.peers.append(node))
        running = RunningDevchain(node, server, self._loop)
        try:
            yield running
        finally:
            self._call(lambda: self._node.peers.remove(node))
            self._await(server.close())
            running.release_port()

    @contextmanager
    def replaced(self, *, alternating: bool = False, **options: Any) -> Iterator["RunningDevchain"]:
        """Answer HTTP requests from another chain with these options, and yield its handle. It does not mine.

        Open connections stay open. `alternating`: every other request is answered from this chain.
        """
        node = DevNode(replace(self._node.options, **options))
        nodes = [node, self._node] if alternating else [node]
        self._call(lambda: self._server.serve(*nodes))
        try:
            yield RunningDevchain(node, self._server, self._loop)
        finally:
            self._call(lambda: self._server.serve(self._node))

    def _call(self, operation: Callable[[], T]) -> T:
        async def run() -> T:
            return operation()

        return self._await(run())

    def _await(self, operation: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(operation, self._loop).result(CALL_SECONDS)


_Started = tuple[RunningDevchain, Callable[[], object]]
"""The running devchain, and the function that stops it."""


@contextmanager
def running_devchain(
    *,
    port: int = 0,
    block_time: float = 0,
    like: str = "",
    **others: Any,
) -> Iterator[RunningDevchain]:
    """Run a devchain on a free port of 127.0.0.1; by default it mines on demand only.

    `like` is the name of a profile (see `profiles.PROFILES`), such as "polygon". `others` are further fields of
    DevchainOptions; those not given are the profile's. The end of the context stops the thread and closes the port
    and all connections.
    """
    options = with_profile(like, {"port": port, "block_time": block_time, **others})
    started: Future[_Started] = Future()
    thread = threading.Thread(target=_run, args=(options, started), name="devchain", daemon=True)
    thread.start()
    devchain, stop = started.result()
    try:
        yield devchain
    finally:
        stop()
        thread.join()
        devchain.release_port()


def _run(options: DevchainOptions, started: "Future[_Started]") -> None:
    """Run the server in the thread; resolve `started` once, with the handle or an exception."""
    try:
        asyncio.run(_serve(options, started))
    except Exception as problem:
        if started.done():
            raise
        started.set_exception(problem)


async def _serve(options: DevchainOptions, started: "Future[_Started]") -> None:
    node, stop, loop = DevNode(options), asyncio.Event(), asyncio.get_running_loop()
    async with listening(node) as server:
        devchain = RunningDevchain(node, server, loop)
        started.set_result((devchain, lambda: loop.call_soon_threadsafe(stop.set)))
        await mine_until(node, stop)


def _reserve_port(host: str, port: int) -> socket.socket | None:
    """Return a socket bound to the port; None if another process has taken it."""
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reservation.bind((host, port))
    except OSError:
        reservation.close()
        return None
    return reservation
