"""The control: what a worker pool without a ledger does. BRPOP, POST, next.

    python -m tests.chaos.brpop_pool REDIS_URL LIST PORT WORKERS

It is as well supervised as the farm: a worker that is killed is replaced at once. What it loses it loses because
the job was nowhere but in the worker.
"""

import os
import signal
import socket
import sys

from setproctitle import setproctitle

from hookfarm.store.clients import PipelinedConnection
from tests.chaos.endpoint_secrets import CONTROL

BLOCK_SECONDS = 1.0


def work(url: str, name: str, port: int) -> None:
    """One worker's endless life. An element is a webhook-id."""
    connection = PipelinedConnection(url, BLOCK_SECONDS)
    receiver = socket.create_connection(("127.0.0.1", port))
    while True:
        [popped] = connection.execute(("BRPOP", name, BLOCK_SECONDS))
        if popped is not None:
            post(receiver, popped[1])


def post(receiver: socket.socket, webhook_id: bytes) -> None:
    body = b"{}"
    head = b"POST /200/%b HTTP/1.1\r\nhost: x\r\nwebhook-id: %b\r\ncontent-length: %d\r\n\r\n"
    receiver.sendall(head % (CONTROL.encode(), webhook_id, len(body)) + body)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += receiver.recv(4096)


def fork(url: str, name: str, port: int) -> None:
    if os.fork() == 0:
        setproctitle("control: worker")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work(url, name, port)


def main(url: str, name: str, port: int, workers: int) -> None:
    setproctitle("control: master")
    for _ in range(workers):
        fork(url, name, port)
    print("ready", flush=True)
    while True:
        os.wait()
        fork(url, name, port)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
