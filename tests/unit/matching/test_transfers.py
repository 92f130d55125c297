"""Transfers from the stream's entry to the jobs: which endpoints want them, and their webhooks."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.event_stream import StreamEntry
from hookfarm.matching.index import Index
from hookfarm.matching.payload import webhook_id
from hookfarm.matching.transfers import decoded_logs_of
from hookfarm.records import MAX_ADDRESSES, Endpoint, Subscription, Transfer
from tests.support.events import EVENT
from tests.support.matching import process
from tests.support.transfers import TRANSFER, transfer

ACCOUNTS = [f"0x{n:040x}" for n in range(4)]


def subscription(**fields: Any) -> Subscription:
    return Subscription(**{"id": "sub_1", "chain_id": 1, "kind": "transfer", **fields})


def index_of(**subscriptions: Subscription) -> Index:
    index = Index()
    for identity, wanted in subscriptions.items():
        assert index.put(Endpoint(identity, "https://e.com/", subscriptions=(wanted,))) == []
    return index


def wanted_by(index: Index, moved: Transfer) -> set[str]:
    return {match.endpoint for match in index.match(moved, decoded_logs_of(moved))}


def entry(record: Any, entry_id: bytes = b"1-0") -> StreamEntry:
    return StreamEntry(1, entry_id, orjson.dumps(record))


ENDED = (
    '{"type":"transfer.emitted","timestamp":"2026-11-22T18:00:00Z","data":{"kind":"transfer","chain_id":1,'
    f'"block_number":23456789,"block_hash":"0x{"b1" * 32}","block_timestamp":1795370400,'
    f'"transaction_hash":"0x{"c2" * 32}","transaction_index":7,"from":"0x{"f0" * 20}","to":"0x{"70" * 20}",'
    '"value":"1500000000000000000","removed":false,"event":null,"confirmations":0,"subscription":"sub_1"}}'
)


def test_the_body_is_that_of_a_log_with_another_type_and_no_event() -> None:
    [job] = process(index_of(ep_1=subscription(where="value > 1")), entry(TRANSFER)).jobs
    assert job.body.decode() == ENDED


def test_a_small_value_is_a_decimal_string_as_a_large_one_is() -> None:
    [job] = process(index_of(ep_1=subscription()), entry(transfer(value="1"))).jobs
    assert orjson.loads(job.body)["data"]["value"] == "1"


def test_the_webhook_id_never_changes() -> None:
    assert webhook_id(TRANSFER, "ep_1", "log.emitted") == "msg_e6c8099aa26714fc80eb13c7e998f76e87375089"


def test_no_log_has_the_webhook_id_of_a_transfer() -> None:
    of_one_place = [EVENT, {**EVENT, "log_index": 7}, {**EVENT, "transaction_index": 7}]
    ids = {webhook_id(event, "ep_1", "log.emitted") for event in of_one_place}  # type: ignore[arg-type]
    of_transfers = [
        TRANSFER,
        transfer(transaction_index=8),
        transfer(block_hash="0x" + "b2" * 32),
        transfer(chain_id=2),
    ]
    kinds = ("log.emitted", "log.removed")
    ids_of_transfers = {webhook_id(each, "ep_1", kind) for each in of_transfers for kind in kinds}
    assert len(ids_of_transfers) == 8
    assert not ids & ids_of_transfers


def test_the_history_of_a_transfer_is_separate_from_any_log() -> None:
    index = index_of(ep_1=subscription(), ep_2=Subscription("sub_2", 1))
    states = [process(index, entry(each)).history for each in (TRANSFER, {**EVENT, "log_index": 7})]
    assert [(state.block, state.position) for state in states if state] == [
        (f"1:{TRANSFER['block_hash']}", "t7"),
        (f"1:{EVENT['block_hash']}", 7),
    ]


def test_a_removed_transfer_is_retracted_from_the_notified_endpoints() -> None:
    index = index_of(ep_1=subscription())
    emitted = process(index, entry(TRANSFER, b"1-0"))
    assert emitted.history is not None
    [removal] = process(index, entry({**TRANSFER, "removed": True}, b"2-0"), emitted.history.after).retractions
    assert removal.job is not None
    body = orjson.loads(removal.job.body)
    assert removal.originals == (emitted.jobs[0].id,)
    assert emitted.jobs[0].id == body["original"] == body["data"]["original"]
    assert (body["type"], body["data"]["removed"], body["data"]["event"]) == ("transfer.removed", True, None)


def test_confirmations_are_waited_for() -> None:
    index = index_of(ep_1=subscription(confirmations=3), ep_2=subscription(confirmations="safe"))
    handled = process(index, entry(TRANSFER))
    assert handled.jobs == ()
    waiting = {(each.head, each.block) for each in handled.unconfirmed}
    assert waiting == {("blocks", TRANSFER["block_number"] + 3), ("safe", TRANSFER["block_number"])}


def test_logs_and_transfers_are_sent_only_to_endpoints_that_asked_for_them() -> None:
    index = index_of(ep_log=Subscription("sub_1", 1), ep_transfer=subscription())
    assert [job.endpoint for job in process(index, entry(TRANSFER)).jobs] == ["ep_transfer"]
    assert [job.endpoint for job in process(index, entry(EVENT)).jobs] == ["ep_log"]


@pytest.mark.parametrize("wrong", [{**TRANSFER, "value": 5}, {**TRANSFER, "from": "0x"}, {"kind": "transfer"}])
def test_a_transfer_that_is_wrong_is_rejected_with_the_reason(wrong: Any) -> None:
    handled = process(index_of(ep_1=subscription()), entry(wrong))
    assert handled.jobs == ()
    assert handled.invalid is not None
    assert handled.invalid.reason


def test_a_chain_stays_known_until_the_last_of_its_subscriptions_is_gone() -> None:
    index = index_of(ep_1=Subscription("sub_1", 1), ep_2=subscription())
    index.remove("ep_1")
    assert index.chains == {1}
    index.remove("ep_2")
    assert index.chains == frozenset()


def test_an_endpoint_is_notified_by_the_first_of_its_matching_subscriptions() -> None:
    index = Index()
    both = (subscription(id="sub_1", where="value > 5"), subscription(id="sub_2"))
    index.put(Endpoint("ep_1", "https://e.com/", subscriptions=both))
    for value, expected in (("6", "sub_1"), ("5", "sub_2")):
        moved = transfer(value=value)
        assert [match.subscription for match in index.match(moved, decoded_logs_of(moved))] == [expected]


def test_a_hundred_thousand_senders_and_recipients_stay_in_proportion() -> None:
    many = tuple(f"0x{n:040x}" for n in range(MAX_ADDRESSES))
    index = index_of(ep_1=subscription(senders=many, recipients=many))
    assert wanted_by(index, transfer(from_=many[5], to=many[-1])) == {"ep_1"}
    assert wanted_by(index, transfer(from_=many[5])) == set()
    assert wanted_by(index, transfer(to=many[5])) == set()


lists = st.lists(st.sampled_from(ACCOUNTS[:3]), max_size=3, unique=True).map(tuple)
bounds = st.one_of(st.none(), st.integers(1, 4))
choices = st.one_of(st.none(), st.sampled_from(ACCOUNTS[:3]))
filters = st.tuples(lists, lists, bounds, choices, choices)


def wants(moved: Transfer, wanted: Any) -> bool:
    senders, recipients, least, sender, recipient = wanted
    return (
        (not senders or moved["from"] in senders)
        and (not recipients or moved["to"] in recipients)
        and (least is None or int(moved["value"]) >= least)
        and (sender is None or moved["from"] == sender)
        and (recipient is None or moved["to"] == recipient)
    )


def subscription_of(wanted: Any) -> Subscription:
    senders, recipients, least, sender, recipient = wanted
    named = {"value >=": least, "from ==": sender, "to ==": recipient}
    where = " and ".join(f"{left} {right}" for left, right in named.items() if right is not None)
    return subscription(senders=senders, recipients=recipients, where=where or None)


@given(st.lists(filters, max_size=8), st.sampled_from(ACCOUNTS), st.sampled_from(ACCOUNTS), st.integers(1, 5))
def test_the_index_finds_whom_each_filter_by_itself_would(wanted: Any, sender: str, to: str, value: int) -> None:
    moved = transfer(from_=sender, to=to, value=str(value))
    index = index_of(**{f"ep_{n}": subscription_of(each) for n, each in enumerate(wanted)})
    assert wanted_by(index, moved) == {f"ep_{n}" for n, each in enumerate(wanted) if wants(moved, each)}
    for n in range(len(wanted)):
        index.remove(f"ep_{n}")
    assert index.chains == frozenset()
