"""Transfers, and subscriptions to them, checked where they come in."""

from typing import Any

import orjson
import pytest

from hookfarm.errors import InvalidInput
from hookfarm.records import (
    MAX_ADDRESSES,
    endpoint_from_stored,
    parse_chain_event,
    parse_endpoint,
    parse_subscription,
    subscription_json,
)
from tests.support.events import EVENT
from tests.support.transfers import TRANSFER, transfer

A, B = "0x" + "aA" * 20, "0x" + "bb" * 20


def refused(**fields: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_subscription({"chain_id": 1, **fields})
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_transfer_is_taken_with_its_fields_and_no_others() -> None:
    capitals = {**TRANSFER, "from": TRANSFER["from"].upper().replace("X", "x"), "gas": 5}
    assert parse_chain_event(capitals) == TRANSFER
    assert list(parse_chain_event(capitals)) == list(TRANSFER)


def test_removed_may_be_left_out() -> None:
    assert parse_chain_event({n: v for n, v in TRANSFER.items() if n != "removed"}) == TRANSFER


@pytest.mark.parametrize("kind", [{}, {"kind": "log"}])
def test_what_is_no_transfer_is_an_event_without_a_kind(kind: dict[str, str]) -> None:
    assert parse_chain_event({**EVENT, **kind}) == EVENT


@pytest.mark.parametrize("kind", ["Transfer", "", None, 1, ["transfer"], {}])
def test_another_kind_is_refused(kind: object) -> None:
    with pytest.raises(InvalidInput, match=r"kind: .* is not log or transfer"):
        parse_chain_event({**TRANSFER, "kind": kind})


@pytest.mark.parametrize(
    "value", [1, "0", "-1", "01", "0x1", "1.0", "", " 1", "1\n", "\u0661", str(2**256), None, True]
)
def test_a_value_is_decimal_digits_from_1_to_256_bits(value: object) -> None:
    with pytest.raises(InvalidInput, match="value: "):
        parse_chain_event({**TRANSFER, "value": value})


def test_the_largest_value_is_taken() -> None:
    assert parse_chain_event(transfer(value=str(2**256 - 1))) == transfer(value=str(2**256 - 1))


@pytest.mark.parametrize("field", [name for name in TRANSFER if name not in ("kind", "removed")])
@pytest.mark.parametrize("wrong", [None, "no", -1, 1.5, [], {}, 2**64])
def test_a_field_that_is_missing_or_wrong_is_named(field: str, wrong: object) -> None:
    without = {name: value for name, value in TRANSFER.items() if name != field}
    for raw in (without, {**TRANSFER, field: wrong}):
        with pytest.raises(InvalidInput) as caught:
            parse_chain_event(raw)
        assert caught.value.field == field


def test_a_subscription_to_transfers_survives_storing_and_showing() -> None:
    raw = {
        "chain_id": 1,
        "kind": "transfer",
        "from": [A, A.lower()],
        "to": [B],
        "where": "value >= 10",
        "id": "sub_1",
    }
    made = parse_endpoint({"url": "https://e.com/", "subscriptions": [raw]}, str)
    [subscription] = made.subscriptions
    assert (subscription.kind, subscription.senders, subscription.recipients) == ("transfer", (A.lower(),), (B,))
    assert endpoint_from_stored(orjson.loads(orjson.dumps(made.stored()))) == made
    shown = subscription_json(subscription)
    assert (shown["kind"], list(shown["from"]), list(shown["to"])) == ("transfer", [A.lower()], [B])
    assert parse_subscription(orjson.loads(orjson.dumps(shown))) == subscription


def test_a_subscription_to_logs_says_so_and_can_be_given_back() -> None:
    subscription = parse_subscription({"chain_id": 1})
    shown = orjson.loads(orjson.dumps(subscription_json(subscription)))
    assert (shown["kind"], shown["from"], shown["to"]) == ("log", [], [])
    assert parse_subscription(shown) == subscription


@pytest.mark.parametrize(("field", "value"), [("addresses", [A]), ("event", "E()"), ("topics", [None])])
def test_fields_of_logs_are_refused_for_transfers(field: str, value: object) -> None:
    problem = refused(kind="transfer", **{field: value})
    assert problem.field == field
    assert problem.problem == "does not apply to transfers; allowed are from, to"


@pytest.mark.parametrize("field", ["from", "to"])
@pytest.mark.parametrize("kind", [{}, {"kind": "log"}, {"kind": None}])
def test_fields_of_transfers_are_refused_for_logs(field: str, kind: dict[str, Any]) -> None:
    problem = refused(**kind, **{field: [A]})
    assert problem.field == field
    assert problem.problem == "does not apply to logs; allowed are addresses, event, topics"


@pytest.mark.parametrize("kind", ["transfers", "", 1, [], ["log"]])
def test_a_kind_that_there_is_none_of_is_refused(kind: object) -> None:
    assert refused(kind=kind).field == "kind"


@pytest.mark.parametrize("field", ["from", "to"])
@pytest.mark.parametrize("wrong", [A, [A, "0x12"], [1], [A] * (MAX_ADDRESSES + 1), {}])
def test_a_list_of_accounts_is_one_of_addresses(field: str, wrong: object) -> None:
    assert refused(kind="transfer", **{field: wrong}).field.startswith(field)


def test_as_many_accounts_as_addresses_are_taken() -> None:
    many = [f"0x{n:040x}" for n in range(MAX_ADDRESSES)]
    assert len(parse_subscription({"chain_id": 1, "kind": "transfer", "from": many}).senders) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("amount > 5", "'amount' at column 1: transfer has from, to, value"),
        ("from < to", "because an address has no order"),
        ("value == -1", "from 0 to 2^256 - 1"),
    ],
)
def test_a_condition_is_about_from_to_and_value(where: str, said: str) -> None:
    problem = refused(kind="transfer", where=where)
    assert problem.field == "where"
    assert said in problem.problem
