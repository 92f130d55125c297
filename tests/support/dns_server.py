"""A DNS server on loopback, over UDP and TCP of one free port, served by the test's event loop."""

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

from hookfarm.event_loop import READABLE, EventLoop

A, AAAA, CNAME = 1, 28, 5
NO_ERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
_RESPONSE = 0x8180
_TRUNCATED = 0x0200


@dataclass(frozen=True)
class Question:
    id: int
    name: str
    type: int
    section: bytes
    """The question in wire format, which each response repeats."""
    over_tcp: bool


Behaviour = Callable[[Question], bytes | None]
"""Function that returns the response to a question, or None to stay silent."""


def response(question: Question, code: int = NO_ERROR, records: tuple[bytes, ...] = (), flags: int = 0) -> bytes:
    header = struct.pack(">6H", question.id, _RESPONSE | flags | code, 1, len(records), 0, 0)
    return header + question.section + b"".join(records)


def addresses(*texts: str, ttl: int = 60) -> Behaviour:
    """Answer with the addresses of the requested family."""

    def answer(question: Question) -> bytes:
        found = [ip_address(text) for text in texts]
        wanted = [each for each in found if question.type == (A if each.version == 4 else AAAA)]
        return response(question, records=tuple(_record(question.type, each.packed, ttl) for each in wanted))

    return answer


def alias(of: str, ttl: int, address: str, address_ttl: int) -> Behaviour:
    """Answer with a CNAME to `of`, and its address."""

    def answer(question: Question) -> bytes:
        records = [_record(CNAME, _encoded(of), ttl)]
        if question.type == A:
            records.append(_record(A, ip_address(address).packed, address_ttl, _encoded(of)))
        return response(question, records=tuple(records))

    return answer


def failing(code: int) -> Behaviour:
    return lambda question: response(question, code)


def silent(_: Question) -> None:
    """Never answer."""


def garbage(question: Question) -> bytes:
    """Answer with an id followed by bytes that are not a DNS message."""
    return struct.pack(">H", question.id) + b"\xff" * 40


def foreign(*texts: str) -> Behaviour:
    """Answer a different question with the same id."""
    answer = addresses(*texts)

    def respond(question: Question) -> bytes | None:
        section = _encoded("other.test") + question.section[-4:]
        return answer(Question(question.id, "other.test", question.type, section, question.over_tcp))

    return respond


def truncated(*texts: str) -> Behaviour:
    """Answer completely only over TCP."""
    complete = addresses(*texts)
    return lambda question: complete(question) if question.over_tcp else response(question, flags=_TRUNCATED)


class DnsServer:
    """Server that answers each name by its entry in `behaviours`; other names do not exist."""

    def __init__(self, loop: EventLoop) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self.asked: list[tuple[str, int]] = []
        """Name and record type of each question."""
        self.late: set[str] = set()
        """Names whose responses wait for `answer_late`."""
        self._waiting: list[Callable[[], object]] = []
        self._loop = loop
        self._udp, self._tcp = _sockets()
        self._connections: set[socket.socket] = set()
        loop.watch(self._udp.fileno(), READABLE, self._read_datagrams)
        loop.watch(self._tcp.fileno(), READABLE, self._accept)

    @property
    def port(self) -> int:
        port: int = self._udp.getsockname()[1]
        return port

    @property
    def resolv_conf(self) -> str:
        """Lines for this server in a resolv.conf."""
        return f"nameserver 127.0.0.1:{self.port}\n"

    def times_asked(self, name: str, record_type: int = A) -> int:
        return self.asked.count((name, record_type))

    def answer_late(self, count: int) -> None:
        """Send the first `count` waiting responses, which must fit into a socket's buffer."""
        for send in self._waiting[:count]:
            send()
        del self._waiting[:count]

    def close(self) -> None:
        for connection in (self._udp, self._tcp, *self._connections):
            self._loop.unwatch(connection.fileno())
            connection.close()

    def _read_datagrams(self, _: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                message, client = self._udp.recvfrom(4096)
                self._respond(message, False, partial(_send_datagram, self._udp, client))

    def _accept(self, _: int) -> None:
        connection, _address = self._tcp.accept()
        self._connections.add(connection)
        self._loop.watch(connection.fileno(), READABLE, partial(self._read_connection, connection))

    def _read_connection(self, connection: socket.socket, _: int) -> None:
        """Answer the received questions, which are small and few enough to arrive complete."""
        received = connection.recv(4096)
        if not received:
            self._loop.unwatch(connection.fileno())
            self._connections.remove(connection)
            connection.close()
        while received:
            length = struct.unpack_from(">H", received)[0]
            self._respond(received[2 : 2 + length], True, partial(_send_prefixed, connection))
            received = received[2 + length :]

    def _respond(self, message: bytes, over_tcp: bool, send: Callable[[bytes], object]) -> None:
        question = _question(message, over_tcp)
        self.asked.append((question.name, question.type))
        answer = self.behaviours.get(question.name, failing(NXDOMAIN))(question)
        if answer is not None and question.name in self.late:
            self._waiting.append(partial(send, answer))
        elif answer is not None:
            send(answer)


@contextlib.contextmanager
def running_dns_server(loop: EventLoop) -> Iterator[DnsServer]:
    server = DnsServer(loop)
    try:
        yield server
    finally:
        server.close()


def _sockets() -> tuple[socket.socket, socket.socket]:
    """Return UDP and TCP sockets of one port that is free for both."""
    while True:
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
        else:
            return udp, tcp


def _send_datagram(udp: socket.socket, client: tuple[str, int], answer: bytes) -> None:
    udp.sendto(answer, client)


def _send_prefixed(connection: socket.socket, answer: bytes) -> None:
    connection.sendall(struct.pack(">H", len(answer)) + answer)


def _question(message: bytes, over_tcp: bool) -> Question:
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode())
        at += 1 + message[at]
    record_type = struct.unpack_from(">H", message, at + 1)[0]
    message_id = struct.unpack_from(">H", message)[0]
    return Question(message_id, ".".join(labels).lower(), record_type, message[12 : at + 5], over_tcp)


def _record(record_type: int, data: bytes, ttl: int, name: bytes = b"\xc0\x0c") -> bytes:
    """Return a record of class IN; the default name is a pointer to the question's."""
    return name + struct.pack(">HHIH", record_type, 1, ttl, len(data)) + data


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
