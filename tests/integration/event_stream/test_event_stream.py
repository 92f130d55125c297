"""Hop 1 against a real server: reading as a group."""

from collections.abc import Iterator
from typing import Any, TypeVar

import pytest
import redis

from hookfarm.event_stream import ABANDONED_MILLISECONDS, BATCH_ENTRIES, StreamReader
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support.waiting import eventually

T = TypeVar("T")
CHAIN = 1


def reader(redis_url: str, consumer: str = "one", *chains: int) -> Iterator[StreamReader]:
    connection = PipelinedConnection(redis_url, 1)
    made = StreamReader(connection, consumer)
    made.follow(chains or [CHAIN])
    try:
        yield made
    finally:
        connection.close()


@pytest.fixture
def one(redis_url: str) -> Iterator[StreamReader]:
    yield from reader(redis_url, "one")


@pytest.fixture
def two(redis_url: str) -> Iterator[StreamReader]:
    yield from reader(redis_url, "two")


def ask(of: StreamReader) -> list[bytes | None]:
    of.send_read()
    entries, _ = of.receive()
    return [entry.event for entry in entries]


def test_a_group_reads_from_the_beginning_and_each_entry_once(
    client: Any, one: StreamReader, two: StreamReader
) -> None:
    for number in range(4):
        client.xadd(keys.events(CHAIN), {"event": b"%d" % number})
    assert ask(one) == [b"0", b"1", b"2", b"3"]
    client.xadd(keys.events(CHAIN), {"event": b"4"})
    assert ask(two) == [b"4"]


def test_what_stood_in_the_stream_before_the_group_is_read(client: Any, redis_url: str) -> None:
    client.xadd(keys.events(CHAIN), {"event": b"early"})
    for made in reader(redis_url):
        assert ask(made) == [b"early"]


def test_several_chains_are_read_together(client: Any, redis_url: str) -> None:
    chains = (1, 2**63)
    for made in reader(redis_url, "one", *chains):
        for chain in chains:
            client.xadd(keys.events(chain), {"event": b"%d" % chain})
        made.send_read()
        entries, _ = made.receive()
        assert [(e.chain_id, e.event) for e in entries] == [(chain, b"%d" % chain) for chain in chains]


def test_following_again_keeps_what_was_read(client: Any, one: StreamReader) -> None:
    client.xadd(keys.events(CHAIN), {"event": b"1"})
    assert ask(one) == [b"1"]
    one.follow([CHAIN, 2])
    assert one.chains == (1, 2)
    client.xadd(keys.events(2), {"event": b"2"})
    assert ask(one) == [b"2"]


def test_an_entry_without_the_field_is_an_entry_without_an_event(client: Any, one: StreamReader) -> None:
    client.xadd(keys.events(CHAIN), {"other": b"1"})
    client.xadd(keys.events(CHAIN), {"a": b"1", "event": b"2", "z": b"3"})
    assert ask(one) == [None, b"2"]


def test_a_batch_is_bounded(client: Any, one: StreamReader) -> None:
    with client.pipeline() as pipe:
        for number in range(BATCH_ENTRIES + 1):
            pipe.xadd(keys.events(CHAIN), {"event": b"%d" % number})
        pipe.execute()
    assert len(ask(one)) == BATCH_ENTRIES
    assert len(ask(one)) == 1


def test_what_is_asked_ahead_is_answered_after_others_were_asked(client: Any, one: StreamReader) -> None:
    client.xadd(keys.events(CHAIN), {"event": b"1"})
    one.send_read_ahead()
    assert one.is_read_sent
    assert one.claim_abandoned() == []
    assert [entry.event for entry in one.receive()[0]] == [b"1"]
    assert not one.is_read_sent


def test_a_connection_that_is_lost_leaves_nothing_asked(client: Any, one: StreamReader) -> None:
    one.send_read_ahead()
    client.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(redis.ConnectionError):
        one.claim_abandoned()
    assert not one.is_read_sent


def test_the_revision_comes_with_the_entries(client: Any, one: StreamReader) -> None:
    client.xadd(keys.events(CHAIN), {"event": b"1"})
    client.set(keys.REGISTRY_REVISION, 1_795_456_800_000_000)
    one.send_read()
    assert one.receive()[1] == 1_795_456_800_000_000


def test_what_a_predecessor_left_pending_is_read_again(client: Any, redis_url: str, one: StreamReader) -> None:
    client.xadd(keys.events(CHAIN), {"event": b"1"})
    ask(one)
    for again in reader(redis_url, "one"):
        assert [entry.event for entry in again.read_own_pending()] == [b"1"]
    for other in reader(redis_url, "other"):
        assert other.read_own_pending() == []


def test_what_is_abandoned_is_claimed_by_another(client: Any, one: StreamReader, two: StreamReader) -> None:
    entry_id = client.xadd(keys.events(CHAIN), {"event": b"1"})
    ask(one)
    assert two.claim_abandoned() == []
    idle = ABANDONED_MILLISECONDS + 1
    client.xclaim(keys.events(CHAIN), keys.PROCESSOR_GROUP, "one", 0, [entry_id], idle=idle)
    assert [entry.event for entry in two.claim_abandoned()] == [b"1"]
    assert one.read_own_pending() == []


def test_claims_go_through_more_than_a_batch(client: Any, one: StreamReader, two: StreamReader) -> None:
    with client.pipeline() as pipe:
        for _ in range(BATCH_ENTRIES + 100):
            pipe.xadd(keys.events(CHAIN), {"event": b"x"})
        ids = pipe.execute()
    ask(one)
    ask(one)
    client.xclaim(keys.events(CHAIN), keys.PROCESSOR_GROUP, "one", 0, ids, idle=ABANDONED_MILLISECONDS + 1)
    assert [len(two.claim_abandoned()) for _ in range(3)] == [BATCH_ENTRIES, 100, 0]


@pytest.mark.parametrize("how", ["flushed", "deleted", "destroyed"])
def test_a_group_that_is_gone_is_made_again(client: Any, one: StreamReader, how: str) -> None:
    assert one.chains
    if how == "flushed":
        client.flushall()
    elif how == "deleted":
        client.delete(keys.events(CHAIN))
    else:
        client.xgroup_destroy(keys.events(CHAIN), keys.PROCESSOR_GROUP)
    assert one.claim_abandoned() == []
    assert ask(one) == []
    client.xadd(keys.events(CHAIN), {"event": b"1"})
    assert ask(one) == [b"1"]


def test_a_group_that_goes_while_a_reader_blocks_is_made_again(client: Any, one: StreamReader) -> None:
    one.send_read()
    eventually(lambda: any(c["cmd"] == "xreadgroup" for c in client.client_list()), what="the reader blocking")
    client.delete(keys.events(CHAIN))
    assert one.receive()[0] == []
    client.xadd(keys.events(CHAIN), {"event": b"1"})
    assert ask(one) == [b"1"]


@pytest.mark.parametrize("other", [2, 0])
@pytest.mark.parametrize("when", ["before it follows", "before it asks", "while it blocks"])
def test_a_stream_of_the_wrong_type_is_set_aside_by_name_and_the_others_are_read(
    client: Any, redis_url: str, when: str, other: int
) -> None:
    def spoil() -> None:
        client.delete(keys.events(1))
        client.set(keys.events(1), "x")

    if when == "before it follows":
        spoil()
    for one in reader(redis_url, "one", 1, other):
        if when == "before it asks":
            spoil()
        one.send_read()
        if when == "while it blocks":
            spoil()
        one.receive()
        client.xadd(keys.events(other), {"event": b"1"})
        assert ask(one) == [b"1"]
        assert one.unreadable == {1: "events:1 is a string; it must be a stream"}
        assert one.chains == tuple(sorted((1, other)))
        assert one.claim_abandoned() == []
        assert [entry.event for entry in one.read_own_pending()] == [b"1"]


def test_a_stream_that_is_mended_is_read_again(client: Any, redis_url: str) -> None:
    client.set(keys.events(1), "x")
    for one in reader(redis_url, "one", 1):
        assert not one.readable
        client.delete(keys.events(1))
        client.xadd(keys.events(1), {"event": b"1"})
        one.follow(one.chains)
        assert one.unreadable == {}
        assert ask(one) == [b"1"]


def test_a_full_server_is_read_from_all_the_same(client: Any, redis_url: str) -> None:
    for one in reader(redis_url, "one", 1):
        client.xadd(keys.events(1), {"event": b"1"})
        client.config_set("maxmemory", 1)
        one.follow([1, 2])
        assert ask(one) == [b"1"]
        assert list(one.unreadable) == [2]
        assert one.unreadable[2].startswith("events:2 has no group message_processors: ")
        client.config_set("maxmemory", 0)
        one.follow([1, 2])
        assert one.unreadable == {}


@pytest.mark.parametrize("foreign", [b"garbage", b"1.5", b"\xff"])
def test_a_revision_that_is_no_number_is_named(client: Any, one: StreamReader, foreign: bytes) -> None:
    client.set(keys.REGISTRY_REVISION, foreign)
    one.send_read()
    with pytest.raises(
        redis.ResponseError, match=r"^hookfarm:registry:revision: invalid value .* must be a whole number$"
    ):
        one.receive()
