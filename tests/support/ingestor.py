"""An ingestor inside a test, on its own thread, event loop and scoreboard."""

import asyncio
import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hookfarm.chain.timing import NodeTimeouts
from hookfarm.config import ChainConfig
from hookfarm.devchain.embedded import RunningDevchain
from hookfarm.event_ingestor.process import run_ingestor
from hookfarm.event_stream import Checkpoint
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard, Slot, State
from hookfarm.store import keys
from hookfarm.store.keys import EVENT_INGESTOR
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_SECONDS, eventually

CHAIN = 31337
EVENTS = 3
"""Events per block of the tests' devchains."""
TRANSPORTS = ["ws", "http"]

QUICK = NodeTimeouts(
    silence_seconds=1.0,
    probe_seconds=0.5,
    connect_seconds=0.5,
    boot_seconds=2.0,
    return_seconds=0.5,
    tags_seconds=0.0,
)
"""Time-outs in the real proportions, shortened for tests."""


class StoppableChild(Child):
    """A child that is stopped by a call instead of a signal."""

    def stop(self) -> None:
        self._stop(signal.SIGTERM, None)


class RunningIngestor:
    """A process of ingestors, as a thread; it follows all `chains`."""

    def __init__(
        self,
        chains: Sequence[ChainConfig],
        redis_url: str,
        from_block: int | None,
        timeouts: NodeTimeouts,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        scoreboard = Scoreboard({EVENT_INGESTOR: len(chains)}, max_processes={EVENT_INGESTOR: 1})
        places = scoreboard.places(EVENT_INGESTOR, 0)
        self._child = StoppableChild(EVENT_INGESTOR, 0, scoreboard, places=places)
        for slot in self.slots:
            slot.state = State.BOOTING
        self._life = (self._child, chains, redis_url, from_block, timeouts)
        self._wall_clock = wall_clock
        self._thread = threading.Thread(target=self._run, name=EVENT_INGESTOR)
        self.error: Exception | None = None

    @property
    def slot(self) -> Slot:
        return self._child.slot

    @property
    def slots(self) -> Sequence[Slot]:
        """The slots of all chains, in their order."""
        return self._child.slots

    @property
    def up(self) -> bool:
        return all(slot.state == State.UP for slot in self.slots)

    @property
    def stalled(self) -> bool:
        return self.slot.state == State.STALLED

    def start(self) -> None:
        self._thread.start()

    def wait_until_up(self) -> None:
        eventually(lambda: self.up or not self._thread.is_alive(), what="the ingestor coming up")
        assert self.up, f"the ingestor ended: {self.error!r}"

    def join(self) -> None:
        """Wait until the ingestor has ended."""
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "the ingestor did not end"

    def stop(self) -> None:
        """Stop the ingestor and wait for its end; `error` is then its exception, if any."""
        self._child.stop()
        self.join()

    def _run(self) -> None:
        try:
            asyncio.run(run_ingestor(*self._life, wall_clock=self._wall_clock))
        except Exception as error:
            self.error = error


@contextlib.contextmanager
def running_ingestor(
    chain_id: int,
    urls: str | Sequence[str],
    redis_url: str,
    *,
    from_block: int | None = None,
    timeouts: NodeTimeouts = QUICK,
    wait: bool = True,
    wall_clock: Callable[[], float] = time.time,
    **settings: Any,
) -> Iterator[RunningIngestor]:
    """Run an ingestor during the context, and wait until it is up if `wait`. Its errors fail the test.

    `settings`: further settings of the chain.
    """
    places = [urls] if isinstance(urls, str) else urls
    chain = ChainConfig(chain_id, tuple(places), **settings)
    with running_ingestors(
        [chain], redis_url, from_block=from_block, timeouts=timeouts, wait=wait, wall_clock=wall_clock
    ) as ingestor:
        yield ingestor


@contextlib.contextmanager
def running_ingestors(
    chains: Sequence[ChainConfig],
    redis_url: str,
    *,
    from_block: int | None = None,
    timeouts: NodeTimeouts = QUICK,
    wait: bool = True,
    wall_clock: Callable[[], float] = time.time,
) -> Iterator[RunningIngestor]:
    """Run several chains in one ingestor, like `running_ingestor`."""
    ingestor = RunningIngestor(chains, redis_url, from_block, timeouts, wall_clock)
    ingestor.start()
    try:
        if wait:
            ingestor.wait_until_up()
        yield ingestor
    finally:
        ingestor.stop()
    if wait and ingestor.error is not None:
        raise ingestor.error


class Published:
    """Content of a chain's stream and its checkpoint."""

    def __init__(self, server: RedisServer, chain_id: int = CHAIN) -> None:
        self.client = server.client()
        self._chain_id = chain_id

    def entries(self) -> list[dict[str, Any]]:
        """Return all entries, including removed ones and removals."""
        found: Any = self.client.xrange(keys.events(self._chain_id))
        return [json.loads(fields[keys.EVENT_FIELD.encode()]) for _, fields in found]

    def events(self) -> list[dict[str, Any]]:
        """Return the events that were emitted and not removed.

        Raises AssertionError for a removal without its event or out of order, and for an event emitted twice.
        """
        standing: dict[tuple[str, int | str], dict[str, Any]] = {}
        for entry in self.entries():
            identity = (entry["block_hash"], entry.get("log_index", f"t{entry.get('transaction_index')}"))
            if not entry["removed"]:
                assert identity not in standing, f"emitted twice: {entry}"
                standing[identity] = entry
                continue
            assert standing, f"removed but never emitted: {entry}"
            last, original = standing.popitem()
            assert last == identity, f"removed out of order: {entry}, the last event is {original}"
            assert entry == {**original, "removed": True}
        return list(standing.values())

    def removed(self) -> int:
        return sum(entry["removed"] for entry in self.entries())

    def checkpoint(self) -> Checkpoint | None:
        stored = self.client.get(keys.checkpoint(self._chain_id))
        return Checkpoint.decode(stored) if stored else None

    def heads(self) -> dict[str, int]:
        """Return the published finality heads."""
        found: Any = self.client.hgetall(keys.heads(self._chain_id))
        return {tag.decode(): int(number) for tag, number in found.items()}

    def wait_for(self, devchain: RunningDevchain, within: float = PATIENCE_SECONDS) -> None:
        """Wait until the checkpoint is the devchain's head."""
        head = devchain.head()
        eventually(
            lambda: self.checkpoint() == Checkpoint(head.number, head.hash),
            within=within,
            what=f"the checkpoint reaching block {head.number}",
        )


def url_of(devchain: RunningDevchain, transport: str) -> str:
    return devchain.ws_url if transport == "ws" else devchain.http_url


def as_events(logs: list[Any], chain_id: int = CHAIN) -> list[dict[str, Any]]:
    """Return the expected stream events of logs in JSON-RPC form."""
    return [
        {
            "chain_id": chain_id,
            "block_number": int(log["blockNumber"], 16),
            "block_hash": log["blockHash"],
            "block_timestamp": int(log["blockTimestamp"], 16),
            "transaction_hash": log["transactionHash"],
            "transaction_index": int(log["transactionIndex"], 16),
            "log_index": int(log["logIndex"], 16),
            "address": log["address"],
            "topics": log["topics"],
            "data": log["data"],
            "removed": False,
        }
        for log in logs
    ]


def canonical(devchain: RunningDevchain, above: int = 0) -> list[dict[str, Any]]:
    """Return the events of all canonical blocks above number `above`."""
    return [event for event in as_events(devchain.canonical_logs()) if event["block_number"] > above]
