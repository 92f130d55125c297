"""Confirmations on a chain that changes its mind: only heads of the branch that a log is on confirm it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from hookfarm import event_stream
from hookfarm.event_stream import Checkpoint, StreamBlock
from hookfarm.event_stream.event_json import encode_events
from hookfarm.store import clients
from tests.support.delivery import set_capacity
from tests.support.ledger import assert_ledger_invariant
from tests.support.processed_chain import CHAIN, Chain, log


def hash_of(number: int, branch: str) -> str:
    return f"0x{number:063x}{branch}"


class Reorganised(Chain):
    """With an ingestor's hands, too."""

    def __init__(self, client: Any, redis_url: str) -> None:
        super().__init__(client, redis_url)
        self._url = redis_url
        self._at: Checkpoint | None = None

    def grow(self, first: int, last: int, branch: str = "a") -> None:
        """Publishes these blocks, each with one log."""
        blocks = [
            StreamBlock(n, hash_of(n, branch), hash_of(n - 1, branch), encode_events((log(n, branch),)))
            for n in range(first, last + 1)
        ]
        self._write(event_stream.publish, self._at, blocks)
        self._at = blocks[-1].point

    def rollback(self, target: int, branch: str = "a") -> None:
        """Takes back what is above."""
        assert self._at is not None
        withdrawn = self._write(event_stream.removal_entries, range(self._at.number, target, -1))
        back = Checkpoint(target, hash_of(target, branch))
        self._write(event_stream.rollback, self._at, back, [entry for entries in withdrawn for entry in entries])
        self._at = back

    def _write(self, function: Any, *arguments: object) -> Any:
        async def call() -> Any:
            async with clients.async_client(self._url) as client:
                return await function(client, CHAIN, *arguments)

        return asyncio.run(call())


@pytest.fixture
def chain(client: Any, redis_url: str) -> Iterator[Reorganised]:
    set_capacity(client, 8)
    made = Reorganised(client, redis_url)
    made.subscribe(confirmations=3)
    yield made
    made.connection.close()
    assert_ledger_invariant(client)


def test_a_head_of_the_branch_that_was_left_confirms_nothing_on_the_new_one(chain: Reorganised) -> None:
    """The head was counted, and another consumer still has what takes its branch back."""
    chain.grow(9, 15)
    chain.process()
    assert (chain.owed, chain.waiting()) == (4, 3)
    chain.rollback(9)
    chain.grow(10, 10, "b")
    *removal_entries, emission = chain.read()
    chain.process([emission])
    assert (chain.owed, chain.waiting()) == (4, 4), "confirmed by a block of the other branch"
    chain.process(removal_entries)
    assert (chain.owed, chain.waiting()) == (1, 1)
    chain.grow(11, 13, "b")
    chain.process()
    assert (chain.owed, chain.waiting()) == (2, 3)


def test_a_head_that_was_noted_before_its_branch_was_left_confirms_nothing_on_the_new_one(
    chain: Reorganised,
) -> None:
    """It was the head once, and counts only when all that was published until then is enqueued."""
    chain.grow(9, 15)
    before = chain.read()
    assert chain.confirm() == 0
    chain.rollback(9)
    chain.grow(10, 10, "b")
    *removal_entries, emission = chain.read()
    chain.process([*before, emission])
    assert (chain.owed, chain.waiting()) == (0, 8), "confirmed by a block of the other branch"
    chain.process(removal_entries)
    assert (chain.owed, chain.waiting()) == (0, 2)


def test_the_blocks_below_a_fork_are_confirmed_as_before(chain: Reorganised) -> None:
    chain.grow(9, 11)
    chain.process()
    chain.rollback(10)
    chain.process()
    assert (chain.owed, chain.waiting()) == (0, 2)
    chain.grow(11, 12, "b")
    chain.process()
    assert (chain.owed, chain.waiting()) == (1, 3)
    chain.grow(13, 13, "b")
    chain.process()
    assert (chain.owed, chain.waiting()) == (2, 3)


def test_the_same_height_on_another_branch_is_a_head_of_its_own(chain: Reorganised) -> None:
    """What was counted is counted anew, and not left at the fork for want of a change."""
    chain.grow(9, 13)
    chain.process()
    assert (chain.owed, chain.waiting()) == (2, 3)
    chain.rollback(11)
    chain.grow(12, 13, "b")
    chain.process()
    assert (chain.owed, chain.waiting()) == (2, 3)
    chain.rollback(9, "a")
    chain.grow(10, 13, "c")
    chain.process()
    assert (chain.owed, chain.waiting()) == (2, 3)
