from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.abi.signature import parse
from hookfarm.matching.decoder import DecodedLogs
from hookfarm.matching.filters import MAX_KEYS_PER_VALUE, compile_filter, dimensions
from hookfarm.matching.index import Index, Match
from hookfarm.records import MAX_ADDRESSES, Endpoint, Event, Subscription, TopicFilter
from tests.support.matching import ERC20, SHORT, TRANSFER, endpoint, index_of, log, matched

ERC721 = "Transfer(address indexed from, address indexed to, uint256 indexed id)"
ANONYMOUS = "LogNote(uint256 indexed what, address who) anonymous"
A, B, C = (f"0x{n:064x}" for n in (10, 11, 12))
ADDRESSES = [f"0x{n:040x}" for n in range(3)]


def wants(emitted: Event, **subscription: object) -> bool:
    only = Subscription("sub_1", 1, **subscription)  # type: ignore[arg-type]
    return bool(matched(index_of(endpoint("ep_1", only)), emitted))


@pytest.mark.parametrize(
    ("filters", "topics", "expected"),
    [
        ((), (), True),
        ((), (A, B), True),
        (((A,),), (A,), True),
        (((A,),), (A, B), True),
        (((A,),), (B, A), False),
        (((A,),), (), False),
        ((None,), (A,), True),
        ((None,), (), False),
        ((None, (B,)), (A, B), True),
        ((None, (B,)), (A,), False),
        ((None, (B,)), (B, A), False),
        (((A,), (B,)), (A, B), True),
        (((A, B), (A, B)), (B, A), True),
        (((A, B), (A, B)), (A, C), False),
        (((A,), None), (A,), False),
        (((A,), None), (A, C), True),
        ((None, None, None, None), (A, B, C), False),
        ((None, None, None, None), (A, B, C, A), True),
        ((None, None, None, (A,)), (A, B, C, A), True),
    ],
)
def test_topics_mean_by_position_what_they_mean_in_eth_get_logs(
    filters: tuple[TopicFilter, ...], topics: tuple[str, ...], expected: bool
) -> None:
    assert wants(log(topics=topics), topics=filters) is expected


def test_an_event_with_indexed_parameters_wants_exactly_its_number_of_topics() -> None:
    assert wants(log(topics=(TRANSFER, A, B)), event=ERC20)
    assert not wants(log(topics=(TRANSFER, A, B, C)), event=ERC20)
    assert not wants(log(topics=(TRANSFER, A, B)), event=ERC721)
    assert wants(log(topics=(TRANSFER, A, B, C)), event=ERC721)


def test_a_short_form_wants_its_topic0_whatever_follows() -> None:
    assert wants(log(topics=(TRANSFER,)), event=SHORT)
    assert wants(log(topics=(TRANSFER, A, B, C)), event=SHORT)
    assert not wants(log(topics=(A,)), event=SHORT)


def test_an_anonymous_event_wants_its_number_of_topics_and_data_that_decode() -> None:
    assert wants(log(topics=(A,), data="0x" + "00" * 12 + "11" * 20), event=ANONYMOUS)
    assert not wants(log(topics=(A, B), data="0x" + "00" * 12 + "11" * 20), event=ANONYMOUS)
    assert not wants(log(topics=(A,), data="0x1234"), event=ANONYMOUS)


def test_an_event_of_another_chain_is_not_matched() -> None:
    assert not wants(log(chain_id=2))


def test_an_endpoint_gets_one_match_by_the_first_of_its_subscriptions_that_wants_the_event() -> None:
    subscriptions = (
        Subscription("sub_other", 1, addresses=(ADDRESSES[1],)),
        Subscription("sub_first", 1, event=ERC20),
        Subscription("sub_any", 1),
        Subscription("sub_address", 1, addresses=(ADDRESSES[0],)),
    )
    index = index_of(endpoint("ep_1", *subscriptions))
    assert matched(index, log(topics=(TRANSFER, A, B))) == [Match("ep_1", "sub_first", parse(ERC20), 0)]
    assert [m.subscription for m in matched(index, log(topics=(A,)))] == ["sub_any"]


def test_a_disabled_endpoint_is_forgotten() -> None:
    enabled = endpoint("ep_1", Subscription("sub_1", 1))
    index = index_of(enabled)
    index.put(replace(enabled, enabled=False))
    assert matched(index, log()) == []
    assert index.chains == frozenset()


def test_a_changed_endpoint_is_matched_by_its_new_subscriptions_only() -> None:
    index = index_of(endpoint("ep_1", Subscription("sub_1", 1)), endpoint("ep_2", Subscription("sub_2", 1)))
    index.put(endpoint("ep_1", Subscription("sub_3", 7)))
    assert [m.subscription for m in matched(index, log())] == ["sub_2"]
    assert [m.subscription for m in matched(index, log(chain_id=7))] == ["sub_3"]
    assert index.chains == {1, 7}


def test_a_wrong_signature_is_reported_and_the_other_subscriptions_are_matched() -> None:
    index = Index()
    wrong = endpoint("ep_1", Subscription("sub_1", 1, event="Transfer("), Subscription("sub_2", 1))
    [problem] = index.put(wrong)
    assert problem.field == "ep_1.subscriptions[0].event"
    assert [m.subscription for m in matched(index, log())] == ["sub_2"]


def test_a_list_of_a_hundred_thousand_addresses_is_matched_by_each_of_them() -> None:
    addresses = tuple(f"0x{n:040x}" for n in range(MAX_ADDRESSES))
    index = index_of(endpoint("ep_1", Subscription("sub_1", 1, addresses, event=ERC20)))
    for address, expected in ((addresses[0], 1), (addresses[-1], 1), (f"0x{MAX_ADDRESSES:040x}", 0)):
        assert len(matched(index, log(address, (TRANSFER, A, B)))) == expected


def test_lists_times_lists_do_not_make_a_large_index_and_still_match() -> None:
    many = tuple(f"0x{n:064x}" for n in range(500))
    subscription = Subscription("sub_1", 1, topics=(None, many, many, many))
    compiled = compile_filter("ep_1", 0, subscription)
    assert sum(1 for _ in compiled.keys) <= MAX_KEYS_PER_VALUE * 3 * len(many)
    index = index_of(endpoint("ep_1", subscription))
    assert matched(index, log(topics=(C, many[1], many[2], many[3])))
    assert not matched(index, log(topics=(C, many[1], many[2], f"0x{500:064x}")))


TOPICS = st.sampled_from([A, B, C, TRANSFER])
TOPIC_FILTERS = st.none() | st.lists(TOPICS, min_size=1, max_size=3, unique=True).map(tuple)
EVENTS = st.sampled_from([ERC20, ERC721, SHORT, ANONYMOUS])
LOGS = st.builds(
    log,
    st.sampled_from(ADDRESSES),
    st.lists(TOPICS, max_size=4).map(tuple),
    st.sampled_from(["0x", "0x" + "00" * 32]),
    st.sampled_from([1, 2]),
)


@st.composite
def subscriptions(draw: st.DrawFn) -> Subscription:
    event = draw(st.none() | EVENTS)
    topics = None if event else draw(st.none() | st.lists(TOPIC_FILTERS, max_size=4).map(tuple))
    addresses = draw(st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True).map(tuple))
    identity = f"sub_{draw(st.uuids())}"
    return Subscription(identity, draw(st.sampled_from([1, 2])), addresses, event, topics)


ENDPOINTS = st.lists(st.lists(subscriptions(), max_size=4), max_size=6).map(
    lambda lists: [endpoint(f"ep_{n}", *each) for n, each in enumerate(lists)]
)


def naively_wants(subscription: Subscription, event: Event) -> bool:
    """The definition, word for word, for one subscription and one log."""
    topics = event["topics"]
    if subscription.chain_id != event["chain_id"]:
        return False
    if subscription.addresses and event["address"] not in subscription.addresses:
        return False
    if subscription.event is not None:
        signature = parse(subscription.event)
        if signature.anonymous:
            return DecodedLogs(event).as_json(signature) is not None
        if not topics or topics[0] != signature.topic0:
            return False
        return not any(signature.indexed) or len(topics) == 1 + sum(signature.indexed)
    wanted = subscription.topics or ()
    return len(topics) >= len(wanted) and all(
        choice is None or topics[position] in choice for position, choice in enumerate(wanted)
    )


def naively_matched(endpoints: list[Endpoint], event: Event) -> dict[str, str]:
    return {
        each.id: next(s.id for s in each.subscriptions if naively_wants(s, event))
        for each in endpoints
        if any(naively_wants(s, event) for s in each.subscriptions)
    }


@given(ENDPOINTS, LOGS)
def test_the_index_matches_what_the_definition_matches(endpoints: list[Endpoint], event: Event) -> None:
    index = index_of(*endpoints)
    found = matched(index, event)
    assert index.may_match(event["chain_id"], dimensions(event)) or not found
    assert {match.endpoint: match.subscription for match in found} == naively_matched(endpoints, event)
    assert len({match.endpoint for match in found}) == len(found)


@given(ENDPOINTS, ENDPOINTS, LOGS)
def test_an_index_that_was_changed_equals_one_that_was_made_anew(
    before: list[Endpoint], after: list[Endpoint], event: Event
) -> None:
    index = index_of(*before)
    for each in after:
        index.put(each)
    for each in before[len(after) :]:
        index.remove(each.id)
    assert {m.endpoint: m.subscription for m in matched(index, event)} == naively_matched(after, event)
    for each in after:
        index.remove(each.id)
    assert index.chains == frozenset()
    assert index.endpoints == 0
