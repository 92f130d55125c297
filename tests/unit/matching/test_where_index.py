"""Subscriptions with a condition: which logs they match, and what of it is looked up instead of tested."""

import re
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak

from hookfarm.abi.signature import parse
from hookfarm.matching.decoder import DecodedLogs
from hookfarm.matching.filters import compile_filter
from hookfarm.matching.index import Index
from hookfarm.records import Event, Subscription
from tests.support.matching import ERC20, SHORT, TRANSFER, endpoint, endpoints, index_of, log, matched, subscribers

ALICE, BOB = "0x" + "a1" * 20, "0x" + "b0" * 20


def topic(address: str) -> str:
    return f"0x{address[2:]:0>64}"


def transfer(sender: str, to: str, value: int) -> Event:
    return log(topics=(TRANSFER, topic(sender), topic(to)), data=f"0x{value:064x}")


def test_each_gets_the_events_of_its_condition() -> None:
    index = subscribers({
        "to_bob": f"to == {BOB.upper().replace('X', 'x')}",
        "large": "value >= 1_000_000", "larger": "value > 1_000_000",
        "small": "value < 5", "smaller": "value <= 4", "five": "value == 5", "some": "value in (5, 6)",
        "not_five": "value != 5", "between": f"from == {ALICE} and value > 5 and value <= 100",
        "either": f"to == {ALICE} or to in ({BOB})", "itself": "from == to",
        "mixed": f"from == {BOB} or value == 6",
    })  # fmt: skip
    assert endpoints(index, transfer(ALICE, BOB, 5)) == ["either", "five", "some", "to_bob"]
    assert endpoints(index, transfer(BOB, BOB, 6)) == ["either", "itself", "mixed", "not_five", "some", "to_bob"]
    assert endpoints(index, transfer(ALICE, "0x" + "00" * 20, 100)) == ["between", "not_five"]
    assert endpoints(index, transfer(BOB, ALICE, 1_000_000)) == ["either", "large", "mixed", "not_five"]
    assert endpoints(index, transfer(ALICE, ALICE, 2**256 - 1)) == [
        "either", "itself", "large", "larger", "not_five",
    ]  # fmt: skip
    assert endpoints(index, transfer(ALICE, ALICE, 4)) == ["either", "itself", "not_five", "small", "smaller"]


@pytest.mark.parametrize("where", [f"to == {BOB}", "value == 5", "value <= 5", "value != 7", "not value == 7"])
def test_a_log_that_does_not_decode_does_not_match(where: str) -> None:
    index = subscribers({"ep": where})
    good = transfer(ALICE, BOB, 5)
    assert endpoints(index, good) == ["ep"]
    wrong: list[dict[str, Any]] = [
        {"topics": good["topics"][:2]}, {"topics": [*good["topics"], topic(BOB)]}, {"data": "0x"},
        {"data": good["data"][:-2]}, {"topics": [TRANSFER, "0x" + "ff" * 32, topic(BOB)]},
    ]  # fmt: skip
    for change in wrong:
        assert endpoints(index, {**good, **change}) == []  # type: ignore[typeddict-item]


def test_a_short_form_with_a_condition_wants_a_log_without_indexed_arguments() -> None:
    index = subscribers({"ep": "arg2 == 5"}, SHORT)
    data = "0x" + encode(["address", "address", "uint256"], [ALICE, BOB, 5]).hex()
    assert endpoints(index, log(topics=(TRANSFER,), data=data)) == ["ep"]
    assert endpoints(index, transfer(ALICE, BOB, 5)) == []


def test_the_same_event_of_another_contract_or_chain_does_not_match() -> None:
    only = Subscription("sub_1", 1, ("0x" + "11" * 20,), ERC20, where="value == 5")
    index = index_of(endpoint("ep", only))
    event = transfer(ALICE, BOB, 5)
    assert endpoints(index, {**event, "address": "0x" + "11" * 20}) == ["ep"]
    assert endpoints(index, event) == []
    assert endpoints(index, {**event, "address": "0x" + "11" * 20, "chain_id": 2}) == []


def test_an_indexed_text_is_matched_by_its_hash() -> None:
    event = "Named(string indexed name, bytes indexed blob)"
    index = subscribers({"alice": "name == 'Alice'", "one": "blob == 0x01", "other": "name != 'Alice'"}, event)
    words = (parse(event).topic0 or "", "0x" + keccak(b"Alice").hex(), "0x" + keccak(b"\x01").hex())
    assert endpoints(index, log(topics=words)) == ["alice", "one"]
    assert endpoints(index, log(topics=(words[0], words[2], words[1]))) == ["other"]


def test_the_first_topic_of_an_anonymous_event_is_its_first_indexed_argument() -> None:
    event = "Note(address indexed a, int8 indexed b, bytes4 indexed c, bool indexed d, uint256 e) anonymous"
    index = subscribers(
        {"all": f"a == {ALICE} and b == -1 and c == 0x12345678 and d and e == 7", "e": "e > 6"}, event
    )
    words = (topic(ALICE), "0x" + "ff" * 32, "0x12345678" + "0" * 56, f"0x{1:064x}")
    assert endpoints(index, log(topics=words, data=f"0x{7:064x}")) == ["all", "e"]
    assert endpoints(index, log(topics=words, data=f"0x{6:064x}")) == []
    assert endpoints(index, log(topics=(topic(BOB), *words[1:]), data=f"0x{7:064x}")) == ["e"]
    assert endpoints(index, log(topics=words[:3], data=f"0x{7:064x}")) == []


def test_a_contradiction_matches_nothing() -> None:
    index = subscribers({"ep": f"to == {ALICE} and to == {BOB}"})
    assert endpoints(index, transfer(ALICE, BOB, 5)) == []
    assert endpoints(index, transfer(BOB, ALICE, 5)) == []


@pytest.mark.parametrize(
    ("where", "dimensions", "is_looked_up", "is_tested"),
    [
        (f"to == {BOB}", (3, 1), False, False),
        (f"to in ({ALICE}, {BOB}) and from == {ALICE}", (2, 3, 1), False, False),
        (f"to == {ALICE} or to == {BOB}", (3, 1), False, False),
        ("value == 5", (1,), True, False),
        ("value == 5 or value in (6, 7)", (1,), True, False),
        ("value >= 5", (1,), True, False),
        (f"value >= 5 and to == {BOB} and value != 7", (3, 1), True, True),
        ("value != 5", (1,), False, True),
        (f"value == 5 or to == {BOB}", (1,), False, True),
        (f"not to == {BOB}", (1,), False, True),
    ],
)
def test_what_can_be_looked_up_is_not_tested(
    where: str, dimensions: tuple[int, ...], is_looked_up: bool, is_tested: bool
) -> None:
    compiled = compile_filter("ep", 0, Subscription("sub_1", 1, event=ERC20, where=where))
    assert compiled.form.shape.dimensions == dimensions
    assert (compiled.lookup is not None, compiled.form.residual is not None) == (is_looked_up, is_tested)


def test_conditions_of_one_form_share_their_test_and_differ_in_its_parameters() -> None:
    first, second = (
        compile_filter("ep", 0, Subscription("sub_1", 1, event=ERC20, where=f"value != {n} and not (to == {to})"))
        for n, to in ((5, ALICE), (-0, BOB))
    )
    assert first.form is second.form
    assert first.parameters == (frozenset({5}), frozenset({int(ALICE, 16)}))
    assert second.parameters == (frozenset({0}), frozenset({int(BOB, 16)}))


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("value == 5 and to == 0x12", r"'0x12' at column 22: expected an address"),
        (f"value == {2**256} and to == {ALICE}", r"at column 10: expected an integer from 0 to 2\^256 - 1"),
        (f"value == 007 and to == {ALICE}", r"'007' at column 10: numbers are whole"),
        (f"value == -1 and to == {ALICE}", r"'-1' at column 10: expected an integer"),
        (f"value == 5 and to == {ALICE}x", r"column 22: numbers are whole"),
    ],
)
def test_a_wrong_number_in_a_form_that_is_known_is_reported_where_it_stands(where: str, problem: str) -> None:
    index = subscribers({"right": f"value == 5 and to == {ALICE}", "minus": f"value == -0 and to == {ALICE}"})
    [found] = index.put(endpoint("wrong", Subscription("sub_1", 1, event=ERC20, where=where)))
    assert re.search(problem, str(found)), str(found)
    assert endpoints(index, transfer(BOB, ALICE, 5)) == ["right"]


@pytest.mark.parametrize("count", [1, 31, 32, 33, 400, 4000])
def test_a_list_of_any_length_is_matched_by_each_of_its_values(count: int) -> None:
    where = f"value in ({', '.join(map(str, range(count)))})"
    index = subscribers({"first": where, "second": where.replace("(0", "(7000")})
    assert endpoints(index, transfer(ALICE, BOB, count - 1)) == (["first", "second"] if count > 1 else ["first"])
    assert endpoints(index, transfer(ALICE, BOB, 0)) == ["first"]
    assert endpoints(index, transfer(ALICE, BOB, 7000)) == ["second"]
    assert endpoints(index, transfer(ALICE, BOB, count)) == []


class CountedMeanings(DecodedLogs):
    asked = 0

    def decode(self, signature: Any) -> Any:
        self.asked += 1
        return super().decode(signature)


@pytest.mark.parametrize(
    "where", [f"to == {topic(BOB)[:26]}{{:016x}}", "value == {}", "value >= {}", "value < -{}"]
)
def test_an_unwanted_log_costs_the_same_whatever_the_number_of_subscriptions(where: str) -> None:
    event = "Transfer(address indexed from, address indexed to, int256 value)"
    many = (
        endpoint(f"ep_{n}", Subscription("sub_1", 1, event=event, where=where.format(n))) for n in range(1, 2000)
    )
    emitted = transfer(ALICE, BOB, 0)
    decoded_logs = CountedMeanings(emitted)
    assert index_of(*many).match(emitted, decoded_logs) == []
    assert decoded_logs.asked <= 1


def test_a_condition_that_is_wrong_is_reported_and_the_other_subscriptions_are_matched() -> None:
    index = Index()
    subscriptions = (
        Subscription("sub_1", 1, event=ERC20, where="value > x"), Subscription("sub_2", 1, where="value > 1"),
        Subscription("sub_3", 1, event=ERC20, where="value > 1"),
    )  # fmt: skip
    problems = index.put(endpoint("ep", *subscriptions))
    assert [problem.field for problem in problems] == ["ep.subscriptions[0].where", "ep.subscriptions[1].where"]
    assert [m.subscription for m in matched(index, transfer(ALICE, BOB, 5))] == ["sub_3"]


def test_endpoints_come_and_go_without_a_trace_in_others() -> None:
    index = subscribers({f"ep_{n}": f"value > {n % 5}" for n in range(20)})
    for n in range(0, 20, 2):
        index.remove(f"ep_{n}")
    index.put(endpoint("ep_1", Subscription("sub_1", 1, event=ERC20, where="value == 3")))
    expected = sorted(["ep_1", *(f"ep_{n}" for n in range(3, 20, 2) if n % 5 < 3)])
    assert endpoints(index, transfer(ALICE, BOB, 3)) == expected


def test_a_bound_that_comes_after_an_event_counts_for_the_next_one() -> None:
    index = subscribers({"ep_1": "value >= 5"})
    assert endpoints(index, transfer(ALICE, BOB, 4)) == []
    index.put(endpoint("ep_2", Subscription("sub_1", 1, event=ERC20, where="value >= 3")))
    assert endpoints(index, transfer(ALICE, BOB, 4)) == ["ep_2"]
    index.remove("ep_2")
    assert endpoints(index, transfer(ALICE, BOB, 6)) == ["ep_1"]
