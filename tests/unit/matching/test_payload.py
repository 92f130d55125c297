import orjson

from hookfarm.matching.payload import emitted_body, webhook_id
from hookfarm.records import Event
from tests.support.events import EVENT

GOLDEN = (
    '{"type":"log.emitted","timestamp":"2026-11-22T18:00:00Z","data":{"chain_id":1,"block_number":23456789,'
    f'"block_hash":"0x{"b1" * 32}","block_timestamp":1795370400,"transaction_hash":"0x{"c2" * 32}",'
    f'"transaction_index":4,"log_index":7,"address":"0x{"d3" * 20}","topics":["0x{"e4" * 32}"],'
    f'"data":"0x{"00" * 31}01","removed":false,"event":{{"name":"Transfer","args":{{"value":1}}}},'
    '"confirmations":0,"subscription":"sub_1"}}'
)


def test_the_body_is_the_contracts_byte_for_byte() -> None:
    assert emitted_body(EVENT, {"name": "Transfer", "args": {"value": 1}}, "sub_1").decode() == GOLDEN


def test_a_log_without_a_meaning_has_a_null_event() -> None:
    assert orjson.loads(emitted_body(EVENT, None, "sub_1"))["data"]["event"] is None


def test_integers_beyond_doubles_are_decimal_strings() -> None:
    large: Event = {**EVENT, "chain_id": 2**64 - 1, "block_number": 2**53}
    shown = orjson.loads(emitted_body(large, None, "sub_1"))["data"]
    assert (shown["chain_id"], shown["block_number"]) == ("18446744073709551615", 2**53)


def test_the_webhook_id_never_changes() -> None:
    assert webhook_id(EVENT, "ep_1", "log.emitted") == "msg_9b6b57a580791a414efc596b165cb6ced2f2a511"


def test_the_webhook_id_depends_on_each_part_of_the_identity_and_on_nothing_else() -> None:
    changed: list[Event] = [
        {**EVENT, "chain_id": 2},
        {**EVENT, "block_hash": "0x" + "b2" * 32},
        {**EVENT, "log_index": 8},
    ]
    ids = {webhook_id(event, "ep_1", "log.emitted") for event in [EVENT, *changed]}
    ids |= {webhook_id(EVENT, "ep_2", "log.emitted"), webhook_id(EVENT, "ep_1", "log.removed")}
    assert len(ids) == 6
    moved: Event = {**EVENT, "transaction_index": 9, "block_timestamp": 5, "data": "0x"}
    assert webhook_id(moved, "ep_1", "log.emitted") in ids
