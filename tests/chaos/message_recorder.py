"""A recorder that stores the content of each webhook: what a receiver knows follows from it.

    python -m tests.chaos.message_recorder FILE

As tests.chaos.recorder, with one behaviour more: `every-4` answers 503 to every fourth request of the endpoint,
and 200 to the others. Each request is one line of FILE, a JSON list with the fields of `message_log.Message`.
"""

import asyncio
import sys
from collections import Counter

import orjson

from tests.chaos.recorder import Connection, Recorder, opened, serve

BUSY = 503


class MessageRecorder(Recorder):
    def __init__(self, file: int) -> None:
        super().__init__(file)
        self._requests: Counter[str] = Counter()

    def status_for(self, behaviour: str, endpoint: str) -> int:
        """What a request is answered with, now or later."""
        self._requests[endpoint] += 1
        kind, _, number = behaviour.partition("-")
        if kind == "every":
            return BUSY if self._requests[endpoint] % int(number) == 0 else 200
        return 200 if kind == "slow" else int(behaviour)

    def record_message(self, endpoint: str, headers: dict[bytes, bytes], body: bytes, status: int) -> None:
        said = orjson.loads(body)
        data = said["data"]
        facts = (
            endpoint,
            headers[b"webhook-id"].decode(),
            said["type"],
            (data["block_hash"], data["log_index"]),
            data["block_number"],
            said.get("original"),
            status < 300,
            self.is_signed(endpoint, headers, body),
        )
        self.write(orjson.dumps(facts) + b"\n")


class MessageConnection(Connection):
    def __init__(self, message_recorder: MessageRecorder) -> None:
        super().__init__(message_recorder)
        self._witness = message_recorder

    def on_message_complete(self) -> None:
        _, behaviour, endpoint = self._path.decode().split("/", 2)
        status = self._witness.status_for(behaviour, endpoint)
        self._witness.record_message(endpoint, self._headers, self._body, status)
        milliseconds = int(behaviour[5:]) if behaviour.startswith("slow-") else 0
        asyncio.get_running_loop().call_later(milliseconds / 1000, self.answer, status)


if __name__ == "__main__":
    shared = MessageRecorder(opened(sys.argv[1]))
    asyncio.run(serve(lambda: MessageConnection(shared)))
