"""A chain whose entries the test processes like a processor, on a real server."""

from dataclasses import replace
from typing import Any

import orjson

from hookfarm import delivery_queue
from hookfarm.chain.profiles import DEFAULT_TAG_BLOCKS
from hookfarm.delivery_queue import FinalityUpdate
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.event_stream import StreamReader
from hookfarm.matching import notifications
from hookfarm.matching.index import Index
from hookfarm.records import Endpoint, Event, Subscription
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support.delivery import delivered, undelivered
from tests.support.matching import process
from tests.support.queue import settle, take

CHAIN = 7
ENDPOINT = Endpoint("ep_1", "http://127.0.0.1:9/", subscriptions=(Subscription("sub_1", CHAIN),))


def log(number: int, branch: str = "a", removed: bool = False, index: int = 0) -> Event:
    return {
        "chain_id": CHAIN,
        "block_number": number,
        "block_hash": "0x" + f"{number:x}{branch}".rjust(64, "0"),
        "block_timestamp": 1_700_000_000,
        "transaction_hash": "0x" + "11" * 32,
        "transaction_index": 0,
        "log_index": index,
        "address": "0x" + "22" * 20,
        "topics": [],
        "data": "0x",
        "removed": removed,
    }


class Chain:
    """A stream, with the operations of a processor and of a delivery process."""

    def __init__(self, client: Any, redis_url: str) -> None:
        self.client = client
        self.connection = PipelinedConnection(redis_url, delivery_queue.BLOCK_SECONDS)
        self.reader = StreamReader(self.connection, "test")
        self.reader.follow([CHAIN])
        self.index = Index()
        self.subscribe()

    def subscribe(self, confirmations: int | str = 0, endpoint: str = "ep_1") -> None:
        wanted = replace(ENDPOINT.subscriptions[0], confirmations=confirmations)
        self.index.put(replace(ENDPOINT, id=endpoint, subscriptions=(wanted,)))

    def publish(self, *events: Event) -> None:
        for event in events:
            self.client.xadd(keys.events(CHAIN), {keys.EVENT_FIELD: orjson.dumps(event)})

    def head(self, latest: int, **tags: int) -> None:
        """Publish the heads, like an ingestor with each block."""
        self.client.hset(keys.heads(CHAIN), mapping={"latest": latest, **tags})

    def read(self) -> list[Any]:
        self.reader.send_read()
        entries, _ = self.reader.receive()
        return entries

    def process(self, entries: list[Any] | None = None) -> None:
        """Enqueue the results of new entries and of waiting jobs."""
        handled = [process(self.index, entry) for entry in (self.read() if entries is None else entries)]
        done = delivery_queue.enqueue_results(self.connection, handled)
        while done.conflicts:
            again = [h.entry for h in handled if h.entry.entry_id in done.conflicts]
            done = delivery_queue.enqueue_results(
                self.connection, [process(self.index, entry, done.conflicts[entry.entry_id]) for entry in again]
            )
        self.confirm()

    def confirm(self) -> int:
        return delivery_queue.enqueue_confirmed(self.connection, CHAIN, DEFAULT_TAG_BLOCKS).enqueued

    def pop(self) -> ClaimedJob:
        claimed = take(self.connection)
        assert isinstance(claimed, ClaimedJob)
        return claimed

    def settle(self, settlement: delivery_queue.Settlement) -> None:
        settle(self.connection, settlement)

    def deliver(self) -> dict[str, Any]:
        claimed = self.pop()
        self.settle(delivered(claimed))
        body: dict[str, Any] = orjson.loads(claimed.body)
        return {"id": claimed.id, **body}

    @property
    def owed(self) -> int:
        return undelivered(self.client)

    def waiting(self) -> int:
        return int(self.client.hlen(keys.UNCONFIRMED))


ALL = ("emitted", "removed", "finalized")


class FinalChain(Chain):
    """A chain with finality, and endpoints subscribed to `finalized`."""

    def notify(self, *words: str, endpoint: str = "ep_1", confirmations: int | str = 0) -> None:
        wanted = replace(ENDPOINT.subscriptions[0], confirmations=confirmations, notify=words)
        self.index.put(replace(ENDPOINT, id=endpoint, subscriptions=(wanted,)))

    def final(self, number: int) -> None:
        """Finalize all blocks up to `number` and enqueue their notifications."""
        self.head(number + 10, safe=number, finalized=number)
        self.confirm()

    def confirm(self) -> int:
        confirmed = delivery_queue.enqueue_confirmed(self.connection, CHAIN, DEFAULT_TAG_BLOCKS)
        return confirmed.enqueued + sum(
            notifications.enqueue_finalized(self.connection, self.index, confirmed.final_blocks)
        )

    def feed(self, *events: Any) -> None:
        self.publish(*events)
        self.process()

    def read_final(self, block: str) -> list[FinalityUpdate]:
        """Return the updates of a final block, read but not applied."""
        [logs] = delivery_queue.read_stored_logs(self.connection, block)
        return [notifications.finality_update(self.index, block, each) for each in logs]

    def left(self) -> list[bytes]:
        """Return the keys with data that waits for finality."""
        return [
            key
            for kind in (keys.UNFINALIZED_LOGS, keys.UNFINALIZED_BLOCKS)
            for key in self.client.scan_iter(f"{kind}*")
        ]

    def drain(self) -> list[str]:
        kinds = []
        while self.owed:
            kinds.append(self.deliver()["type"])
        return kinds
