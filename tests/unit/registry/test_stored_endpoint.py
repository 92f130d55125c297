"""A stored endpoint that is plainly valid is decoded quickly, to the same record as by the full check."""

import contextlib
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint, Subscription
from hookfarm.registry import stored_endpoint
from hookfarm.registry.store import decode, new_secret

ERC20 = "Transfer(address indexed from, address indexed to, uint256 value)"
ADDRESSES = st.lists(st.sampled_from([f"0x{n:040x}" for n in range(3)]), max_size=2).map(tuple)
TOPICS = st.lists(st.none() | st.lists(st.just("0x" + "ab" * 32), min_size=1, max_size=2).map(tuple), max_size=4)
SUBSCRIPTIONS = st.builds(
    Subscription,
    st.sampled_from(["sub_1", "sub_2", "sub_3"]),
    st.sampled_from([1, 10]),
    ADDRESSES,
    st.none() | st.just(ERC20),
    st.none() | TOPICS.map(tuple),
    st.none() | st.just("value > 5"),
    st.sampled_from([0, 12, "safe"]),
    st.sampled_from([("emitted", "removed"), ("finalized",)]),
    st.sampled_from(["log", "transfer"]),
    ADDRESSES,
    ADDRESSES,
)
ENDPOINTS = st.builds(
    Endpoint,
    st.sampled_from(["ep_1", "ep_2"]),
    st.sampled_from(["https://example.com/1", "https://example.com/2"]),
    st.sampled_from(["", "ü"]),
    st.lists(SUBSCRIPTIONS, max_size=3).map(tuple),
    st.sampled_from([(), (("x-a", "b"),)]),
    st.sampled_from([1.5, 15.0]),
    st.sampled_from([None, 7]),
    st.sampled_from([None, 2.5]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, "gone"]),
    st.just(((new_secret(), None),)),
)
FOREIGN: st.SearchStrategy[Any] = st.sampled_from([
    None, True, 0, 1, -1, 1.0, 1e300, "", "x", "0xAB", "ä" * 600, "x" * 3000, [], [1], [None], [[]], ["x"], {},
    {"x": 1}, ["0x" + "A" * 40], ["0x" + "ab" * 20], [["0x" + "AB" * 32]], [["whsec_", "x"]],
    [[new_secret(), True]],
])  # fmt: skip


def outcome(decoded: Any) -> Any:
    """The endpoint in full, types included, or the reason why it is none."""
    with contextlib.suppress(InvalidInput):
        return repr(decoded())
    try:
        decoded()
    except InvalidInput as error:
        return str(error)


def fully(stored: bytes) -> Endpoint:
    """As `decode` does for whatever is not plainly valid."""
    try:
        return stored_endpoint._decode_any(orjson.loads(stored), subscriptions=True)
    except InvalidInput:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput("endpoint", f"cannot be read ({type(error).__name__}: {error})") from error


@given(ENDPOINTS)
def test_what_may_be_stored_is_decoded_as_by_the_full_check(endpoint: Endpoint) -> None:
    stored = orjson.dumps(endpoint.stored())
    assert outcome(lambda: decode(stored)) == outcome(lambda: fully(stored))


@settings(max_examples=600)
@given(ENDPOINTS, st.data())
def test_whatever_is_stored_in_a_field_is_decoded_as_by_the_full_check(
    endpoint: Endpoint, data: st.DataObject
) -> None:
    raw = endpoint.stored()
    target = data.draw(st.sampled_from([raw, *raw["subscriptions"]]))
    name = data.draw(st.sampled_from([*target, "foreign"]))
    target[name] = data.draw(FOREIGN)
    stored = orjson.dumps(raw)
    assert outcome(lambda: decode(stored)) == outcome(lambda: fully(stored))


@given(ENDPOINTS, st.data())
def test_an_endpoint_that_lacks_any_field_is_decoded_as_by_the_full_check(
    endpoint: Endpoint, data: st.DataObject
) -> None:
    raw = endpoint.stored()
    target = data.draw(st.sampled_from([raw, *raw["subscriptions"]]))
    del target[data.draw(st.sampled_from(list(target)))]
    stored = orjson.dumps(raw)
    assert outcome(lambda: decode(stored)) == outcome(lambda: fully(stored))
