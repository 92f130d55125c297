"""What a subscription says about events is checked when it is made."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.errors import InvalidInput
from hookfarm.records import endpoint_from_stored, parse_endpoint, parse_subscription, subscription_json

TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"


def refused(raw: dict[str, Any]) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_subscription({"chain_id": 1, **raw})
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("text", ["", "Transfer", "Transfer(adress to)", "A() x"])
def test_an_event_that_is_no_signature_is_refused_with_the_position(text: str) -> None:
    problem = refused({"event": text})
    assert problem.field == "event"
    assert " at position " in problem.problem


def test_the_subscription_and_its_field_are_named() -> None:
    raw = {"url": "https://e.com/", "subscriptions": [{"chain_id": 1}, {"chain_id": 1, "event": "A("}]}
    with pytest.raises(InvalidInput) as caught:
        parse_endpoint(raw, str)
    assert caught.value.field == "subscriptions[1].event"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("value >", "the end at column 8: expected an argument or a literal"),
        ("valeu > 5", "'valeu' at column 1: Transfer has from, to, value"),
        (
            "value > 5 and from < to",
            "'<' at column 20: expected ==, !=, in or not in, because an address has no order",
        ),
        ("value == -1", "'-1' at column 10: expected an integer from 0 to 2^256 - 1 (uint256)"),
        ("", "the end at column 1: expected an argument or a literal"),
        (5, "5 is not a string"),
        (["value > 5"], "is not a string"),
        ("from == '\ud800'", "is not UTF-8"),
        (" " * 65_537, "is not a string of at most 65536 characters"),
    ],
)
def test_a_condition_is_checked_against_the_event_it_is_about(where: object, said: str) -> None:
    problem = refused({"event": TRANSFER, "where": where})
    assert problem.field == "where"
    assert said in problem.problem


@pytest.mark.parametrize("without", [{}, {"event": None}, {"topics": [None]}])
def test_a_condition_without_an_event_is_refused(without: dict[str, Any]) -> None:
    problem = refused({**without, "where": "value > 5"})
    assert (problem.field, problem.problem) == ("where", "requires event, whose signature decodes the arguments")


def test_a_wrong_condition_is_named_with_its_subscription() -> None:
    raw = {"url": "https://e.com/", "subscriptions": [{"chain_id": 1, "event": TRANSFER, "where": "value >"}]}
    with pytest.raises(InvalidInput) as caught:
        parse_endpoint(raw, str)
    assert caught.value.field == "subscriptions[0].where"
    assert " at column 8: " in caught.value.problem


def test_a_condition_is_kept_as_it_was_written() -> None:
    where = "value >= 1_000_000\n  and to == 0x" + "Ab" * 20
    made = parse_endpoint(
        {"url": "https://e.com/", "subscriptions": [{"chain_id": 1, "event": TRANSFER, "where": where}]}, str
    )
    assert made.subscriptions[0].where == where
    assert subscription_json(made.subscriptions[0])["where"] == where
    assert endpoint_from_stored(orjson.loads(orjson.dumps(made.stored()))) == made


@given(st.text() | st.text("value >=10and()from'"))
def test_any_condition_is_taken_or_refused(where: str) -> None:
    problem = "where: "
    try:
        parse_subscription({"chain_id": 1, "event": TRANSFER, "where": where})
    except InvalidInput as refusal:
        problem = str(refusal)
    assert problem.startswith("where: ")
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (None, ("emitted", "removed")),
        (["emitted"], ("emitted",)),
        (["finalized", "emitted", "finalized"], ("emitted", "finalized")),
        (["removed", "finalized"], ("removed", "finalized")),
    ],
)
def test_the_webhooks_of_a_log_are_selected_and_kept_in_order(given: object, taken: tuple[str, ...]) -> None:
    made = parse_endpoint({"url": "https://e.com/", "subscriptions": [{"chain_id": 1, "notify": given}]}, str)
    assert made.subscriptions[0].notify == taken
    assert subscription_json(made.subscriptions[0])["notify"] == list(taken)
    assert endpoint_from_stored(orjson.loads(orjson.dumps(made.stored()))) == made


@pytest.mark.parametrize("given", [[], "emitted", ["emitted", "gone"], [["emitted"]], [None], {}, 1, [{}]])
def test_unknown_webhooks_of_a_log_are_refused(given: object) -> None:
    problem = refused({"notify": given})
    assert (problem.field, "'emitted', 'removed' and 'finalized'" in problem.problem) == ("notify", True)


def test_removals_without_an_earlier_webhook_are_refused() -> None:
    assert refused({"notify": ["removed"]}).problem.startswith("removed alone is never sent")
