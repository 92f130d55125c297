"""One exchange in each of its states: its deadline, its cancellation, and that its result comes once."""

import gc
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from weakref import ref

import pytest

from hookfarm.http_client.exchange import Exchange
from hookfarm.http_client.outcome import Response, Result, TransportError
from hookfarm.http_client.transport import Transport
from hookfarm.security.ssrf import Target, parse
from tests.support.delivery import LOOPBACK
from tests.support.receivers import peer, read_request, running_receiver, wait_for_close
from tests.support.waiting import PATIENCE_SECONDS, eventually
from tests.unit.http_client.posting import (
    GENEROUS,
    OK,
    Exchanges,
    ObservedLoop,
    SilentResolver,
    answering,
    full_listener,
    post,
    request_to,
    run_until,
    transporting,
)

HUGE = b"x" * 8_000_000
"""More than two systems hold for a connection."""
TIMEOUT = 10.0
TIMED_OUT = TransportError("timeout", "no response before the deadline")

Script = Callable[[socket.socket, threading.Event], None]
"""What a peer does with its connection; it sets the event when the exchange has reached its state."""


@dataclass
class Scene:
    """An exchange on a loop whose clock stands still."""

    loop: ObservedLoop
    resolver: SilentResolver
    transport: Transport
    exchanges: Exchanges

    def send(self, url: str, body: bytes = b"{}") -> Exchange:
        return self.exchanges.send(url, TIMEOUT, body)

    @property
    def results(self) -> list[Result]:
        return self.exchanges.results

    def assert_nothing_is_left(self) -> None:
        assert self.loop.timers == 0
        assert self.loop.watched == set()
        assert self.resolver.waiting == 0


@contextmanager
def staged() -> Iterator[Scene]:
    loop, resolver = ObservedLoop(), SilentResolver()
    with transporting(resolver, loop=loop) as transport:
        yield Scene(loop, resolver, transport, Exchanges(transport))


State = Callable[[], AbstractContextManager[tuple[Scene, Exchange]]]


@contextmanager
def resolving() -> Iterator[tuple[Scene, Exchange]]:
    with staged() as scene:
        yield scene, scene.send("http://receiver.test:8080/")


@contextmanager
def connecting() -> Iterator[tuple[Scene, Exchange]]:
    with full_listener() as port, staged() as scene:
        yield scene, scene.send(f"http://127.0.0.1:{port}/")


@contextmanager
def connecting_to_the_first_of_two_addresses() -> Iterator[tuple[Scene, Exchange]]:
    with full_listener() as port, staged() as scene:
        exchange = scene.send(f"http://receiver.test:{port}/")
        scene.resolver.answer("127.0.0.1", "127.0.0.1")
        yield scene, exchange


def at_a_peer(script: Script, scheme: str = "http", kept: bool = False, body: bytes = b"{}") -> State:
    @contextmanager
    def state() -> Iterator[tuple[Scene, Exchange]]:
        reached = threading.Event()

        def serve(connection: socket.socket, _: int) -> None:
            if kept:
                answering(OK)(connection, 1)
            script(connection, reached)

        with peer(serve) as server, staged() as scene:
            url = f"{scheme}://127.0.0.1:{server.port}/"
            if kept:
                assert post(scene.transport, url) == Response(200, None, b"ok")
            exchange = scene.send(url, body)
            run_until(scene.loop, reached.is_set)
            scene.loop.run_once(0)
            yield scene, exchange
            eventually(lambda: server.live_connections == 0, what="the connection being closed")

    return state


def reads_on(connection: socket.socket, reached: threading.Event) -> None:
    connection.recv(1)
    reached.set()
    wait_for_close(connection)


def reads_only_after_the_end(connection: socket.socket, reached: threading.Event) -> None:
    """Its system takes in some megabytes; the rest waits for it to read."""
    connection.recv(1)
    reached.set()
    ended.wait(PATIENCE_SECONDS)
    wait_for_close(connection)


def answers_in_part(connection: socket.socket, reached: threading.Event) -> None:
    read_request(connection)
    connection.sendall(OK[:30])
    reached.set()
    wait_for_close(connection)


ended = threading.Event()

STATES: dict[str, State] = {
    "resolving": resolving,
    "connecting": connecting,
    "connecting to the first of two addresses": connecting_to_the_first_of_two_addresses,
    "handshake": at_a_peer(reads_on, scheme="https"),
    "sending": at_a_peer(reads_only_after_the_end, body=HUGE),
    "waiting": at_a_peer(reads_on),
    "receiving": at_a_peer(answers_in_part),
    "waiting on a kept connection": at_a_peer(reads_on, kept=True),
    "receiving on a kept connection": at_a_peer(answers_in_part, kept=True),
}


@pytest.fixture(autouse=True)
def ended_at_last() -> Iterator[None]:
    ended.clear()
    yield
    ended.set()


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_a_cancelled_exchange_leaves_nothing_behind_and_has_no_result(state: State) -> None:
    with state() as (scene, exchange):
        exchange.cancel()
        scene.assert_nothing_is_left()
        exchange.cancel()
        ended.set()
        scene.loop.now += 2 * TIMEOUT
        scene.loop.run_once(0)
        assert scene.results == []


@pytest.mark.parametrize("name", STATES)
def test_the_deadline_ends_an_exchange_in_each_state_and_leaves_nothing_behind(name: str) -> None:
    with STATES[name]() as (scene, _):
        scene.loop.run_once(0)
        assert scene.results == []
        scene.loop.now += TIMEOUT
        scene.loop.run_once(0)
        scene.assert_nothing_is_left()
        ended.set()
        [result] = scene.results
        if name == "resolving":
            assert isinstance(result, TransportError)
            assert result.kind == "name_not_resolved"
            assert "receiver.test" in result.detail
        else:
            assert result == TIMED_OUT


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_an_exchange_that_waits_keeps_the_loop_quiet(state: State) -> None:
    with state() as (scene, exchange):

        def is_quiet() -> bool:
            before = scene.loop.calls
            for _ in range(3):
                scene.loop.run_once(0)
            return scene.loop.calls == before

        run_until(scene.loop, is_quiet)
        assert scene.results == []
        exchange.cancel()
        ended.set()


@pytest.mark.parametrize("body", [b"{}", HUGE], ids=["small", "huge"])
def test_an_endpoint_that_ends_its_side_without_an_answer_ends_the_exchange(body: bytes) -> None:
    def half_closes(connection: socket.socket, _: int) -> None:
        connection.recv(1)
        connection.shutdown(socket.SHUT_WR)
        ended.wait(PATIENCE_SECONDS)

    with peer(half_closes) as server, staged() as scene:
        scene.send(server.url, body)
        assert scene.exchanges.wait_for(1) == [TransportError("bad_response", "closed without a response")]
        scene.assert_nothing_is_left()
        ended.set()


def test_an_exchange_without_time_ends_before_anything_is_sent() -> None:
    with running_receiver() as receiver, staged() as scene:
        post(scene.transport, receiver.url, body=b"first")
        assert post(scene.transport, receiver.url, timeout=0.0, body=b"late") == TIMED_OUT
        assert post(scene.transport, receiver.url, timeout=-1.0, body=b"late") == TIMED_OUT
        post(scene.transport, receiver.url, body=b"last")
        assert [request.body for request in receiver.received] == [b"first", b"last"]


def test_a_caller_that_fails_while_it_waits_leaves_nothing_open() -> None:
    def fail() -> bool:
        raise KeyboardInterrupt

    with peer(lambda connection, _: wait_for_close(connection)) as server, staged() as scene:
        with pytest.raises(KeyboardInterrupt):
            post(scene.transport, server.url, is_cancelled=fail)
        scene.assert_nothing_is_left()


@pytest.fixture
def without_garbage_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_garbage_collection")
def test_an_exchange_that_has_ended_is_freed_at_once() -> None:
    with running_receiver() as receiver, staged() as scene:
        for _ in range(2):
            exchange = scene.send(receiver.url)
            scene.exchanges.wait_for(1)
            scene.results.clear()
            freed = ref(exchange)
            del exchange
            assert freed() is None


def test_a_name_that_is_resolved_late_leaves_only_the_rest_of_the_time() -> None:
    with full_listener() as port, staged() as scene:
        scene.send(f"http://receiver.test:{port}/")
        scene.loop.now += 0.9 * TIMEOUT
        scene.resolver.answer("127.0.0.1")
        scene.loop.now += 0.1 * TIMEOUT
        scene.loop.run_once(0)
        assert scene.results == [TIMED_OUT]


def test_each_address_has_its_share_of_the_time_left() -> None:
    with running_receiver() as receiver, full_listener("127.0.0.2", receiver.port), staged() as scene:
        scene.send(f"http://receiver.test:{receiver.port}/")
        scene.resolver.answer("127.0.0.2", "127.0.0.1")
        scene.loop.now += 0.49 * TIMEOUT
        scene.loop.run_once(0)
        assert receiver.connections == 0
        scene.loop.now += 0.02 * TIMEOUT
        assert scene.exchanges.wait_for(1) == [Response(200, None, b"ok")]
        assert scene.loop.timers == 0


@pytest.mark.parametrize(
    ("pieces", "status"),
    [((OK,), 200), ((OK, OK), 200), ((OK, b"garbage"), 200), ((b"garbage", OK), None), ((OK[:30],), None)],
)
def test_a_result_comes_once_whatever_follows(pieces: tuple[bytes, ...], status: int | None) -> None:
    with peer(answering(*pieces)) as server, staged() as scene:
        scene.send(server.url)
        scene.exchanges.wait_for(1)
        eventually(lambda: server.live_connections == 0, what="the peer's end")
        for _ in range(3):
            scene.loop.now += TIMEOUT
            scene.loop.run_once(0)
        assert [result.status for result in scene.results] == [status]
        scene.assert_nothing_is_left()


def test_an_error_of_the_caller_is_not_taken_for_one_of_the_endpoint() -> None:
    seen: list[Result] = []

    def on_result(_: Exchange, result: Result) -> None:
        seen.append(result)
        raise OSError("disk full")

    with running_receiver() as receiver, staged() as scene:
        target = parse(receiver.url, LOOPBACK)
        scene.transport.send(target, request_to(target), TIMEOUT, on_result)
        with pytest.raises(OSError, match="disk full"):
            run_until(scene.loop, lambda: False)
        assert seen == [Response(200, None, b"ok")]


def test_a_result_may_come_before_send_returns() -> None:
    with staged() as scene:
        target = Target("http", "10.0.0.1", 80, "/")
        exchange = scene.transport.send(target, b"", TIMEOUT, lambda _, result: scene.results.append(result))
        assert [result.status_or_error for result in scene.results] == ["address_refused"]
        scene.assert_nothing_is_left()
        exchange.cancel()


def test_a_callback_may_start_the_next_exchange_on_the_same_connection() -> None:
    with running_receiver() as receiver, staged() as scene:
        target = parse(receiver.url, LOOPBACK)

        def send(_: object, result: Result) -> None:
            scene.results.append(result)
            if len(scene.results) < 50:
                scene.transport.send(target, request_to(target), TIMEOUT, send)

        scene.transport.send(target, request_to(target), TIMEOUT, send)
        run_until(scene.loop, lambda: len(scene.results) == 50)
        assert scene.results == [Response(200, None, b"ok")] * 50
        assert receiver.connections == 1


def test_a_callback_may_cancel_other_exchanges_that_are_ready_as_well() -> None:
    with running_receiver() as receiver, staged() as scene:
        target = parse(receiver.url, LOOPBACK)
        exchanges: list[Exchange] = []

        def cancel_all(_: Exchange, result: Result) -> None:
            scene.results.append(result)
            for exchange in exchanges:
                exchange.cancel()

        exchanges.extend(scene.transport.send(target, request_to(target), TIMEOUT, cancel_all) for _ in range(20))
        run_until(scene.loop, lambda: scene.results)
        scene.loop.run_once(0)
        assert scene.results == [Response(200, None, b"ok")]
        assert scene.loop.timers == 0


def test_a_response_to_a_request_that_was_not_read_whole_counts() -> None:
    """The endpoint refuses it and closes, which resets the connection under the rest of the request."""

    def refuse(connection: socket.socket, _: int) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")

    with peer(refuse) as server, staged() as scene:
        for _ in range(20):
            scene.send(server.url, HUGE)
        assert scene.exchanges.wait_for(20) == [Response(413)] * 20
        scene.assert_nothing_is_left()


def test_a_farewell_on_a_kept_connection_is_no_response_to_a_request_that_could_not_be_sent() -> None:
    """Many servers send a 408 to a connection that was idle, and close it."""

    def times_out(connection: socket.socket, number: int) -> None:
        answering(OK)(connection, number)
        if number == 1:
            connection.sendall(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with peer(times_out) as server, staged() as scene:
        assert post(scene.transport, server.url) == Response(200, None, b"ok")
        eventually(lambda: server.live_connections == 0, what="the reset")
        scene.send(server.url)
        assert scene.exchanges.wait_for(1) == [Response(200, None, b"ok")]


def test_a_large_request_is_sent_as_it_is_read_and_its_connection_kept() -> None:
    body = bytes(range(256)) * 20_000
    with running_receiver() as receiver, staged() as scene:
        for _ in range(2):
            assert post(scene.transport, receiver.url, GENEROUS, body) == Response(200, None, b"ok")
        assert [request.body == body for request in receiver.received] == [True, True]
        assert receiver.connections == 1
