import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.devchain.encoding import parse_data, parse_quantity, to_data, to_quantity


@given(st.integers(min_value=0, max_value=2**256))
def test_quantity_round_trips(number: int) -> None:
    assert parse_quantity(to_quantity(number)) == number


@given(st.binary(max_size=100))
def test_data_round_trips(value: bytes) -> None:
    assert parse_data(to_data(value)) == value


@pytest.mark.parametrize("text", ["", "0x", "5", "0x05", "0xg", "0x-1", "0x1\n", 5, None, ["0x1"]])
def test_malformed_quantity_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["", "0", "0x1", "0xgg", "1234", "0x12\n", 5, None])
def test_malformed_data_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_data(text)


def test_data_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="want 64"):
        parse_data("0x1234", 32)
