"""One block, sealed: header, hash, transactions, receipts, and where each log stands.

`seal` is a pure function of its arguments. State is not kept, so `state_root` is no trie root but
keccak(parent's state root, transactions root), and the parent's own where nothing happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from eth_hash.auto import keccak

from hookfarm.abi import bloom
from hookfarm.devchain import rlp
from hookfarm.devchain.header import ZERO_HASH, Header
from hookfarm.devchain.hex_values import data
from hookfarm.devchain.transaction import TYPE, Call, Transaction, transaction_of
from hookfarm.devchain.trie import EMPTY_ROOT, ordered_root

SUCCESS, FAILURE = 1, 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """`first_log_index` is the position in the block of the transaction's first log."""

    cumulative_gas_used: int
    logs_bloom: int
    first_log_index: int


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """`hash` is 0x-hex; `transaction_count` counts the chain's transactions up to this block."""

    header: Header
    hash: str
    size: int
    transactions: tuple[Transaction, ...]
    receipts: tuple[Receipt, ...]
    transaction_count: int

    @property
    def number(self) -> int:
        return self.header.number

    @property
    def parent_hash(self) -> str:
        return data(self.header.parent_hash)

    @property
    def log_count(self) -> int:
        return sum(len(transaction.call.logs) for transaction in self.transactions)

    @property
    def entry_count(self) -> int:
        """Logs, and transactions without any: what its body takes of the memory."""
        return sum(len(transaction.call.logs) or 1 for transaction in self.transactions)


def genesis(timestamp: int, extra_data: bytes, mix_hash: bytes) -> Block:
    header = Header(
        parent_hash=ZERO_HASH,
        number=0,
        timestamp=timestamp,
        state_root=EMPTY_ROOT,
        transactions_root=EMPTY_ROOT,
        receipts_root=EMPTY_ROOT,
        logs_bloom=bloom.to_bytes(0),
        gas_used=0,
        extra_data=extra_data,
        mix_hash=mix_hash,
    )
    return _block(header, (), (), 0)


def seal(parent: Block, transactions: Sequence[Transaction], timestamp: int, mix_hash: bytes) -> Block:
    """The child of `parent` with these transactions, in this order."""
    receipts = _receipts(transactions)
    transactions_root = ordered_root([transaction.encoded for transaction in transactions])
    header = Header(
        parent_hash=bytes.fromhex(parent.hash[2:]),
        number=parent.number + 1,
        timestamp=timestamp,
        state_root=_state_root(parent, transactions, transactions_root),
        transactions_root=transactions_root,
        receipts_root=ordered_root([_encoded_receipt(*pair) for pair in zip(transactions, receipts, strict=True)]),
        logs_bloom=bloom.to_bytes(bloom.union(receipt.logs_bloom for receipt in receipts)),
        gas_used=receipts[-1].cumulative_gas_used if receipts else 0,
        extra_data=parent.header.extra_data,
        mix_hash=mix_hash,
    )
    count = parent.transaction_count + len(transactions)
    return _block(header, tuple(transactions), tuple(receipts), count)


def pruned(block: Block) -> Block:
    """The same block without its body, as a node keeps it once its history has expired."""
    return replace(block, transactions=(), receipts=())


def transactions_after(parent: Block, calls: Sequence[Call], chain_id: int) -> list[Transaction]:
    """The calls as transactions with the nonces that come next after `parent`."""
    first = parent.transaction_count
    return [transaction_of(call, first + i, chain_id) for i, call in enumerate(calls)]


def status_of(transaction: Transaction) -> int:
    """As its receipt says it (EIP-658)."""
    return FAILURE if transaction.call.fails else SUCCESS


def _receipts(transactions: Sequence[Transaction]) -> list[Receipt]:
    receipts, gas_used, log_index = [], 0, 0
    for transaction in transactions:
        gas_used += transaction.gas
        logs = transaction.call.logs
        receipts.append(Receipt(gas_used, bloom.union(log.bloom() for log in logs), log_index))
        log_index += len(logs)
    return receipts


def _encoded_receipt(transaction: Transaction, receipt: Receipt) -> bytes:
    """EIP-2718: the type byte, then the RLP of status, gas so far, bloom and logs."""
    return TYPE + rlp.encode_list(
        [
            rlp.encode(status_of(transaction)),
            rlp.encode(receipt.cumulative_gas_used),
            rlp.encode(bloom.to_bytes(receipt.logs_bloom)),
            rlp.encode_list([log.encoded() for log in transaction.call.logs]),
        ]
    )


def _state_root(parent: Block, transactions: Sequence[Transaction], transactions_root: bytes) -> bytes:
    if not transactions:
        return parent.header.state_root
    return keccak(parent.header.state_root + transactions_root)


def _block(
    header: Header,
    transactions: tuple[Transaction, ...],
    receipts: tuple[Receipt, ...],
    transaction_count: int,
) -> Block:
    encoded = header.encoded()
    return Block(
        header=header,
        hash=data(keccak(encoded)),
        size=_size(encoded, transactions),
        transactions=transactions,
        receipts=receipts,
        transaction_count=transaction_count,
    )


def _size(encoded_header: bytes, transactions: Sequence[Transaction]) -> int:
    """Bytes of the block's RLP: header, transactions (each as one string), uncles, withdrawals."""
    body = rlp.encode_list([rlp.encode(transaction.encoded) for transaction in transactions])
    return len(rlp.encode_list([encoded_header, body, rlp.encode([]), rlp.encode([])]))
