"""The expected roots were computed with py-trie's HexaryTrie over rlp(index) -> value."""

import pytest
from eth_hash.auto import keccak

from hookfarm.devchain.encoding import EMPTY_ROOT, ordered_root

ROOTS_OF_HASHES = {
    1: "014fa3a9a960b9e7e66915311c0192ae78c775e92b98fdd03120f8270c6f31ea",
    2: "df817436f0e8329b8e34b636cf4330568559a7bcc4af32884015c44be987f440",
    16: "6fdf4f74ff12ce2a4ec4816eec76f26786317a9c63402dffba58a05e1eb0c043",
    17: "79aa6ac6b8d65a7fd9283a697de89b5123480a0553824d48f875a687861d5ea3",
    128: "3aa7a8f3b3dd8abbccca289643ff78ab9e4a4f843699083121b7faed5e04d681",
    129: "6bcf31d765cc39ff93fe6be628c337f863b0aeb6ff4bd56c188d2fb3b2fa2248",
    256: "3866f23321aaea1616051af29f1cc794a9c79e8f3961d7abe1605ec109c230f0",
    300: "dcdea058aeef36a85aee290fd1058a3790286821499adb16f59ae2c9faa6f987",
}

ROOTS_OF_SHORT_VALUES = {
    1: "805961674d96860f5912ea87cd65c9dcd4e407adbdaf9e3053c6109a43c89725",
    3: "3e335bdcef040f18614de25e93908b4dd00f358eb7c2e5aeb40c451c3aa1b83c",
    129: "b4327551382a05fb98e8b4829107bee6903d8143a93c08f4b83efe7fa1c677cb",
    300: "afbbe13f03c7318ae5cd6548f2efa34901e8fddbafaf61ac04b264370186cd6a",
}


@pytest.mark.parametrize(("count", "root"), ROOTS_OF_HASHES.items())
def test_root_over_values_of_32_bytes(count: int, root: str) -> None:
    values = [keccak(index.to_bytes(4, "big")) for index in range(count)]
    assert ordered_root(values).hex() == root


@pytest.mark.parametrize(("count", "root"), ROOTS_OF_SHORT_VALUES.items())
def test_root_over_values_whose_nodes_are_embedded_in_their_parents(count: int, root: str) -> None:
    assert ordered_root([b"v%d" % index for index in range(count)]).hex() == root


def test_root_over_nothing_is_the_empty_trie() -> None:
    assert (
        ordered_root([])
        == EMPTY_ROOT
        == bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
    )
