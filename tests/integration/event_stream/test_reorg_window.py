"""The window of remembered blocks: by number, time, bytes and finality, and the anchors below it."""

from collections.abc import Callable
from typing import Any

import pytest

from hookfarm import event_stream
from hookfarm.event_stream import KEPT_BLOCKS, ReorgWindow, publish
from hookfarm.store import keys
from hookfarm.store.scripts import ANCHOR_BLOCKS
from tests.integration.event_stream.test_publish import CHAIN, at, block, run

__all__ = ["run"]

NARROW = ReorgWindow(seconds=0)


@pytest.fixture
def grow(run: Callable[..., Any]) -> Callable[..., None]:
    """Publishes blocks with an event each, after the block `first - 1`."""

    def call(first: int, last: int, window: ReorgWindow = NARROW, step: int = 250) -> None:
        for start in range(first, last + 1, step):
            blocks = [block(number, events=1) for number in range(start, min(start + step, last + 1))]
            expected = None if start == 1 else at(start - 1)

            async def publishing(client: Any, chain_id: int) -> bool:
                return (await publish(client, chain_id, expected, blocks, window=window)).published  # noqa: B023

            assert run(publishing)

    return call


def rows(client: Any, key: str) -> list[int]:
    return sorted(int(field) for field in client.hkeys(key) if field.isdigit())


def stored_bytes(client: Any) -> int:
    """As the scripts count them."""
    return int(client.hget(keys.blocks(CHAIN), "state").split()[2])


def test_a_window_without_time_is_the_minimum_and_its_anchors(client: Any, grow: Callable[..., None]) -> None:
    grow(1, 700)
    newest = list(range(701 - KEPT_BLOCKS, 701))
    assert rows(client, keys.block_events(CHAIN)) == newest
    assert rows(client, keys.blocks(CHAIN)) == [ANCHOR_BLOCKS, *newest]


def test_the_default_window_keeps_blocks_and_events_of_the_last_hour(
    client: Any, grow: Callable[..., None]
) -> None:
    grow(1, 700, ReorgWindow())
    assert rows(client, keys.blocks(CHAIN)) == rows(client, keys.block_events(CHAIN)) == list(range(1, 701))


def test_events_are_bounded_by_bytes_and_their_blocks_stay(client: Any, grow: Callable[..., None]) -> None:
    grow(1, 300, ReorgWindow())
    sizes = {number: client.hstrlen(keys.block_events(CHAIN), number) for number in range(1, 301)}
    bound = sum(sizes[number] for number in range(21, 301))
    grow(301, 301, ReorgWindow(events_bytes=bound))
    stored = rows(client, keys.block_events(CHAIN))
    bytes_ = sum(client.hstrlen(keys.block_events(CHAIN), number) for number in stored)
    assert bytes_ == stored_bytes(client) <= bound
    assert stored[0] in (22, 23), "no more than needed is forgotten"
    assert rows(client, keys.blocks(CHAIN)) == list(range(1, 302))


def test_the_newest_blocks_keep_their_events_whatever_they_weigh(client: Any, grow: Callable[..., None]) -> None:
    grow(1, 400, ReorgWindow(events_bytes=0))
    assert rows(client, keys.block_events(CHAIN)) == list(range(401 - KEPT_BLOCKS, 401))
    assert rows(client, keys.blocks(CHAIN)) == list(range(1, 401))


def test_events_of_final_blocks_are_forgotten_and_their_blocks_stay(
    client: Any, run: Callable[..., Any], grow: Callable[..., None]
) -> None:
    grow(1, 600, ReorgWindow())
    run(event_stream.set_finality_heads, {"finalized": at(200)})
    grow(601, 601, ReorgWindow())
    assert rows(client, keys.block_events(CHAIN)) == list(range(201, 602))
    assert rows(client, keys.blocks(CHAIN)) == list(range(1, 602))


def test_the_number_of_blocks_has_a_bound(client: Any, grow: Callable[..., None]) -> None:
    grow(1, 700, ReorgWindow(max_blocks=300))
    assert rows(client, keys.blocks(CHAIN)) == [256, *range(401, 701)]
    assert rows(client, keys.block_events(CHAIN)) == list(range(401, 701))


def test_a_call_forgets_a_bounded_number_of_blocks(
    client: Any, run: Callable[..., Any], grow: Callable[..., None]
) -> None:
    grow(1, 10)
    run(publish, at(10), [block(10_000)])
    lowest = 1
    for number in range(10_001, 10_005):
        grow(number, number)
        found = run(event_stream.lowest_remembered)
        assert lowest < found <= lowest + 257
        lowest = found


def test_a_changed_window_applies_from_the_next_block(client: Any, grow: Callable[..., None]) -> None:
    grow(1, 800, ReorgWindow())
    grow(801, 801, NARROW)
    assert rows(client, keys.blocks(CHAIN))[0] > 250 - ANCHOR_BLOCKS
    grow(802, 810, NARROW, step=1)
    assert rows(client, keys.blocks(CHAIN)) == [256, 512, *range(811 - KEPT_BLOCKS, 811)]
    grow(811, 900, ReorgWindow())
    assert rows(client, keys.blocks(CHAIN)) == [256, 512, *range(811 - KEPT_BLOCKS, 901)]


def test_a_rollback_to_an_anchor_makes_it_the_lowest_block(
    client: Any, run: Callable[..., Any], grow: Callable[..., None]
) -> None:
    grow(1, 1100)
    lowest = run(event_stream.lowest_remembered)
    assert lowest == 1101 - KEPT_BLOCKS
    forgotten = run(event_stream.read_forgotten, lowest, at(1100))
    assert [(anchor.block.number, anchor.events_above) for anchor in forgotten.anchors] == [
        (number, lowest - 1 - number) for number in (768, 512, 256)
    ]
    assert forgotten.events == lowest - 1
    assert run(event_stream.rollback, at(1100), at(512))
    assert rows(client, keys.blocks(CHAIN)) == [256, 512]
    assert rows(client, keys.block_events(CHAIN)) == []
    assert stored_bytes(client) == 0
    grow(513, 1100)
    assert run(event_stream.read_forgotten, lowest, at(1100)) == forgotten


def test_a_recorded_loss_is_part_of_the_rollback(
    client: Any, run: Callable[..., Any], grow: Callable[..., None]
) -> None:
    grow(1, 5)
    run(event_stream.rollback, at(5), at(4), [], b"{}")
    assert not client.exists(keys.OPERATIONAL_EVENTS), "nobody subscribes to it"
    client.hset(keys.OPERATIONAL_SUBSCRIPTIONS, "ep_a", "[]")
    assert not run(event_stream.rollback, at(5), at(3), [b"{}"], b'{"n":1}')
    assert run(event_stream.rollback, at(4), at(3), [b"{}"], b'{"n":2}')
    assert client.lrange(keys.OPERATIONAL_EVENTS, 0, -1) == [b'{"n":2}']
    assert client.xlen(keys.events(CHAIN)) == 6, "five events and the one entry of the rollback that was done"
