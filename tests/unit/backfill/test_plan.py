from dataclasses import replace

import pytest

from hookfarm.backfill.plan import BackfillRequest, last_block, narrowed
from hookfarm.errors import InvalidInput, OperatorError
from hookfarm.records import Endpoint, Subscription

ENDPOINT = Endpoint(
    "ep_1",
    "http://127.0.0.1:9/",
    subscriptions=(Subscription("sub_a", 1), Subscription("sub_b", 1), Subscription("sub_c", 2)),
)
REQUEST = BackfillRequest("ep_1", 1, 100, None, None)


def test_the_same_request_has_the_same_name_however_far_the_chain_is() -> None:
    assert REQUEST.name == "ep_1:1:100::"
    assert replace(REQUEST, to_block=200, subscription="sub_a").name == "ep_1:1:100:200:sub_a"
    changes = (
        {"to_block": 0},
        {"from_block": 1},
        {"chain_id": 2},
        {"subscription": "sub_b"},
        {"endpoint": "ep_2"},
    )
    others = [replace(REQUEST, **changed) for changed in changes]
    assert len({REQUEST.name, *(other.name for other in others)}) == 1 + len(others)


def test_only_the_subscriptions_of_the_chain_are_matched_or_the_one_that_is_named() -> None:
    assert [s.id for s in narrowed(ENDPOINT, REQUEST).subscriptions] == ["sub_a", "sub_b"]
    assert [s.id for s in narrowed(ENDPOINT, replace(REQUEST, subscription="sub_b")).subscriptions] == ["sub_b"]


@pytest.mark.parametrize(
    ("request_", "endpoint", "field"),
    [
        (replace(REQUEST, chain_id=3), ENDPOINT, "--chain"),
        (replace(REQUEST, subscription="sub_c"), ENDPOINT, "--subscription"),
        (REQUEST, replace(ENDPOINT, enabled=False), "ENDPOINT"),
    ],
)
def test_an_endpoint_that_wants_nothing_of_it_is_refused(
    request_: BackfillRequest, endpoint: Endpoint, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        narrowed(endpoint, request_)
    assert refused.value.field == field


def test_it_ends_with_the_checkpoint_unless_told_otherwise() -> None:
    assert last_block(REQUEST, 150) == 150
    assert last_block(replace(REQUEST, to_block=120), 150) == 120
    assert last_block(replace(REQUEST, to_block=100), 100) == 100


@pytest.mark.parametrize(
    ("request_", "checkpoint", "field"),
    [
        (replace(REQUEST, to_block=151), 150, "--to-block"),
        (replace(REQUEST, to_block=99), 150, "--from-block"),
        (REQUEST, 99, "--from-block"),
    ],
)
def test_blocks_that_are_not_published_or_in_no_order_are_refused(
    request_: BackfillRequest, checkpoint: int, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        last_block(request_, checkpoint)
    assert refused.value.field == field


def test_a_chain_that_nobody_watches_is_refused() -> None:
    with pytest.raises(OperatorError, match="chain 1 has no checkpoint yet"):
        last_block(REQUEST, None)
