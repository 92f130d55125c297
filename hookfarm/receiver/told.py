"""A verified webhook as the receiver tells another process of it: one line."""

from dataclasses import dataclass

import orjson

from hookfarm.receiver import line
from hookfarm.receiver.arrival import Arrival

UNREADABLE = "unreadable"
"""The log of a webhook whose body names none."""


@dataclass(frozen=True, slots=True)
class Told:
    """`log` is `<block hash>:<log index>` (a transfer's: `:t<index>`), from the webhook's body; `text` is for a
    person, or empty."""

    log: str
    webhook_id: str
    text: str

    @classmethod
    def of(cls, arrival: Arrival, *, in_words: bool) -> "Told":
        """`in_words` costs as much as all the rest of receiving it."""
        return cls(_log(arrival.body), arrival.webhook_id, line.event(arrival) if in_words else "")

    @classmethod
    def parse(cls, told: str) -> "Told":
        """From what `line` made, without its line feed."""
        log, webhook_id, text = told.split(" ", 2)
        return cls(log, webhook_id, text)

    def line(self) -> bytes:
        return f"{self.log} {self.webhook_id} {self.text}\n".encode()


def _log(body: bytes) -> str:
    try:
        data = orjson.loads(body)["data"]
        place = f"t{data['transaction_index']}" if data.get("kind") == "transfer" else data["log_index"]
        return f"{data['block_hash']}:{place}"
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return UNREADABLE
