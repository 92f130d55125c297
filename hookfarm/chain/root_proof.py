"""Proof of a block by the roots in its header: `verify=receipts-root`.

1. The fields of the block make its hash, so the roots are those of the block with this hash.
2. The receipts make receiptsRoot, so address, topics, data, order and number of all logs are proven, and the
   status of each transaction.
3. With transfers, the transactions make transactionsRoot, and each one its own hash. So hash, recipient and value
   are proven, and that no transaction is missing.

A node that leaves out, adds or changes a log is found out, whatever bloom it shows. Not proven are the hash of a
log's transaction without transfers, the sender of a transfer (it follows from the signature) and the address of a
created contract. A node may make up a whole block with a hash of its own; the block of another node then does not
link to it.

A header may have fields of forks that are unknown here. If so, and no hash of the chain has been recomputed yet,
it is used as it is, and `OTHER_HASH` is noticed: then the receipts match a header that the node may have made up.
Any other header whose fields do not make its hash is refused, so chains that hash in another way (zkSync, Cosmos
chains) need another proof.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import rlp  # type: ignore[import-untyped]

from hookfarm.abi.bloom import keccak
from hookfarm.chain.block import Header, parse_logs, quantity
from hookfarm.chain.rpc import Incomplete
from hookfarm.chain.transfers import Receipts
from hookfarm.errors import ChainUnavailable
from hookfarm.records import Event

OTHER_HASH = "block hash not recomputed"


class RootProof:
    """Proves the blocks of one chain. Every method raises Incomplete for a block that is not proven."""

    def __init__(self, chain_id: int) -> None:
        self._chain_id = chain_id
        self._recomputes = False
        """True after the first header whose fields make its hash."""

    def check_header(self, header: Header, raw: Any) -> bool:
        """Return whether the fields of a block make its hash; False = it has unknown fields."""
        if header_hash(raw) == header.block_hash:
            self._recomputes = True
        elif self._recomputes or not unknown_fields(raw):
            raise Incomplete(f"block {header.number}: its fields do not make its hash")
        return self._recomputes

    def events(self, header: Header, raw: Any, receipts: Receipts) -> list[Event]:
        """Return the events of a block. Their places are those in the receipts, whatever the logs say."""
        if receipts.absent:
            raise Incomplete(f"block {header.number}: no receipts of {len(receipts.absent)} transactions")
        ordered = [*receipts.of_transactions.values(), *receipts.of_system]
        try:
            root = ordered_root([encoded_receipt(receipt) for receipt in ordered])
            if root != _root(raw, "receiptsRoot"):
                raise Incomplete(f"block {header.number}: {len(ordered)} receipts do not make its receiptsRoot")
            return parse_logs(self._chain_id, header, _placed(ordered))
        except UnknownEncoding as error:
            raise UnknownEncoding(f"block {header.number}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ChainUnavailable(f"the node sent malformed receipts of block {header.number}") from error

    def check_transactions(self, header: Header, raw: Any, transactions: Sequence[Any]) -> None:
        """Check the transactions of a block, given in order."""
        try:
            encoded = [encoded_transaction(each) for each in transactions]
            if ordered_root(encoded) != _root(raw, "transactionsRoot"):
                count = f"{len(encoded)} transactions"
                raise Incomplete(f"block {header.number}: {count} do not make its transactionsRoot")
            for place, (each, made) in enumerate(zip(transactions, encoded, strict=True)):
                if each["hash"].lower() != "0x" + keccak(made).hex():
                    raise Incomplete(f"block {header.number}: transaction {place} does not make its hash")
        except UnknownEncoding as error:
            raise UnknownEncoding(f"block {header.number}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ChainUnavailable(f"the node sent malformed transactions of block {header.number}") from error


def has_receipts(raw: Any) -> bool:
    """Return whether the header commits to receipts; False = to none, so they need not be requested."""
    return bool(raw.get("receiptsRoot") != f"0x{EMPTY_ROOT.hex()}")


def _root(raw: Any, name: str) -> bytes:
    return bytes.fromhex(raw[name][2:])


def _placed(receipts: Sequence[Any]) -> list[Any]:
    """Return the logs of receipts with the places that the receipts give them."""
    logs: list[Any] = []
    for index, receipt in enumerate(receipts):
        place = {"transactionHash": receipt["transactionHash"], "transactionIndex": hex(index)}
        for log in receipt["logs"]:
            logs.append({**log, **place, "logIndex": hex(len(logs))})
    return logs


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
