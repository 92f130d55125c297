"""The messages that the message recorder has written down."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import orjson

from tests.chaos.recording import Recording, running_recorder

Log = tuple[str, int]
"""Block hash and log index."""


class Message(NamedTuple):
    """One request. `original` is what a `log.removed` names; `accepted` says that it was answered with a 2xx."""

    endpoint: str
    id: str
    type: str
    log: Log
    block_number: int
    original: str | None
    accepted: bool
    signed: bool


class MessageLog:
    """`news` may be asked from one thread only."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.url = recording.url

    def news(self) -> list[Message]:
        """What has arrived since this was asked for last, in the order of arrival."""
        return [_message(line) for line in self._recording.new_lines()]


def _message(line: bytes) -> Message:
    endpoint, webhook_id, kind, (block_hash, log_index), *rest = orjson.loads(line)
    return Message(endpoint, webhook_id, kind, (block_hash, log_index), *rest)


@contextlib.contextmanager
def running_message_recorder() -> Iterator[MessageLog]:
    """A message recorder of its own, gone at the end."""
    with running_recorder("tests.chaos.message_recorder") as recording:
        yield MessageLog(recording)
