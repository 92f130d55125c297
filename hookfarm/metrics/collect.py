"""The roll call: who is scraped asks, and every farm on this Redis answers with what it has counted.

By publish and subscribe, so that nothing is counted together while nobody asks, nothing is stored, a full server
takes part, and the number of listeners says how many answers will come. Channels know no database, so their names
say of which they are.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import redis

from hookfarm.metrics import family
from hookfarm.metrics.family import Family
from hookfarm.store import keys

ANSWER_SECONDS = 1.5
"""A keeper looks ten times a second; one that restarts answers the next call."""
_HOST = socket.gethostname()


@dataclass(frozen=True)
class Answer:
    """What one farm has counted; `host` and `pid` are its master's."""

    host: str
    pid: int
    families: tuple[Family, ...]


@dataclass(frozen=True)
class RollCall:
    """The answers of those who gave one in time, and how many did not."""

    answers: tuple[Answer, ...]
    silent: int


class Answering:
    """A farm's side: a duty of its keeper, who performs it again and again and never waits in it."""

    def __init__(self, collect: Callable[[], Iterable[Family]]) -> None:
        self._collect = collect
        self._listener: Any = None

    def perform(self, client: "redis.Redis") -> None:
        """Answers whoever has asked since the last time."""
        try:
            if self._listener is None:
                self._listener = redis.client.PubSub(client.connection_pool, ignore_subscribe_messages=True)
                self._listener.subscribe(keys.metrics_request(_database(client)))
            for answer_to in self._callers():
                client.publish(answer_to, self._answer())
        except (redis.ConnectionError, redis.TimeoutError):
            # This connection is gone, and listens again next time. Whether Redis is, the keeper's own one tells.
            self._listener.close()
            self._listener = None

    def _callers(self) -> set[str]:
        """The channels to answer on."""
        found = set()
        while (message := self._listener.get_message()) is not None:
            channel = message["data"].decode("utf-8", "replace")
            if channel.startswith(keys.METRICS_RESPONSES):
                found.add(channel)
        return found

    def _answer(self) -> bytes:
        return orjson.dumps({"host": _HOST, "pid": os.getppid(), "families": list(self._collect())})


async def ask(client: "redis.asyncio.Redis", within_seconds: float = ANSWER_SECONDS) -> RollCall:
    """What the farms on this Redis have counted."""
    answer_to = keys.METRICS_RESPONSES + secrets.token_hex(8)
    deadline = time.monotonic() + within_seconds
    answers: list[Answer | None] = []
    async with client.pubsub() as listener:
        await listener.subscribe(answer_to)
        await listener.get_message(timeout=within_seconds)  # That it listens now: no answer may come before.
        awaited = await client.publish(keys.metrics_request(_database(client)), answer_to)
        while len(answers) < awaited and (left := deadline - time.monotonic()) > 0:
            message = await listener.get_message(timeout=left)
            if message is not None:
                answers.append(_decode(message["data"]))
    understood = tuple(answer for answer in answers if answer is not None)
    return RollCall(understood, awaited - len(understood))


def _decode(raw: bytes) -> Answer | None:
    """None for that of a farm of another version, which speaks otherwise."""
    try:
        told = orjson.loads(raw)
        return Answer(str(told["host"]), int(told["pid"]), tuple(map(family.decode, told["families"])))
    except (ValueError, TypeError, KeyError):
        return None


def _database(client: Any) -> int:
    return int(client.connection_pool.connection_kwargs.get("db") or 0)
