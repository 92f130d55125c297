"""What is said of a key that has the wrong type."""

import pytest
import redis

from hookfarm.store import clients, keys
from hookfarm.store.clients import PipelinedConnection
from tests.support.redis_server import RedisServer


def wrong_type() -> redis.ResponseError:
    return redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")


@pytest.mark.parametrize("key", [key for key, kind in keys.TYPES.items() if kind != "stream"])
def test_each_key_of_a_foreign_type_is_named_with_what_it_must_be(
    redis_server: RedisServer, connection: PipelinedConnection, key: str
) -> None:
    with redis_server.client() as client:
        client.xadd(key, {"a": "b"})
    assert clients.explain(wrong_type(), connection) == f"{key} is a stream; it must be a {keys.TYPES[key]}"
    assert not connection.connected


def test_several_are_all_named(redis_server: RedisServer, connection: PipelinedConnection) -> None:
    with redis_server.client() as client:
        client.set(keys.JOBS, "x")
        client.set(keys.DELIVERY_QUEUE, "x")
    assert clients.explain(wrong_type(), connection).count("; it must be a ") == 2


def test_what_is_right_again_by_then_leaves_the_words_of_redis(connection: PipelinedConnection) -> None:
    assert clients.explain(wrong_type(), connection) == str(wrong_type())


def test_any_other_error_stands_as_it_is_and_costs_no_question(connection: PipelinedConnection) -> None:
    assert clients.explain(redis.ConnectionError("connection lost"), connection) == "connection lost"
    assert not connection.connected


def test_a_server_that_is_gone_by_then_leaves_the_words_of_redis(
    redis_server: RedisServer, connection: PipelinedConnection
) -> None:
    redis_server.kill(synced=True)
    assert clients.explain(wrong_type(), connection) == str(wrong_type())


def test_the_types_are_those_of_the_keys_that_there_is_one_of() -> None:
    constants = {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str)}
    named = {value for value in constants if ":" in value or value == keys.DELIVERY_QUEUE}
    stored = {value for value in named if not value.endswith(":")}
    assert stored == set(keys.TYPES)
