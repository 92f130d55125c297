"""Many exchanges at once on one loop, and the connections that they leave idle."""

import socket
import threading
from contextlib import ExitStack

from hookfarm.event_loop import EventLoop
from hookfarm.http_client.connections import MAX_IDLE_SECONDS
from hookfarm.http_client.outcome import Response
from tests.support.receivers import Receiver, Reply, peer, read_request, running_receiver, wait_for_close
from tests.support.waiting import eventually
from tests.unit.http_client.posting import MAX_IDLE, OK, Exchanges, ObservedLoop, post, run_until, transporting

REPLY = Response(200, None, b"ok")


def silent(connection: socket.socket, _: int) -> None:
    wait_for_close(connection)


def test_hundreds_of_requests_to_one_receiver_are_under_way_at_once() -> None:
    all_there = threading.Event()
    with running_receiver() as receiver, transporting() as transport:
        receiver.default = Reply(after=all_there)
        exchanges = Exchanges(transport)
        for _ in range(200):
            exchanges.send(receiver.url)
        run_until(transport.loop, lambda: len(receiver.received) == 200)
        all_there.set()
        assert exchanges.wait_for(200) == [REPLY] * 200
        assert receiver.connections == 200
        eventually(lambda: receiver.live_connections == MAX_IDLE, what="all others being closed")


def test_one_that_never_answers_delays_no_other() -> None:
    with peer(silent) as hostile, running_receiver() as receiver, transporting() as transport:
        exchanges = Exchanges(transport)
        hanging = exchanges.send(hostile.url)
        for _ in range(50):
            exchanges.send(receiver.url)
        assert exchanges.wait_for(50) == [REPLY] * 50
        hanging.cancel()


def test_hostile_endpoints_spoil_no_result_of_a_good_one() -> None:
    def drips(connection: socket.socket, _: int) -> None:
        read_request(connection)
        gone = threading.Event()
        while True:
            connection.sendall(b"H")
            gone.wait(0.01)

    def floods(connection: socket.socket, _: int) -> None:
        read_request(connection)
        while True:
            connection.sendall(b"a: b\r\n" * 10_000)

    with ExitStack() as stack:
        peers = [stack.enter_context(peer(script)) for script in (silent, drips, floods)]
        receiver = stack.enter_context(running_receiver())
        transport = stack.enter_context(transporting())
        hostile, good = Exchanges(transport), Exchanges(transport)
        for _ in range(30):
            for each in peers:
                hostile.send(each.url, timeout=0.5)
            good.send(receiver.url)
        assert good.wait_for(30) == [REPLY] * 30
        assert {result.status for result in hostile.wait_for(90)} == {None}


def leave_idle(loop: EventLoop, exchanges: Exchanges, receiver: Receiver, count: int) -> list[int]:
    """Leave so many connections idle; return their numbers in the order in which they became so."""
    gates = [threading.Event() for _ in range(count)]
    receiver.reply_with(*(Reply(after=gate) for gate in gates))
    for _ in gates:
        exchanges.send(receiver.url)
    run_until(loop, lambda: len(receiver.received) == count)
    for number, gate in enumerate(gates):
        gate.set()
        exchanges.wait_for(number + 1)
    return [request.connection for request in receiver.received]


def test_the_connection_that_was_used_last_is_used_next() -> None:
    with running_receiver() as receiver, transporting() as transport:
        idle = leave_idle(transport.loop, Exchanges(transport), receiver, 3)
        for _ in range(2):
            post(transport, receiver.url)
        assert [request.connection for request in receiver.received[3:]] == [idle[-1]] * 2


def test_a_crowd_finds_all_idle_connections_and_opens_only_the_missing() -> None:
    with running_receiver() as receiver, transporting() as transport:
        leave_idle(transport.loop, Exchanges(transport), receiver, 3)
        exchanges = Exchanges(transport)
        for _ in range(5):
            exchanges.send(receiver.url)
        exchanges.wait_for(5)
        assert receiver.connections == 5


def test_connections_that_were_idle_for_too_long_are_closed() -> None:
    loop = ObservedLoop()
    with running_receiver() as receiver, transporting(loop=loop) as transport:
        leave_idle(loop, Exchanges(transport), receiver, 3)
        loop.now += MAX_IDLE_SECONDS / 2
        post(transport, receiver.url)
        loop.now += MAX_IDLE_SECONDS / 2 + 1
        transport.expire_idle()
        assert len(loop.watched) == 1
        eventually(lambda: receiver.live_connections == 1, what="the older two being closed")
        loop.now += MAX_IDLE_SECONDS
        transport.expire_idle()
        assert loop.watched == set()


def test_a_connection_that_is_too_old_is_not_used_though_nobody_expired_it() -> None:
    loop = ObservedLoop()
    with running_receiver() as receiver, transporting(loop=loop) as transport:
        post(transport, receiver.url)
        loop.now += MAX_IDLE_SECONDS + 1
        post(transport, receiver.url)
        assert [request.connection for request in receiver.received] == [1, 2]
        assert len(loop.watched) == 1


def test_an_idle_connection_that_the_peer_closes_is_dropped_at_once() -> None:
    loop = ObservedLoop()
    with running_receiver() as receiver, transporting(loop=loop) as transport:
        receiver.reply_with(Reply(close=True))
        post(transport, receiver.url)
        run_until(loop, lambda: not loop.watched)
        assert post(transport, receiver.url) == REPLY
        assert [request.connection for request in receiver.received] == [1, 2]


def test_an_idle_connection_that_the_peer_resets_or_writes_to_is_dropped_at_once() -> None:
    def talks(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(OK)
        answered.wait(20)
        connection.sendall(b"x")
        wait_for_close(connection)

    answered = threading.Event()
    loop = ObservedLoop()
    with peer(talks) as server, transporting(loop=loop) as transport:
        post(transport, server.url)
        assert len(loop.watched) == 1
        answered.set()
        run_until(loop, lambda: not loop.watched)
