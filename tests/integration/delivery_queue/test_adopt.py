"""Elements that others push into the list: adopted, or a dead letter with its reason."""

from typing import Any

import pytest

from hookfarm import delivery_queue
from hookfarm.delivery_queue.job import MAX_RAW_BYTES, ForeignElement
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support.delivery import dead_letters, delivered, enqueue, job, kept
from tests.support.queue import adopt, pop, settle, take

HUGE = 2**256 - 1


def test_a_foreign_element_becomes_a_job(client: Any, connection: PipelinedConnection) -> None:
    client.lpush(keys.DELIVERY_QUEUE, '{"endpoint":"ep_1","payload":{"n":1},"id":"order-66"}')
    foreign = take(connection)
    assert isinstance(foreign, ForeignElement)
    claimed = adopt(connection, foreign)
    assert claimed is not None
    assert (claimed.id, claimed.endpoint, claimed.attempt, claimed.body) == ("order-66", "ep_1", 1, b'{"n":1}')
    assert client.zscore(keys.OPEN, "order-66") == claimed.sequence
    settle(connection, delivery_queue.returned(claimed))
    assert pop(connection).id == "order-66"


@pytest.mark.parametrize(
    "payload",
    [
        b"{}", b'{"n":%d}' % HUGE, b'{"n":-%d}' % HUGE, b'{"n":' + b"9" * 300 + b"}",
        b'{"f":0.10000000000000000000001}',
        b'{"f":1.10,"e":1E5,"big":1e300}', b'{"a":[1,2,{"payload":{"payload":"}"}}]}', b'{ "spaced" : [ 1 , 2 ] }',
        '{"text":"ü\\u00fc\\"\\\\ \\ud83d\\ude00😀"}'.encode(), b'{"a":1,"a":2}',
        b"{" + b'"a":{' * 500 + b"}" * 501,
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "element",
    [b'{"endpoint":"ep_1","payload":%b}', b' {\n\t"payload" : %b ,"other":[{"payload":{}}], "endpoint":"ep_1"}\n',
     b'{"payload":{"not":"this"},"endpoint":"ep_1","p\\u0061yload":%b}'],
)  # fmt: skip
def test_the_payload_of_a_foreign_element_is_sent_as_it_was_written(
    connection: PipelinedConnection, element: bytes, payload: bytes
) -> None:
    claimed = adopt(connection, ForeignElement(element % payload))
    assert claimed is not None
    assert claimed.body == payload


def test_an_element_without_an_id_has_the_same_one_every_time(
    client: Any, connection: PipelinedConnection
) -> None:
    raw = b'{"endpoint":"ep_1","payload":{}}'
    first = adopt(connection, ForeignElement(raw))
    assert first is not None
    settle(connection, delivered(first))
    second = adopt(connection, ForeignElement(raw))
    assert second is not None
    assert first.id == second.id
    assert first.id.startswith("msg_")


def test_an_id_that_is_owed_already_is_a_dead_letter(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, job("ep_1", "a", b'{"ours":1}'))
    raw = b'{"endpoint":"ep_1","payload":{},"id":"a"}'
    for _ in range(2):
        assert adopt(connection, ForeignElement(raw)) is None
    [letter] = dead_letters(client).values()
    assert letter["reason"] == "id: 'a' is already in the queue"
    assert letter["raw"] == raw.decode()
    assert kept(client, "a")["payload"] == {"ours": 1}


def test_an_element_taken_up_again_after_a_lost_reply_is_no_duplicate(
    client: Any, connection: PipelinedConnection
) -> None:
    foreign = ForeignElement(b'{"endpoint":"ep_1","payload":{}}')
    first = adopt(connection, foreign)
    again = adopt(connection, foreign, again=True)
    assert first is not None
    assert again == first
    assert dead_letters(client) == {}


def test_taken_up_again_it_may_still_be_a_duplicate(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, job("ep_1", "a"))
    foreign = ForeignElement(b'{"endpoint":"ep_1","payload":{"other":1},"id":"a"}')
    assert adopt(connection, foreign, again=True) is None
    assert len(dead_letters(client)) == 1


DEEP = b'{"endpoint":"ep_1","payload":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"


GARBAGE = {
    "empty": b"",
    "not JSON": b"garbage",
    "not UTF-8": b'{"endpoint":"ep_1","payload":{"a":"\xff"}}',
    "binary": bytes(range(256)),
    "cut off": b'{"endpoint":"ep_1","payload":{"a":1',
    "two documents": b'{"endpoint":"ep_1","payload":{}}{}',
    "a number": b"1",
    "a list": b'[{"endpoint":"ep_1","payload":{}}]',
    "null": b"null",
    "a string": b'"{}"',
    "deep nesting": DEEP,
    "deeper than Python goes": b'{"endpoint":"ep_1","payload":{"a":' + b"[" * 1010 + b"]" * 1010 + b"}}",
    "only brackets": b"[" * 200_000,
    "not a number": b'{"endpoint":"ep_1","payload":{"a":NaN}}',
    "a number beyond any": b'{"endpoint":"ep_1","payload":{"a":1e400}}',
    "an integer beyond any": b'{"endpoint":"ep_1","payload":{"a":%b}}' % (b"9" * 5000),
    "lone surrogate": b'{"endpoint":"ep_1","payload":{"a":"\\ud800"}}',
    "no endpoint": b'{"payload":{}}',
    "endpoint a number": b'{"endpoint":1,"payload":{}}',
    "endpoint null": b'{"endpoint":null,"payload":{}}',
    "endpoint empty": b'{"endpoint":"","payload":{}}',
    "endpoint with a line break": b'{"endpoint":"ep_1\\r\\n","payload":{}}',
    "no payload": b'{"endpoint":"ep_1"}',
    "payload null": b'{"endpoint":"ep_1","payload":null}',
    "payload a string": b'{"endpoint":"ep_1","payload":"{}"}',
    "payload a list": b'{"endpoint":"ep_1","payload":[]}',
    "id a number": b'{"endpoint":"ep_1","payload":{},"id":1}',
    "id null": b'{"endpoint":"ep_1","payload":{},"id":null}',
    "id empty": b'{"endpoint":"ep_1","payload":{},"id":""}',
    "id with a line break": b'{"endpoint":"ep_1","payload":{},"id":"a\\r\\nx: y"}',
    "id too long": b'{"endpoint":"ep_1","payload":{},"id":"%b"}' % (b"a" * 129),
    "too large": b'{"endpoint":"ep_1","payload":{"a":"%b"}}' % (b"a" * 1024 * 1024),
    "50 MB": b"x" * 50_000_000,
    "like ours, cut": b'{"seq":1,"id":"a","endpoint":"ep_1","attempt":1,"payload":{}',
    "like ours, no attempt": b'{"seq":1,"id":"a b","endpoint":"ep_1","payload":{}}',
}


@pytest.mark.parametrize("raw", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_job_is_a_dead_letter_with_its_reason(
    client: Any, connection: PipelinedConnection, raw: bytes
) -> None:
    client.lpush(keys.DELIVERY_QUEUE, raw)
    foreign = take(connection)
    assert foreign == ForeignElement(raw)
    assert adopt(connection, foreign) is None
    [(identity, letter)] = dead_letters(client).items()
    assert identity.startswith("garbage_")
    assert letter["reason"]
    assert "\n" not in letter["reason"]
    assert letter["source"] == "delivery_queue"
    assert len(letter["raw"]) <= 4 * MAX_RAW_BYTES
    assert delivery_queue.read_depths(client) == delivery_queue.Depths(0, 0, 0, 0, 1)
