"""A connection to Redis on an event loop: order, batches, losses."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from hookfarm.event_loop import EventLoop
from hookfarm.store.clients import pack
from hookfarm.store.loop_connection import LoopConnection
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    made = EventLoop()
    yield made
    made.close()


class Client:
    """A connection whose replies and losses are kept."""

    def __init__(self, url: str, loop: EventLoop) -> None:
        self.loop = loop
        self.replies: list[list[Any]] = []
        self.losses: list[redis.RedisError] = []
        self.connection = LoopConnection(url, loop, self.losses.append)
        self.connection.connect()

    def request(self, *commands: tuple[str | bytes | int, ...], within: float = 30.0) -> None:
        packed = b"".join(map(pack, commands))
        self.connection.request(packed, self.replies.append, len(commands), within)

    def wait(self, what: str = "replies") -> None:
        wanted = len(self.replies) + len(self.losses) + 1
        self.connection.flush()

        def done() -> bool:
            self.loop.run_once(0.05)
            return len(self.replies) + len(self.losses) >= wanted

        eventually(done, what=what)


@pytest.fixture
def talking(redis_url: str, loop: EventLoop) -> Iterator[Client]:
    made = Client(redis_url, loop)
    yield made
    made.connection.close()


def test_replies_come_in_order_and_together_for_each_request(talking: Client) -> None:
    talking.request(("ECHO", "a"), ("ECHO", "b"))
    talking.request(("ECHO", "c"))
    assert talking.connection.is_waiting
    while len(talking.replies) < 2:
        talking.wait()
    assert talking.replies == [[b"a", b"b"], [b"c"]]
    assert not talking.connection.is_waiting


def test_nothing_is_sent_before_the_flush(talking: Client, client: Any) -> None:
    talking.request(("SET", "sent", 1))
    talking.loop.run_once(0.05)
    assert not client.exists("sent")
    talking.wait()
    assert client.get("sent") == b"1"


def test_an_error_reply_is_a_value_and_no_loss(talking: Client) -> None:
    talking.request(("NONSENSE",), ("PING",))
    talking.wait()
    [[error, pong]] = talking.replies
    assert isinstance(error, redis.ResponseError)
    assert pong == b"PONG"
    assert not talking.losses


def test_a_request_and_a_reply_larger_than_any_buffer_arrive_whole(talking: Client) -> None:
    large = os.urandom(5_000_000)
    talking.request(("SET", "large", large), ("GET", "large"))
    talking.wait()
    assert talking.replies == [[b"OK", large]]


def test_a_lost_connection_is_reported_once_and_forgets_its_requests(talking: Client, client: Any) -> None:
    talking.request(("BRPOP", "nothing", 0))
    talking.request(("PING",))
    talking.connection.flush()
    eventually(lambda: client.client_list(_type="normal"), what="the connection")
    client.client_kill_filter(_type="normal", skipme=True)
    talking.wait("the loss")
    assert [type(each) for each in talking.losses] == [redis.ConnectionError]
    assert not talking.connection.is_connected
    assert not talking.connection.is_waiting
    assert talking.replies == []


def test_it_can_be_connected_again(talking: Client, client: Any) -> None:
    client.client_kill_filter(_type="normal", skipme=True)
    talking.request(("PING",))
    talking.wait("the loss")
    talking.connection.connect()
    talking.request(("ECHO", "again"))
    talking.wait()
    assert talking.replies == [[b"again"]]


def test_a_reply_that_does_not_come_in_time_is_a_loss(redis_server: RedisServer, talking: Client) -> None:
    assert redis_server.process is not None
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    try:
        talking.request(("PING",), within=0.2)
        talking.wait("the time-out")
    finally:
        os.kill(redis_server.process.pid, signal.SIGCONT)
    assert [type(each) for each in talking.losses] == [redis.TimeoutError]


def test_a_reply_that_is_not_urgent_waits_for_receive(talking: Client, client: Any) -> None:
    talking.connection.request(pack(("INCR", "counted")), talking.replies.append, is_urgent=False)
    talking.connection.flush()
    eventually(lambda: client.get("counted") == b"1", what="the command done")
    talking.loop.run_once(0.05)
    assert not talking.replies

    def received() -> bool:
        talking.connection.receive()
        return bool(talking.replies)

    eventually(received, what="the reply")
    assert talking.replies == [[1]]


def test_an_urgent_request_brings_the_replies_before_it(talking: Client) -> None:
    talking.connection.request(pack(("ECHO", "late")), talking.replies.append, is_urgent=False)
    talking.connection.flush()
    talking.request(("ECHO", "soon"))
    while len(talking.replies) < 2:
        talking.wait()
    assert talking.replies == [[b"late"], [b"soon"]]


def test_a_connection_that_is_lost_while_nothing_is_urgent_is_reported(talking: Client, client: Any) -> None:
    talking.connection.request(pack(("BRPOP", "nothing", 0)), talking.replies.append, is_urgent=False)
    talking.connection.flush()
    eventually(lambda: client.info("clients")["blocked_clients"] == 1, what="the connection blocked")
    client.client_kill_filter(_type="normal", skipme=True)

    def lost() -> bool:
        talking.connection.receive()
        return bool(talking.losses)

    eventually(lost, what="the loss")
    assert not talking.connection.is_connected


def test_a_callback_may_close_the_connection(talking: Client) -> None:
    seen: list[Any] = []

    def close(replies: list[Any]) -> None:
        seen.append(replies)
        talking.connection.close()

    talking.connection.request(pack(("PING",)), close)
    talking.request(("PING",))
    talking.connection.flush()
    while not seen:
        talking.loop.run_once(0.05)
    assert not talking.replies
    assert not talking.losses
