"""The ingestor's whole life inside a test, on its own thread and event loop, with a board of its own."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence

from hookfarm.chain.timing import Limits
from hookfarm.config import ChainConfig
from hookfarm.event_ingestor.life import live
from hookfarm.farm.board import Board, Slot, State
from hookfarm.farm.child import Child
from hookfarm.keys import EVENT_INGESTOR
from tests.support.waiting import eventually

QUICK = Limits(silence_seconds=1.0, probe_seconds=0.5, connect_seconds=0.5, boot_seconds=2.0)
"""The proportions of the real limits, in the time a test has."""


class StoppableChild(Child):
    """A child that is told to stop by a call, where there is no process to signal."""

    def stop(self) -> None:
        self._stop(signal.SIGTERM, None)


class RunningIngestor:
    def __init__(
        self, chain_id: int, urls: Sequence[str], redis_url: str, from_block: int | None, limits: Limits
    ) -> None:
        self._child = StoppableChild(EVENT_INGESTOR, 0, Board({EVENT_INGESTOR: 1}))
        self._child.slot.state = State.BOOTING
        chain = ChainConfig(chain_id, tuple(urls))
        self._life = (self._child, chain, redis_url, from_block, limits)
        self._thread = threading.Thread(target=self._run, name=EVENT_INGESTOR)
        self.error: Exception | None = None

    @property
    def slot(self) -> Slot:
        return self._child.slot

    @property
    def up(self) -> bool:
        return self.slot.state == State.UP

    @property
    def stalled(self) -> bool:
        return self.slot.state == State.STALLED

    def start(self) -> None:
        self._thread.start()

    def wait_until_up(self) -> None:
        eventually(lambda: self.up or not self._thread.is_alive(), within=10, what="the ingestor coming up")
        assert self.up, f"the ingestor ended: {self.error!r}"

    def join(self) -> None:
        """Waits until it has ended by itself."""
        self._thread.join(15)
        assert not self._thread.is_alive(), "the ingestor did not end"

    def stop(self) -> None:
        """Tells it to stop and waits; `error` then is what it ended with."""
        self._child.stop()
        self.join()

    def _run(self) -> None:
        try:
            asyncio.run(live(*self._life))
        except Exception as error:
            self.error = error


@contextlib.contextmanager
def running_ingestor(
    chain_id: int,
    urls: str | Sequence[str],
    redis_url: str,
    *,
    from_block: int | None = None,
    limits: Limits = QUICK,
    wait: bool = True,
) -> Iterator[RunningIngestor]:
    """An ingestor that is up, unless `wait` is False; stopped at the end, and its errors are the test's."""
    places = [urls] if isinstance(urls, str) else urls
    ingestor = RunningIngestor(chain_id, places, redis_url, from_block, limits)
    ingestor.start()
    try:
        if wait:
            ingestor.wait_until_up()
        yield ingestor
    finally:
        ingestor.stop()
    if wait and ingestor.error is not None:
        raise ingestor.error
