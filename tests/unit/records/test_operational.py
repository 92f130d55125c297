"""Operational subscriptions as records."""

from typing import Any

import pytest

from hookfarm.errors import InvalidInput
from hookfarm.matching.index import Index
from hookfarm.records import Endpoint, parse_subscription, subscription_json
from hookfarm.records.operational import CHAIN_STALLED, DELIVERY_DEAD, EVENTS
from hookfarm.records.subscriptions import stored_subscription

GIVEN = {"id": "sub_a", "kind": "operational", "events": [DELIVERY_DEAD, CHAIN_STALLED]}


def refusal(raw: object) -> str:
    with pytest.raises(InvalidInput) as refused:
        parse_subscription(raw)
    return str(refused.value)


def test_it_is_the_same_after_its_way_through_the_registry() -> None:
    subscription = parse_subscription(GIVEN)
    assert subscription_json(subscription) == GIVEN
    assert stored_subscription(subscription_json(subscription)) == subscription


def test_an_event_that_is_named_twice_is_wanted_once() -> None:
    assert parse_subscription({**GIVEN, "events": [DELIVERY_DEAD] * 2}).events == (DELIVERY_DEAD,)


def test_without_an_id_it_gets_one() -> None:
    assert parse_subscription({"kind": "operational", "events": list(EVENTS)}).id.startswith("sub_")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"events": []}, "events"),
        ({"events": None}, "events"),
        ({"events": "hookfarm.delivery.dead"}, "events"),
        ({"events": [DELIVERY_DEAD, "hookfarm.nothing"]}, "events[1]"),
        ({"events": [{}]}, "events[0]"),
        ({"chain_id": 1}, "chain_id"),
        ({"addresses": []}, "addresses"),
        ({"id": "a"}, "id"),
        ({"id": 7}, "id"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], field: str) -> None:
    assert refusal({**GIVEN, **changes}).startswith(f"{field}: ")


def test_it_is_of_no_chain_and_matches_no_event() -> None:
    index = Index()
    assert not index.put(Endpoint(id="ep_1", url="http://a", subscriptions=(parse_subscription(GIVEN),)))
    assert index.chains == frozenset()
