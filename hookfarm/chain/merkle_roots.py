"""Encodings that a block header commits to, made from JSON-RPC objects: the header itself, receipts, transactions.

- A block's hash is the keccak of the RLP of its header (yellow paper, 4.4.3). Fields were added by EIP-1559
  (baseFeePerGas), EIP-4895 (withdrawalsRoot), EIP-4844 (blobGasUsed, excessBlobGas), EIP-4788
  (parentBeaconBlockRoot) and EIP-7685 (requestsHash).
- receiptsRoot and transactionsRoot are roots of tries from rlp(position) to the encoded receipt or transaction
  (yellow paper, 4.4.1 and appendix D).
- A receipt is [status or state root (EIP-658), cumulative gas, bloom, logs], after a type byte if it has a type
  (EIP-2718). It does not contain the hash of its transaction.
- The types are 0 legacy, 1 (EIP-2930), 2 (EIP-1559), 3 (EIP-4844), 4 (EIP-7702), 0x7e deposits of the OP stack,
  and 0x64 to 0x6a of Arbitrum; of the latter, transactions are encoded here only of type 0x6a, which opens each
  block. Since the OP fork Canyon, the receipt of a deposit has two more fields, if it has a
  depositReceiptVersion. Without one its depositNonce is not encoded.

RLP is from the package `rlp`. The package `trie` inserts value by value, and encodes all nodes on the path each
time: 200 µs per receipt. The keys here are 0 to n, so each node is made once, bottom-up.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import rlp  # type: ignore[import-untyped]

from hookfarm.abi.bloom import keccak
from hookfarm.chain.block import quantity
from hookfarm.chain.rpc import Incomplete
from hookfarm.errors import ChainUnavailable

Item = Any
"""Bytes, or a list of items."""
Encoder = Callable[[Any], Item]
Fields = tuple[tuple[str, Encoder], ...]

LEGACY, ARBITRUM_INTERNAL, DEPOSIT = 0x00, 0x6A, 0x7E
TYPED_RECEIPTS = frozenset({1, 2, 3, 4, DEPOSIT, *range(0x64, 0x6B)} - {0x67})
"""Types whose receipts are encoded alike. Of Arbitrum's, 0x67 is not in use."""


class UnknownEncoding(Incomplete):
    """A receipt or transaction of a type without a known encoding."""


def _number(raw: Any) -> bytes:
    """Return a quantity in as few bytes as possible; null is 0."""
    value = 0 if raw is None else quantity(raw)
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _data(raw: Any) -> bytes:
    """Return hexadecimal data; null is empty, as in the `to` of a contract creation.

    Raises ValueError also for spaces, which `bytes.fromhex` ignores: the text itself is published.
    """
    if raw is None:
        return b""
    value = bytes.fromhex(raw[2:])
    if len(raw) != 2 + 2 * len(value) or raw[:2] != "0x":
        raise ValueError("not hexadecimal data")
    return value


def _flag(raw: Any) -> bytes:
    return b"\x01" if raw else b""


def _hashes(raw: Any) -> Item:
    return [_data(each) for each in raw]


def _access_list(raw: Any) -> Item:
    return [[_data(each["address"]), _hashes(each["storageKeys"])] for each in raw or ()]


def _authorizations(raw: Any) -> Item:
    return [[encode(each[name]) for name, encode in _AUTHORIZATION] for each in raw]


def _fields(encoder: Encoder, *names: str) -> Fields:
    return tuple((name, encoder) for name in names)


_AUTHORIZATION = (("chainId", _number), ("address", _data), *_fields(_number, "nonce", "yParity", "r", "s"))
_HEADER: Fields = (
    *_fields(_data, "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot"),
    ("logsBloom", _data),
    *_fields(_number, "difficulty", "number", "gasLimit", "gasUsed", "timestamp"),
    *_fields(_data, "extraData", "mixHash", "nonce"),
)
_LATER_HEADER: Fields = (
    ("baseFeePerGas", _number),
    ("withdrawalsRoot", _data),
    *_fields(_number, "blobGasUsed", "excessBlobGas"),
    *_fields(_data, "parentBeaconBlockRoot", "requestsHash"),
)
"""Fields of forks. A header has those up to its newest fork; one that is absent before a later one is empty."""

_BESIDE_HEADER = frozenset(
    {"hash", "size", "totalDifficulty", "transactions", "uncles", "withdrawals", "author", "sealFields"}
)
"""Names in a block of JSON-RPC that are not fields of its header."""

_CALL: Fields = (("gas", _number), ("to", _data), ("value", _number), ("input", _data))
_FEES: Fields = _fields(_number, "maxPriorityFeePerGas", "maxFeePerGas")
_SIGNATURE: Fields = _fields(_number, "yParity", "r", "s")
_ACCESS: Fields = (("accessList", _access_list),)
_BLOBS: Fields = (("maxFeePerBlobGas", _number), ("blobVersionedHashes", _hashes))
_SENDER: Fields = _fields(_number, "chainId", "nonce")
_TRANSACTIONS: Mapping[int, Fields] = {
    LEGACY: (*_fields(_number, "nonce", "gasPrice"), *_CALL, *_fields(_number, "v", "r", "s")),
    1: (*_SENDER, ("gasPrice", _number), *_CALL, *_ACCESS, *_SIGNATURE),
    2: (*_SENDER, *_FEES, *_CALL, *_ACCESS, *_SIGNATURE),
    3: (*_SENDER, *_FEES, *_CALL, *_ACCESS, *_BLOBS, *_SIGNATURE),
    4: (*_SENDER, *_FEES, *_CALL, *_ACCESS, ("authorizationList", _authorizations), *_SIGNATURE),
    ARBITRUM_INTERNAL: (("chainId", _number), ("input", _data)),
    DEPOSIT: (
        *_fields(_data, "sourceHash", "from", "to"),
        *_fields(_number, "mint", "value", "gas"),
        ("isSystemTx", _flag),
        ("input", _data),
    ),
}
_MAY_BE_ABSENT = frozenset({"to", "mint", "isSystemTx", "accessList"})


def header_hash(raw: Any) -> str:
    """Return the hash that the fields of a block make; empty if fields are missing."""
    if any(raw.get(name) is None for name, _ in _HEADER):
        return ""
    newest = max(
        (place for place, (name, _) in enumerate(_LATER_HEADER, 1) if raw.get(name) is not None), default=0
    )
    fields = [*_HEADER, *_LATER_HEADER[:newest]]
    try:
        encoded = _rlp([encode(raw.get(name)) for name, encode in fields])
    except (TypeError, ValueError) as error:
        raise ChainUnavailable("the node sent a malformed block header") from error
    return "0x" + keccak(encoded).hex()


def unknown_fields(raw: Any) -> list[str]:
    """Return the names in a block that may be header fields of forks that are unknown here."""
    known = _BESIDE_HEADER.union(name for name, _ in (*_HEADER, *_LATER_HEADER))
    return sorted(name for name, value in raw.items() if value is not None and name not in known)


def encoded_receipt(receipt: Any) -> bytes:
    """Return the encoding of a receipt. Raises UnknownEncoding."""
    status = receipt.get("status")
    fields = [
        _data(receipt["root"]) if status is None else _number(status),
        _number(receipt["cumulativeGasUsed"]),
        _data(receipt["logsBloom"]),
        [[_data(log["address"]), _hashes(log["topics"]), _data(log["data"])] for log in receipt["logs"]],
    ]
    kind = quantity(receipt.get("type") or "0x0")
    if kind == LEGACY:
        return _rlp(fields)
    if kind not in TYPED_RECEIPTS:
        raise UnknownEncoding(f"receipts of type {kind:#x} have no known encoding")
    if kind == DEPOSIT and receipt.get("depositReceiptVersion") is not None:
        fields += [_number(receipt["depositNonce"]), _number(receipt["depositReceiptVersion"])]
    return bytes((kind,)) + _rlp(fields)


def encoded_transaction(transaction: Any) -> bytes:
    """Return the encoding of a transaction, whose keccak is its hash. Raises UnknownEncoding."""
    kind = quantity(transaction.get("type") or "0x0")
    if kind not in _TRANSACTIONS:
        raise UnknownEncoding(f"transactions of type {kind:#x} have no known encoding")
    payload = _rlp([encode(_field(transaction, name)) for name, encode in _TRANSACTIONS[kind]])
    return payload if kind == LEGACY else bytes((kind,)) + payload


def _field(transaction: Any, name: str) -> Any:
    if name == "yParity" and name not in transaction:
        return transaction["v"]  # Its older name.
    return transaction.get(name) if name in _MAY_BE_ABSENT else transaction[name]


def _rlp(item: Item) -> bytes:
    encoded: bytes = rlp.encode(item, infer_serializer=False)
    return encoded


EMPTY_ROOT = keccak(_rlp(b""))
_BRANCH_VALUE = b""
"""Always empty: no key is a prefix of another one."""


_Leaf = tuple[bytes, bytes]
"""Remaining nibbles of the key, one per byte, and the value."""


def ordered_root(values: Sequence[bytes]) -> bytes:
    """Return the root of the trie from rlp(position) to each value."""
    if not values:
        return EMPTY_ROOT
    keys = (_nibbles(_rlp(place.to_bytes((place.bit_length() + 7) // 8, "big"))) for place in range(len(values)))
    return keccak(_rlp(_node(sorted(zip(keys, values, strict=True)))))


def _node(leaves: Sequence[_Leaf]) -> Item:
    """Return the node of leaves in the order of their keys."""
    key, value = leaves[0]
    if len(leaves) == 1:
        return [_compact(key, leaf=True), value]
    shared = _shared(key, leaves[-1][0])
    if shared:
        return [_compact(key[:shared], leaf=False), _reference([(key[shared:], value) for key, value in leaves])]
    children: list[Item] = [b""] * 16
    for nibble, group in groupby(leaves, key=lambda leaf: leaf[0][0]):
        children[nibble] = _reference([(key[1:], value) for key, value in group])
    return [*children, _BRANCH_VALUE]


def _reference(leaves: Sequence[_Leaf]) -> Item:
    """Return how a parent contains the node of these leaves: itself if its RLP is short, else its hash."""
    node = _node(leaves)
    encoded = _rlp(node)
    return node if len(encoded) < 32 else keccak(encoded)


def _shared(first: bytes, last: bytes) -> int:
    """Return the length of the common prefix of two keys."""
    pairs = zip(first, last, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(first), len(last)))


def _nibbles(key: bytes) -> bytes:
    return bytes(nibble for byte in key for nibble in (byte >> 4, byte & 15))


def _compact(nibbles: bytes, *, leaf: bool) -> bytes:
    """Return nibbles packed into bytes after two flags, leaf and odd length (yellow paper, appendix C)."""
    odd = len(nibbles) % 2
    flags = bytes((2 * leaf + odd,)) if odd else bytes((2 * leaf, 0))
    packed = flags + nibbles
    return bytes(high << 4 | low for high, low in zip(packed[::2], packed[1::2], strict=True))
