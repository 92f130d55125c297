import rlp as reference  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.devchain.encoding import RlpItem, rlp_encode

items = st.recursive(st.binary(max_size=600), lambda inner: st.lists(inner, max_size=8))


@given(items)
def test_encoding_equals_that_of_the_rlp_package(item: RlpItem) -> None:
    assert rlp_encode(item) == reference.encode(item)


@given(st.integers(min_value=0, max_value=2**256 - 1))
def test_numbers_are_big_endian_without_leading_zeros(number: int) -> None:
    assert rlp_encode(number) == reference.encode(number)


def test_long_strings_and_lists_carry_the_size_of_their_length() -> None:
    for length in (55, 56, 255, 256, 65_535, 65_536):
        assert rlp_encode(bytes(length)) == reference.encode(bytes(length))
        assert rlp_encode([b"\x01"] * length) == reference.encode([b"\x01"] * length)
