"""Encodings against those of others: real blocks, the package rlp with its own rules, and the devchain's trie."""

import json
from pathlib import Path
from typing import Any

import pytest
import rlp  # type: ignore[import-untyped]
from eth_account import Account
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.chain.root_proof import (
    EMPTY_ROOT,
    UnknownEncoding,
    encoded_receipt,
    encoded_transaction,
    header_hash,
    ordered_root,
)
from hookfarm.devchain import encoding as devchain
from hookfarm.errors import ChainUnavailable
from tests.support import evm_reference as reference
from tests.support.chain_samples import ZERO_BLOOM

ANVIL = json.loads((Path(__file__).parents[1] / "devchain" / "anvil_block.json").read_text())
"""A block of anvil 1.7.1 at Prague, with three transactions of one Transfer each."""
OPTIMISM = json.loads((Path(__file__).parent / "op_block.json").read_text())
"""Block 274 of an OP chain at Canyon, with one deposit."""
FRONTIER = {
    "hash": "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
    "parentHash": "0x" + "00" * 32,
    "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
    "miner": "0x" + "00" * 20,
    "stateRoot": "0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544",
    "transactionsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "receiptsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "logsBloom": ZERO_BLOOM,
    "difficulty": "0x400000000",
    "number": "0x0",
    "gasLimit": "0x1388",
    "gasUsed": "0x0",
    "timestamp": "0x0",
    "extraData": "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa",
    "mixHash": "0x" + "00" * 32,
    "nonce": "0x0000000000000042",
    "totalDifficulty": "0x400000000",
}
"""The genesis block of Ethereum."""

FIELDS_OF_FORKS = {"Frontier": 15, "London": 16, "Shanghai": 17, "Cancun": 20, "Prague": 21}


@pytest.mark.parametrize(
    "block", [FRONTIER, OPTIMISM["block"], ANVIL["block"]], ids=["Ethereum", "Optimism", "anvil"]
)
def test_the_hash_of_a_real_block_is_that_of_its_fields(block: dict[str, Any]) -> None:
    assert header_hash(block) == block["hash"]


@pytest.mark.parametrize("chain", [OPTIMISM, ANVIL], ids=["Optimism", "anvil"])
def test_the_roots_of_a_real_block_are_those_of_its_transactions_and_receipts(chain: dict[str, Any]) -> None:
    block, transactions = chain["block"], [encoded_transaction(each) for each in chain["block"]["transactions"]]
    assert [f"0x{keccak(each).hex()}" for each in transactions] == [each["hash"] for each in block["transactions"]]
    assert ordered_root(transactions).hex() == block["transactionsRoot"][2:]
    receipts = [encoded_receipt(each) for each in chain["receipts"]]
    assert ordered_root(receipts).hex() == block["receiptsRoot"][2:]


@pytest.mark.parametrize("fork", FIELDS_OF_FORKS)
def test_a_header_has_the_fields_up_to_its_fork(fork: str) -> None:
    names = reference.HEADER_FIELDS[: FIELDS_OF_FORKS[fork]]
    header = {name: ANVIL["block"][name] for name in names}
    quantities = reference.QUANTITIES
    fields = [int(header[name], 16) if name in quantities else reference.data(header[name]) for name in names]
    assert header_hash(header) == "0x" + keccak(rlp.encode(fields)).hex()


def test_a_later_field_of_a_header_may_come_without_an_earlier_one() -> None:
    header = {name: ANVIL["block"][name] for name in reference.HEADER_FIELDS[:20]}
    del header["withdrawalsRoot"]
    fields = [
        b""
        if name not in header
        else int(header[name], 16)
        if name in reference.QUANTITIES
        else reference.data(header[name])
        for name in reference.HEADER_FIELDS[:20]
    ]
    assert header_hash(header) == "0x" + keccak(rlp.encode(fields)).hex()


@pytest.mark.parametrize("name", reference.HEADER_FIELDS)
def test_each_field_is_part_of_the_hash(name: str) -> None:
    block = dict(ANVIL["block"])
    value = block[name]
    block[name] = "0xab" if value == "0x" else value[:-1] + ("1" if value[-1] != "1" else "2")
    assert header_hash(block) not in ("", ANVIL["block"]["hash"])


def test_a_header_without_a_field_has_no_hash() -> None:
    assert header_hash({**ANVIL["block"], "mixHash": None}) == ""


def test_a_header_with_a_field_of_another_kind_is_malformed() -> None:
    with pytest.raises(ChainUnavailable, match="malformed block header"):
        header_hash({**ANVIL["block"], "extraData": "0xabc"})


MANTA_SEPOLIA = {863731: (0xF9F5, 0xD2DF2, "3c715dd96d2597ccd46fde046da5e4b13e0a5b7d0a2ff60c3ee6c92fee9600ea")}


@pytest.mark.parametrize("number", MANTA_SEPOLIA)
def test_a_deposit_before_canyon_has_a_nonce_that_is_not_encoded(number: int) -> None:
    gas, nonce, root = MANTA_SEPOLIA[number]
    assert ordered_root([encoded_receipt(receipt("0x7e", gas=gas, depositNonce=hex(nonce)))]).hex() == root


def receipt(kind: str | None, *, gas: int = 21_000, **fields: Any) -> dict[str, Any]:
    raw: dict[str, Any] = {"status": "0x1", "cumulativeGasUsed": hex(gas), "logsBloom": ZERO_BLOOM, "logs": []}
    return {**raw, **fields} if kind is None else {**raw, "type": kind, **fields}


@pytest.mark.parametrize("kind", ["0x1", "0x2", "0x3", "0x4", "0x64", "0x68", "0x6a"])
def test_a_typed_receipt_is_its_type_and_that_of_a_legacy_one(kind: str) -> None:
    assert encoded_receipt(receipt(kind)) == bytes((int(kind, 16),)) + encoded_receipt(receipt("0x0"))
    assert encoded_receipt(receipt(None)) == encoded_receipt(receipt("0x0"))


@pytest.mark.parametrize(
    ("outcome", "first"),
    [
        ({"status": "0x0"}, b""),
        ({"status": "0x1"}, b"\x01"),
        ({"status": None, "root": "0x" + "ab" * 32}, b"\xab" * 32),
    ],
)
def test_a_receipt_begins_with_its_status_or_before_byzantium_with_a_state_root(
    outcome: dict[str, Any], first: bytes
) -> None:
    assert rlp.decode(encoded_receipt(receipt("0x0", **outcome)))[0] == first


@pytest.mark.parametrize("kind", ["0x5", "0x67", "0x78", "0x7b", "0xff"])
def test_a_type_without_a_known_encoding_is_named(kind: str) -> None:
    with pytest.raises(UnknownEncoding, match=f"receipts of type {kind} have no known encoding"):
        encoded_receipt(receipt(kind))
    with pytest.raises(UnknownEncoding, match=f"transactions of type {kind} have no known encoding"):
        encoded_transaction({"type": kind})


ARBITRUM_ONE = {
    "type": "0x6a",
    "chainId": "0xa4b1",
    "input": "0x6bf6a42d" + f"{0:064x}{0x16DDB27:064x}{0x185F29E6:064x}{0:064x}",
    "hash": "0x61d48ab94f7fccf48f4baa3903781053f932feb466474c037736e910d7ca2afe",
}
"""The first transaction of block 408,889,830."""


def test_the_hash_of_an_internal_transaction_of_arbitrum_is_that_of_its_encoding() -> None:
    assert f"0x{keccak(encoded_transaction(ARBITRUM_ONE)).hex()}" == ARBITRUM_ONE["hash"]


SIGNER = Account.from_key("0x" + "42" * 32)
ADDRESS = "0x" + "11" * 20
ACCESS = [{"address": ADDRESS, "storageKeys": [0, 2**255]}]
FEES = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}
SIGNED: dict[str, dict[str, Any]] = {
    "legacy": {"gasPrice": 10**9},
    "legacy contract creation": {"gasPrice": 10**9, "to": ""},
    "access list": {"gasPrice": 10**9, "accessList": ACCESS},
    "fees": FEES,
    "fees and access list": {**FEES, "accessList": ACCESS, "value": 0},
    "blobs": {**FEES, "maxFeePerBlobGas": 7, "blobVersionedHashes": [b"\x01" + bytes(31)], "accessList": ACCESS},
    "authorizations": {
        **FEES,
        "authorizationList": [
            SIGNER.sign_authorization({"chainId": chain_id, "address": ADDRESS, "nonce": 3}) for chain_id in (0, 5)
        ],
    },
}


@pytest.mark.parametrize("name", SIGNED)
def test_a_transaction_is_encoded_as_by_a_wallet(name: str) -> None:
    common = {"chainId": 5, "nonce": 0, "gas": 21_000, "to": ADDRESS, "value": 10**18, "data": "0xdead"}
    signed = SIGNER.sign_transaction({**common, **SIGNED[name]})
    assert encoded_transaction(as_json({**common, **SIGNED[name]}, signed)) == bytes(signed.raw_transaction)


def as_json(fields: dict[str, Any], signed: Any) -> dict[str, Any]:
    """Return a signed transaction as a node shows it."""
    first = signed.raw_transaction[0]
    shown = {name: hex(value) for name, value in fields.items() if isinstance(value, int)}
    shown |= {name: hex(getattr(signed, name)) for name in ("v", "r", "s")}
    lists: dict[str, Any] = {
        "accessList": [
            {"address": each["address"], "storageKeys": [f"0x{key:064x}" for key in each["storageKeys"]]}
            for each in fields.get("accessList", [])
        ],
        "blobVersionedHashes": [f"0x{each.hex()}" for each in fields.get("blobVersionedHashes", [])],
        "authorizationList": [
            {
                "address": f"0x{each.address.hex()}",
                "chainId": hex(each.chain_id),
                "nonce": hex(each.nonce),
                "yParity": hex(each.y_parity),
                "r": hex(each.r),
                "s": hex(each.s),
            }
            for each in fields.get("authorizationList", [])
        ],
    }
    kind = "0x0" if first > 0x7F else hex(first)
    return {**shown, **lists, "type": kind, "to": fields["to"] or None, "input": fields["data"]}


ROOTS_OF_PY_TRIE = {
    1: "805961674d96860f5912ea87cd65c9dcd4e407adbdaf9e3053c6109a43c89725",
    3: "3e335bdcef040f18614de25e93908b4dd00f358eb7c2e5aeb40c451c3aa1b83c",
    129: "b4327551382a05fb98e8b4829107bee6903d8143a93c08f4b83efe7fa1c677cb",
    300: "afbbe13f03c7318ae5cd6548f2efa34901e8fddbafaf61ac04b264370186cd6a",
}
"""Roots that py-trie's HexaryTrie computed over rlp(index) -> value."""


@pytest.mark.parametrize(("count", "root"), ROOTS_OF_PY_TRIE.items())
def test_the_root_of_a_trie_is_that_of_py_trie(count: int, root: str) -> None:
    assert ordered_root([b"v%d" % index for index in range(count)]).hex() == root


@given(st.integers(0, 700), st.integers(1, 60), st.integers(0, 2**32))
def test_the_root_of_a_trie_is_that_of_the_devchain(count: int, length: int, seed: int) -> None:
    values = [(b"%d/%d." % (seed, index)).ljust(length, b"x") for index in range(count)]
    assert ordered_root(values) == devchain.ordered_root(values)


def test_the_root_of_nothing_is_known_to_everybody() -> None:
    assert ordered_root([]).hex() == EMPTY_ROOT.hex() == FRONTIER["receiptsRoot"][2:]
