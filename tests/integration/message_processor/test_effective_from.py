"""A changed subscription answers with the block from which it is in effect, and it is."""

import asyncio
import contextlib
import random
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis.asyncio

from hookfarm import event_stream
from hookfarm.event_stream import Checkpoint, StreamBlock, StreamReader
from hookfarm.event_stream.event_json import encode_events
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard
from hookfarm.message_processor.processor import Processor
from hookfarm.records import Endpoint, Event, Subscription
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support.processors import Processors, pending, queued, transfer
from tests.support.waiting import eventually

CHAIN = 1
LOGS = 2


class Publisher:
    """Publishes a chain's blocks as an ingestor does: events and checkpoint in one script."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._at: Checkpoint | None = None

    def publish(self, count: int) -> None:
        asyncio.run(self._publish(count))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Publishes on and on meanwhile."""
        self._stop.clear()
        thread = threading.Thread(target=lambda: asyncio.run(self._publish()))
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    @property
    def number(self) -> int:
        return self._at.number if self._at else 0

    def wait_for(self, number: int) -> None:
        eventually(lambda: self.number >= number, what=f"block {number} being published")

    async def _publish(self, count: int | None = None) -> None:
        client = redis.asyncio.Redis.from_url(self._url)
        published = 0
        while not self._stop.is_set() and published != count:
            block = _block(self.number + 1)
            publication = await event_stream.publish(client, CHAIN, self._at, [block])
            assert publication.published
            self._at = block.point
            published += 1
        await client.aclose()


def _block(number: int) -> StreamBlock:
    events: list[Event] = [{**transfer(number), "log_index": i} for i in range(LOGS)]  # type: ignore[typeddict-item]
    return StreamBlock(number, f"0x{number:064x}", f"0x{number - 1:064x}", encode_events(events))


def form(number: int) -> Endpoint:
    return Endpoint("ep_a", "https://example.com/", subscriptions=(Subscription(f"sub_{number}", CHAIN),))


def matched(client: Any) -> dict[tuple[int, int], int]:
    """(block, log index) -> the form of the endpoint that matched it; each once."""
    jobs = [job["payload"]["data"] for job in queued(client)]
    found = {(job["block_number"], job["log_index"]): int(job["subscription"][4:]) for job in jobs}
    assert len(found) == len(jobs), "one log twice"
    return found


def assert_kept(client: Any, promised: dict[int, int], last: int) -> None:
    """Everything from the block that a form was promised for is matched by that form or a newer one."""
    found = matched(client)
    for number, block in promised.items():
        for log in ((b, i) for b in range(block, last + 1) for i in range(LOGS)):
            assert found[log] >= number, f"{log} by form {found[log]}; form {number} was promised from {block}"


def drained(client: Any) -> bool:
    return not client.xlen(keys.events(CHAIN)) and not pending(client)


def test_a_processor_that_lags_matches_the_later_blocks_by_the_new_form(
    client: Any, processors: Processors, redis_url: str
) -> None:
    registry, publisher = Registry(client), Publisher(redis_url)
    registry.update(form(0))
    processors.start_and_wait(chains=(CHAIN,))
    publisher.publish(5)
    eventually(lambda: drained(client), what="the first blocks being enqueued")
    processors.signal(0, signal.SIGSTOP)
    promised = {}
    for number in (1, 2):
        publisher.publish(20)
        promised[number] = (registry.update(form(number)).effective_from or {})[CHAIN] or 0
    publisher.publish(20)
    assert promised == {1: 26, 2: 46}
    processors.signal(0, signal.SIGCONT)
    eventually(lambda: drained(client), what="all blocks being enqueued")
    assert_kept(client, promised, last=65)
    assert {form for (block, _), form in matched(client).items() if block <= 5} == {0}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_change_under_load_keeps_its_word_while_processors_stop_and_die(
    client: Any, processors: Processors, redis_url: str, seed: int
) -> None:
    chance = random.Random(seed)
    registry, publisher = Registry(client), Publisher(redis_url)
    registry.update(form(0))
    processors.start_and_wait(0, (CHAIN,))
    processors.start_and_wait(1, (CHAIN,))
    promised: dict[int, int] = {}
    stopped = False
    with publisher.running():
        for number in range(1, 41):
            promised[number] = (registry.update(form(number)).effective_from or {})[CHAIN] or 1
            publisher.wait_for(publisher.number + chance.randint(1, 10))
            if chance.random() < 0.3:
                processors.signal(0, signal.SIGCONT if stopped else signal.SIGSTOP)
                stopped = not stopped
            if number == 20:
                processors.end(1, signal.SIGKILL)
                processors.start_and_wait(1, (CHAIN,), consumer="another")
    processors.end(0, signal.SIGKILL)
    eventually(lambda: drained(client), what="all blocks being enqueued")
    assert_kept(client, promised, last=publisher.number)


def test_what_is_taken_over_from_the_dead_is_matched_by_the_newest_form(client: Any, redis_url: str) -> None:
    """It may have been published after the last look at the registry, in a long pass."""
    scoreboard = Scoreboard({keys.MESSAGE_PROCESSOR: 1})
    child = Child(keys.MESSAGE_PROCESSOR, 0, scoreboard)
    registry, publisher = Registry(client), Publisher(redis_url)
    registry.update(form(0))
    processor = Processor(child, redis_url, (CHAIN,), "living")
    processor.connect()
    publisher.publish(1)
    promised = (registry.update(form(1)).effective_from or {})[CHAIN]
    publisher.publish(1)
    dead = PipelinedConnection(redis_url, 1)
    reader = StreamReader(dead, "dead")
    reader.follow([CHAIN])
    reader.send_read()
    entries, _ = reader.receive()
    ids = [entry.entry_id for entry in entries]
    client.xclaim(keys.events(CHAIN), keys.PROCESSOR_GROUP, "dead", 0, ids, idle=60_000, justid=True)
    processor._claim()
    processor.close()
    dead.close()
    child.close()
    assert promised == 2
    assert matched(client)[(2, 0)] == 1
