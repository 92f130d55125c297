"""What a subscription says about events is checked when it is made."""

from typing import Any

import pytest

from hookfarm.errors import InvalidInput
from hookfarm.records import parse_endpoint, parse_subscription


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
