"""Hop 1 against a real server: publishing behind a checkpoint, and taking back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import orjson
import pytest
import redis

from hookfarm import event_stream
from hookfarm.event_stream import Checkpoint, CheckpointMoved, RememberedBlock, StreamBlock
from hookfarm.event_stream.event_json import encode_events
from hookfarm.records import Event
from hookfarm.store import keys
from hookfarm.store.clients import async_client

T = TypeVar("T")
CHAIN = 1


@pytest.fixture
def run(redis_url: str) -> Callable[..., Any]:
    """Calls one of the module's coroutines with a client of its own."""

    def call(function: Callable[..., Awaitable[T]], *arguments: object) -> T:
        async def inner() -> T:
            async with async_client(redis_url) as connected:
                return await function(connected, CHAIN, *arguments)

        return asyncio.run(inner())

    return call


def hash_of(number: int, fork: str = "a") -> str:
    return "0x" + fork * 56 + f"{number:08}"


def block(number: int, fork: str = "a", *, events: int = 0, kept: bool = True) -> StreamBlock:
    emitted = [event(number, index) for index in range(events)]
    return StreamBlock(number, hash_of(number, fork), hash_of(number - 1), encode_events(emitted), kept)


def at(number: int, fork: str = "a") -> Checkpoint:
    return Checkpoint(number, hash_of(number, fork))


def event(number: int, index: int = 0) -> Event:
    return cast(Event, {"block_number": number, "log_index": index, "removed": False})


def entries(client: Any) -> list[tuple[int, int, bool]]:
    """Block number, log index and `removed` of everything in the stream."""
    found = [orjson.loads(fields[b"event"]) for _, fields in client.xrange(keys.events(CHAIN))]
    return [(event["block_number"], event["log_index"], event["removed"]) for event in found]


def test_events_and_their_checkpoint_appear_together(client: Any, run: Callable[..., Any]) -> None:
    assert run(event_stream.read_checkpoint) is None
    assert run(event_stream.publish, None, [block(5, events=2), block(6, events=1)]).published
    assert run(event_stream.read_checkpoint) == at(6)
    assert entries(client) == [(5, 0, False), (5, 1, False), (6, 0, False)]


def test_a_published_block_is_remembered_with_its_parent_and_the_number_of_its_events(
    run: Callable[..., Any],
) -> None:
    run(event_stream.publish, None, [block(5, events=2), block(6)])
    assert run(event_stream.read_remembered, [6, 5, 4]) == [
        RememberedBlock(6, hash_of(6), hash_of(5), 0),
        RememberedBlock(5, hash_of(5), hash_of(4), 2),
        None,
    ]


@pytest.mark.parametrize("expected", [None, at(4), at(5, "b"), at(6)])
def test_who_expects_another_checkpoint_publishes_nothing(
    client: Any, run: Callable[..., Any], expected: Checkpoint | None
) -> None:
    run(event_stream.publish, None, [block(5, events=1)])
    assert not run(event_stream.publish, expected, [block(6, events=1)]).published
    assert (entries(client), run(event_stream.read_checkpoint)) == ([(5, 0, False)], at(5))
    assert run(event_stream.read_remembered, [6]) == [None]


def test_who_expects_another_checkpoint_takes_nothing_back(client: Any, run: Callable[..., Any]) -> None:
    run(event_stream.publish, None, [block(5), block(6, events=1)])
    assert not run(event_stream.rollback, at(7), at(5), [b"{}"])
    assert (len(entries(client)), run(event_stream.read_checkpoint)) == (1, at(6))


def test_of_two_publishers_one_wins(client: Any, redis_url: str) -> None:
    async def race() -> list[bool]:
        async with async_client(redis_url) as a, async_client(redis_url) as b:
            moves = [event_stream.publish(c, CHAIN, None, [block(1, events=1)]) for c in (a, b)]
            return [publication.published for publication in await asyncio.gather(*moves)]

    assert sorted(asyncio.run(race())) == [False, True]
    assert len(entries(client)) == 1


def test_withdrawals_are_the_events_with_removed_the_last_one_first(run: Callable[..., Any]) -> None:
    run(event_stream.publish, None, [block(5, events=2), block(6), block(7, events=1)])
    found = run(event_stream.removal_entries, [7, 6, 5, 4])
    assert [found[0] is not None, found[1], found[3]] == [True, None, None]
    assert [orjson.loads(entry) for entry in found[2]] == [
        {"block_number": 5, "log_index": index, "removed": True} for index in (1, 0)
    ]


@pytest.mark.parametrize("remembered", [event_stream.read_remembered, event_stream.removal_entries])
def test_what_is_remembered_of_another_checkpoint_is_not_answered(
    client: Any, run: Callable[..., Any], remembered: Callable[..., Any]
) -> None:
    """Another ingestor may go to another branch and come back: what is missing meanwhile was not forgotten."""
    run(event_stream.publish, None, [block(n, events=1) for n in range(1, 10)])
    [before] = run(remembered, [9], at(9))
    run(event_stream.rollback, at(9), at(8), run(event_stream.removal_entries, [9])[0])
    with pytest.raises(CheckpointMoved):
        run(remembered, [9], at(9))
    assert run(remembered, [9], at(8)) == [None]
    run(event_stream.publish, at(8), [block(9, events=1)])
    assert run(remembered, [9], at(9)) == [before]


def test_events_that_are_not_kept_cannot_be_taken_back(run: Callable[..., Any]) -> None:
    run(event_stream.publish, None, [block(5, events=2, kept=False)])
    assert run(event_stream.removal_entries, [5]) == [None]
    assert run(event_stream.read_remembered, [5])[0].event_count == 2


def test_a_rewind_adds_what_is_withdrawn_and_forgets_what_was_above(client: Any, run: Callable[..., Any]) -> None:
    run(event_stream.publish, None, [block(n, events=1) for n in range(1, 10)])
    withdrawn = [entry for found in run(event_stream.removal_entries, [9, 8, 7]) for entry in found]
    assert run(event_stream.rollback, at(9), at(6), withdrawn)
    assert run(event_stream.read_checkpoint) == at(6)
    assert entries(client)[9:] == [(9, 0, True), (8, 0, True), (7, 0, True)]
    assert [known is not None for known in run(event_stream.read_remembered, [5, 6, 7, 9])] == [
        True,
        True,
        False,
        False,
    ]
    assert run(event_stream.removal_entries, [9, 7]) == [None, None]
    assert run(event_stream.removal_entries, [6])[0] is not None, "the target may be orphaned later"
    assert run(event_stream.publish, at(6), [block(7, "b", events=1)]).published
    assert run(event_stream.read_remembered, [7])[0].block_hash == hash_of(7, "b")


def test_a_block_without_events_leaves_none_of_its_predecessor(run: Callable[..., Any]) -> None:
    run(event_stream.publish, None, [block(6), block(7, events=1)])
    run(event_stream.rollback, at(7), at(6))
    run(event_stream.publish, at(6), [block(7, "b")])
    assert run(event_stream.removal_entries, [7]) == [None]


def test_the_latest_head_that_others_see_is_the_checkpoint(client: Any, run: Callable[..., Any]) -> None:
    run(event_stream.publish, None, [block(n) for n in range(1, 10)])
    assert client.hgetall(keys.heads(CHAIN)) == {b"latest": b"9"}
    run(event_stream.set_finality_heads, {"safe": at(8), "finalized": at(3)})
    run(event_stream.rollback, at(9), at(6))
    assert client.hgetall(keys.heads(CHAIN)) == {b"latest": b"6", b"safe": b"6", b"finalized": b"3"}
    run(event_stream.set_finality_heads, {"safe": None, "finalized": at(4)})
    assert client.hgetall(keys.heads(CHAIN)) == {b"latest": b"6", b"no_safe": b"1", b"finalized": b"4"}
    run(event_stream.set_finality_heads, {"safe": at(5)})
    assert client.hgetall(keys.heads(CHAIN)) == {b"latest": b"6", b"safe": b"5", b"finalized": b"4"}


def test_a_tagged_head_that_was_not_published_is_not_told(client: Any, run: Callable[..., Any]) -> None:
    """Above the checkpoint, or of another branch: somebody may have moved it since the chain was asked."""
    run(event_stream.publish, None, [block(n) for n in range(1, 10)])
    run(event_stream.set_finality_heads, {"safe": at(7), "finalized": at(3)})
    run(event_stream.set_finality_heads, {"safe": at(10), "finalized": at(4, fork="b")})
    assert client.hgetall(keys.heads(CHAIN)) == {b"latest": b"9", b"safe": b"7", b"finalized": b"3"}


def test_a_full_server_refuses_the_whole_of_it(client: Any, run: Callable[..., Any]) -> None:
    run(event_stream.publish, None, [block(1)])
    client.config_set("maxmemory", 1)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        run(event_stream.publish, at(1), [block(2, events=1)])
    client.config_set("maxmemory", 0)
    assert (entries(client), run(event_stream.read_checkpoint)) == ([], at(1))


def test_publishing_survives_forgotten_scripts(client: Any, run: Callable[..., Any]) -> None:
    assert run(event_stream.publish, None, [block(1)]).published
    client.script_flush()
    assert run(event_stream.publish, at(1), [block(2, events=1)]).published
    client.script_flush()
    assert run(event_stream.rollback, at(2), at(1))


@pytest.mark.parametrize("foreign", [b"garbage", b"\xff:0x00", b"9" * 5000])
def test_a_checkpoint_that_is_none_is_named(client: Any, run: Callable[..., Any], foreign: bytes) -> None:
    client.set(keys.checkpoint(CHAIN), foreign)
    with pytest.raises(redis.ResponseError, match=f"^{keys.checkpoint(CHAIN)} does not hold NUMBER:HASH, but "):
        run(event_stream.read_checkpoint)


@pytest.mark.parametrize(
    "key",
    [
        keys.events(CHAIN),
        keys.blocks(CHAIN),
        keys.checkpoint(CHAIN),
        keys.block_events(CHAIN),
        keys.heads(CHAIN),
    ],
)
def test_publishing_to_a_key_of_the_wrong_type_does_nothing_and_names_it(
    client: Any, run: Callable[..., Any], key: str
) -> None:
    run(event_stream.publish, None, [block(1, events=1)])
    client.delete(key)
    client.sadd(key, "x")
    before = client.dbsize(), client.xlen(keys.events(CHAIN)) if key != keys.events(CHAIN) else 0
    with pytest.raises(redis.ResponseError, match=f"^WRONGTYPE {key} is a set; it must be a "):
        run(event_stream.publish, at(1), [block(2, events=1)])
    assert before == (client.dbsize(), client.xlen(keys.events(CHAIN)) if key != keys.events(CHAIN) else 0)


@pytest.mark.parametrize("key", [keys.events(CHAIN), keys.blocks(CHAIN), keys.block_events(CHAIN)])
def test_taking_back_from_a_key_of_the_wrong_type_does_nothing_and_names_it(
    client: Any, run: Callable[..., Any], key: str
) -> None:
    run(event_stream.publish, None, [block(1), block(2, events=1)])
    client.delete(key)
    client.sadd(key, "x")
    with pytest.raises(redis.ResponseError, match=f"^WRONGTYPE {key} is a set; it must be a "):
        run(event_stream.rollback, at(2), at(1), [b"{}"])
    assert run(event_stream.read_checkpoint) == at(2)
