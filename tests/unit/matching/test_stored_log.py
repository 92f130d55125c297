"""A log stored until its block is final is restored unchanged, and is small meanwhile."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.matching.notifications import deflate, inflate
from tests.support.events import EVENT

WORD = st.binary(min_size=32, max_size=32).map(lambda word: f"0x{word.hex()}")


@given(WORD, st.lists(WORD, max_size=4), st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_any_event_comes_back_as_it_was(block: str, topics: list[str], data: bytes, number: int) -> None:
    event = {**EVENT, "block_hash": block, "topics": topics, "data": f"0x{data.hex()}", "block_number": number}
    assert inflate(deflate(event), block) == event  # type: ignore[arg-type]


def test_a_transfer_takes_less_than_200_bytes() -> None:
    words = [f"0x{zlib.crc32(bytes([n])):08x}{n:056x}" for n in range(4)]
    transfer = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    who = [f"0x{'0' * 24}{'9f3a5c7e1b' * 4}", f"0x{'0' * 24}{'28d4f6a0c1' * 4}"]
    event = {**EVENT, "block_hash": words[0], "topics": [transfer, *who], "data": f"0x{10**18:064x}"}
    assert len(deflate(event)) < 200  # type: ignore[arg-type]


@pytest.mark.parametrize("garbage", [b"", b"x", b"\x00" * 50, b'{"chain_id":1}'])
def test_anything_but_a_stored_log_is_an_error(garbage: bytes) -> None:
    with pytest.raises((zlib.error, ValueError)):
        inflate(garbage, EVENT["block_hash"])
