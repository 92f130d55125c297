import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.abi.signature import MAX_CHARACTERS, MAX_TUPLE_DEPTH, parse
from hookfarm.errors import InvalidInput

TOPIC0_OF = {
    "Transfer(address,address,uint256)": "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
    "Approval(address,address,uint256)": "8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925",
    "ApprovalForAll(address,address,bool)": "17307eab39ab6107e8899845ad3d59bd9653f200f220920489ca2b5937696c31",
    "OwnershipTransferred(address,address)": "8be0079c531659141344cd1fd0a4f28419497f9722a3daafe3b4186f6b6457e0",
    "Deposit(address,uint256)": "e1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c",
    "Sync(uint112,uint112)": "1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1",
    "TransferBatch(address,address,address,uint256[],uint256[])": (
        "4a39dc06d4c0dbc64b70af90fd698a233a518aa5d07e595d983b8c0526c8f7fb"
    ),
}


@pytest.mark.parametrize(("text", "topic0"), TOPIC0_OF.items())
def test_topic0_is_the_keccak_hash_that_the_chains_use(text: str, topic0: str) -> None:
    assert parse(text).topic0 == f"0x{topic0}"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("Transfer(address indexed from, address indexed to, uint256 value)", "Transfer(address,address,uint256)"),
        ("event Transfer(address, address, uint);", "Transfer(address,address,uint256)"),
        ("  event\tA ( uint  x ,\n int y ) ; ", "A(uint256,int256)"),
        ("Paused()", "Paused()"),
        ("event E() anonymous;", "E()"),
        ("$_1(bool $a)", "$_1(bool)"),
        ("A(uint8[3][] x)", "A(uint8[3][])"),
        ("A((uint256 a, address b) c)", "A((uint256,address))"),
        ("A(tuple(uint a, (bytes, string)[2] b)[] c, bytes32)", "A((uint256,(bytes,string)[2])[],bytes32)"),
        ("A(bytes1, bytes32, uint8, int248, function)", "A(bytes1,bytes32,uint8,int248,function)"),
        ("A(address from, uint to)", "A(address,uint256)"),
    ],
)
def test_every_way_to_write_an_event_has_one_canonical_form(text: str, canonical: str) -> None:
    assert parse(text).canonical == canonical


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("", 1, "the event's name"),
        ("Transfer", 9, "expected '('"),
        ("Transfer(address", 17, "',' or ')'"),
        ("Transfer(address,)", 18, "expected a type"),
        ("Transfer(address to value)", 21, "',' or ')'"),
        ("Transfer(address) x", 19, "expected the end"),
        ("Transfer(address);;", 19, "expected the end"),
        ("event(address)", 6, "the event's name"),
        ("A(uint7 x)", 3, "uint8 to uint256"),
        ("A(uint08 x)", 3, "uint8 to uint256"),
        ("A(int264)", 3, "int8 to int256"),
        ("A(bytes33)", 3, "bytes1 to bytes32"),
        ("A(bytes0)", 3, "bytes1 to bytes32"),
        ("A(ufixed128x18 x)", 3, "fixed-point"),
        ("A(fixed)", 3, "not supported"),
        ("A(IERC20 token)", 3, "a contract is address"),
        ("A(uint[0] x)", 8, "array size"),
        ("A(uint[100001] x)", 8, "array size"),
        ("A(uint[x] y)", 8, "expected ']'"),
        ("A(uint[)", 8, "expected ']'"),
        ("A(() x)", 4, "expected a type"),
        ("A(tuple x)", 9, "'(' after tuple"),
        ("A((uint indexed a) b)", 9, "cannot be indexed"),
        ("A(uint indexed indexed)", 16, "cannot be a name"),
        ("A(string memory x)", 10, "cannot be a name"),
        ("A(uint é)", 8, "unexpected character"),
        ("A(uint indexed, uint indexed, uint indexed, uint indexed)", 50, "at most 3"),
        ("A(" + ",".join(["uint indexed"] * 5) + ") anonymous", 60, "at most 4"),
        ("A(" + "(" * MAX_TUPLE_DEPTH + "(uint)" + ")" * MAX_TUPLE_DEPTH + ")", 11, "nested"),
        ("A(uint" + "[]" * 9 + ")", 23, "array dimensions"),
    ],
)
def test_a_wrong_signature_is_refused_with_what_is_wrong_and_where(text: str, position: int, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(text)
    assert refused.value.field == "event"
    assert said in refused.value.problem
    assert f" at position {position}" in refused.value.problem


def test_a_signature_of_more_than_the_longest_length_is_refused() -> None:
    with pytest.raises(InvalidInput, match="4097 characters; at most 4096"):
        parse("A" * (MAX_CHARACTERS + 1))


def test_the_same_text_is_the_same_signature_however_many_others_there_are() -> None:
    first = parse("A(uint a)")
    others = [parse(f"A{n}(uint a)") for n in range(10_000)]
    assert parse("A(uint a)") is first
    assert parse("A5(uint a)") is others[5]


def test_indexed_flags_and_names_stand_in_order() -> None:
    event = parse("A(uint indexed a, uint, uint indexed)")
    assert event.indexed == (True, False, True)
    assert [p.name for p in event.parameters] == ["a", "", ""]
    assert event.topic_count == 3


def test_an_anonymous_event_has_no_topic0_and_may_index_four_parameters() -> None:
    event = parse("A(uint indexed a, uint indexed b, uint indexed c, uint indexed d) anonymous")
    assert (event.topic0, event.topic_count) == (None, 4)


@given(st.text(alphabet="event (),;[]0123456789uintaddressbytesindexedtuple\n", max_size=60))
def test_any_text_is_parsed_or_refused_in_one_line(text: str) -> None:
    try:
        event = parse(text)
    except InvalidInput as refused:
        said = str(refused)
    else:
        said = ""
        assert parse(event.canonical).canonical == event.canonical
    assert "\n" not in said
