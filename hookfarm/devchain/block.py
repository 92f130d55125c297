"""A block of the devchain: header, hash, transactions, receipts, and the position of each log.

The header is Prague's: post-merge constants (EIP-3675: no uncles, difficulty and nonce zero), EIP-1559 base fee,
EIP-4895 withdrawals (always none), EIP-4844 blob gas (always none), EIP-4788 beacon root (zero) and EIP-7685
requests (always none). Encoding the JSON fields again gives the same hash.

`make_block` is a pure function. State is not kept, so `state_root` is not a trie root. It is keccak(parent's state
root, transactions root), or the parent's for an empty block.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from eth_hash.auto import keccak

from hookfarm.abi import bloom
from hookfarm.devchain.encoding import EMPTY_ROOT, ordered_root, rlp_encode, rlp_encode_list, to_data
from hookfarm.devchain.transaction import BASE_FEE_PER_GAS, TYPE, Call, Log, Transaction, transaction_of

EMPTY_UNCLES_HASH = keccak(rlp_encode([]))
EMPTY_REQUESTS_HASH = hashlib.sha256().digest()
ZERO_HASH = bytes(32)
NONCE = bytes(8)
MINER = bytes(20)

GAS_LIMIT = 1_000_000_000
"""Enough for 10,000 transfers in a block."""


@dataclass(frozen=True, slots=True)
class DevHeader:
    """Header of a block: the fields that differ between blocks.

    Hashes and roots are 32 bytes, `logs_bloom` is 256."""

    parent_hash: bytes
    number: int
    timestamp: int
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    logs_bloom: bytes
    gas_used: int
    extra_data: bytes
    mix_hash: bytes

    def encoded(self) -> bytes:
        """Return the header's RLP, in the order of the yellow paper (4.3.2) and the EIPs above."""
        return rlp_encode(
            [
                self.parent_hash,
                EMPTY_UNCLES_HASH,
                MINER,
                self.state_root,
                self.transactions_root,
                self.receipts_root,
                self.logs_bloom,
                0,
                self.number,
                GAS_LIMIT,
                self.gas_used,
                self.timestamp,
                self.extra_data,
                self.mix_hash,
                NONCE,
                BASE_FEE_PER_GAS,
                EMPTY_ROOT,
                0,
                0,
                ZERO_HASH,
                EMPTY_REQUESTS_HASH,
            ]
        )


SUCCESS, FAILURE = 1, 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """Receipt of a transaction; `first_log_index` is the block-wide index of its first log."""

    cumulative_gas_used: int
    logs_bloom: int
    first_log_index: int


@dataclass(frozen=True, slots=True, eq=False)
class DevBlock:
    """A block with its transactions and receipts.

    `hash` is 0x-hex; `transaction_count` counts the chain's transactions up to and including this block.
    """

    header: DevHeader
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
        return to_data(self.header.parent_hash)

    @property
    def log_count(self) -> int:
        return sum(len(transaction.call.logs) for transaction in self.transactions)

    @property
    def entry_count(self) -> int:
        """Number of logs plus transactions without logs, a measure of the body's memory."""
        return sum(len(transaction.call.logs) or 1 for transaction in self.transactions)


def genesis(timestamp: int, extra_data: bytes, mix_hash: bytes) -> DevBlock:
    header = DevHeader(
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


def make_block(
    parent: DevBlock,
    transactions: Sequence[Transaction],
    timestamp: int,
    mix_hash: bytes,
    number: int | None = None,
) -> DevBlock:
    """Return the child of `parent` with these transactions, in order. `number` None = the parent's + 1."""
    receipts = _receipts(transactions)
    transactions_root = ordered_root([transaction.encoded for transaction in transactions])
    header = DevHeader(
        parent_hash=bytes.fromhex(parent.hash[2:]),
        number=parent.number + 1 if number is None else number,
        timestamp=timestamp,
        state_root=_state_root(parent, transactions, transactions_root),
        transactions_root=transactions_root,
        receipts_root=_receipts_root(transactions, receipts),
        logs_bloom=_bloom_of(receipts),
        gas_used=receipts[-1].cumulative_gas_used if receipts else 0,
        extra_data=parent.header.extra_data,
        mix_hash=mix_hash,
    )
    count = parent.transaction_count + len(transactions)
    return _block(header, tuple(transactions), tuple(receipts), count)


def pruned(block: DevBlock) -> DevBlock:
    """Return the block without its body, like a node with expired history."""
    return replace(block, transactions=(), receipts=())


MAX_FORGED_BLOCKS = 64


@lru_cache(maxsize=MAX_FORGED_BLOCKS)
def forged(block: DevBlock, forgery: str, header: str) -> DevBlock:
    """Return the block as a lying node shows it: consistent in all answers, under its true hash.

    `header` is `true`, or a field that fits what is shown: `bloom`, or `roots` besides.
    """
    shown = FORGERIES[forgery](block.transactions)
    receipts = tuple(_receipts(shown))
    fields = block.header
    if header != "true":
        fields = replace(fields, logs_bloom=_bloom_of(receipts))
    if header == "roots":
        transactions_root = ordered_root([transaction.encoded for transaction in shown])
        fields = replace(
            fields, transactions_root=transactions_root, receipts_root=_receipts_root(shown, receipts)
        )
    return replace(block, header=fields, transactions=shown, receipts=receipts)


_Transactions = tuple[Transaction, ...]


def _without_last_log(transactions: _Transactions) -> _Transactions:
    return _with_last_logs(transactions, lambda logs: logs[:-1])


def _with_added_log(transactions: _Transactions) -> _Transactions:
    return _with_last_logs(transactions, lambda logs: (*logs, logs[-1]))


def _with_other_data(transactions: _Transactions) -> _Transactions:
    return _with_last_logs(transactions, lambda logs: (*logs[:-1], replace(logs[-1], data=logs[-1].data[::-1])))


def _with_swapped_data(transactions: _Transactions) -> _Transactions:
    """Give the last two transactions with logs the data of each other's last log."""
    places = _with_logs(transactions)[-2:]
    if len(places) < 2:
        return transactions
    data = [transactions[place].call.logs[-1].data for place in reversed(places)]
    for place, other in zip(places, data, strict=True):
        logs = transactions[place].call.logs
        transactions = _with_logs_at(transactions, place, (*logs[:-1], replace(logs[-1], data=other)))
    return transactions


def _without_last_transaction(transactions: _Transactions) -> _Transactions:
    return transactions[:-1]


def _with_other_value(transactions: _Transactions) -> _Transactions:
    """Double the value of the last transaction that moves one."""
    place = max((place for place, each in enumerate(transactions) if each.moves_value), default=None)
    if place is None:
        return transactions
    call = transactions[place].call
    changed = replace(transactions[place], call=replace(call, value=2 * call.value))
    return (*transactions[:place], changed, *transactions[place + 1 :])


FORGERIES: Mapping[str, Callable[[_Transactions], _Transactions]] = MappingProxyType(
    {
        "omitted_log": _without_last_log,
        "added_log": _with_added_log,
        "other_data": _with_other_data,
        "swapped_data": _with_swapped_data,
        "omitted_transaction": _without_last_transaction,
        "other_value": _with_other_value,
    }
)


def _with_logs(transactions: _Transactions) -> list[int]:
    return [place for place, each in enumerate(transactions) if each.call.logs]


def _with_last_logs(
    transactions: _Transactions, change: Callable[[tuple[Log, ...]], tuple[Log, ...]]
) -> _Transactions:
    """Change the logs of the last transaction that has some."""
    places = _with_logs(transactions)
    return (
        _with_logs_at(transactions, places[-1], change(transactions[places[-1]].call.logs))
        if places
        else transactions
    )


def _with_logs_at(transactions: _Transactions, place: int, logs: tuple[Log, ...]) -> _Transactions:
    transaction = transactions[place]
    changed = replace(transaction, call=replace(transaction.call, logs=logs))
    return (*transactions[:place], changed, *transactions[place + 1 :])


def transactions_after(parent: DevBlock, calls: Sequence[Call], chain_id: int) -> list[Transaction]:
    """Return the calls as transactions with the next nonces after `parent`."""
    first = parent.transaction_count
    return [transaction_of(call, first + i, chain_id) for i, call in enumerate(calls)]


def status_of(transaction: Transaction) -> int:
    """Return the status of a transaction in its receipt (EIP-658)."""
    return FAILURE if transaction.call.fails else SUCCESS


def _receipts(transactions: Sequence[Transaction]) -> list[Receipt]:
    receipts, gas_used, log_index = [], 0, 0
    for transaction in transactions:
        gas_used += transaction.gas
        logs = transaction.call.logs
        receipts.append(Receipt(gas_used, bloom.union(log.bloom() for log in logs), log_index))
        log_index += len(logs)
    return receipts


def _bloom_of(receipts: Sequence[Receipt]) -> bytes:
    return bloom.to_bytes(bloom.union(receipt.logs_bloom for receipt in receipts))


def _receipts_root(transactions: Sequence[Transaction], receipts: Sequence[Receipt]) -> bytes:
    return ordered_root([_encoded_receipt(*pair) for pair in zip(transactions, receipts, strict=True)])


def _encoded_receipt(transaction: Transaction, receipt: Receipt) -> bytes:
    """Return a receipt by EIP-2718: the type byte, then the RLP of status, cumulative gas, bloom and logs."""
    return TYPE + rlp_encode_list(
        [
            rlp_encode(status_of(transaction)),
            rlp_encode(receipt.cumulative_gas_used),
            rlp_encode(bloom.to_bytes(receipt.logs_bloom)),
            rlp_encode_list([log.encoded() for log in transaction.call.logs]),
        ]
    )


def _state_root(parent: DevBlock, transactions: Sequence[Transaction], transactions_root: bytes) -> bytes:
    if not transactions:
        return parent.header.state_root
    return keccak(parent.header.state_root + transactions_root)


def _block(
    header: DevHeader,
    transactions: tuple[Transaction, ...],
    receipts: tuple[Receipt, ...],
    transaction_count: int,
) -> DevBlock:
    encoded = header.encoded()
    return DevBlock(
        header=header,
        hash=to_data(keccak(encoded)),
        size=_size(encoded, transactions),
        transactions=transactions,
        receipts=receipts,
        transaction_count=transaction_count,
    )


def _size(encoded_header: bytes, transactions: Sequence[Transaction]) -> int:
    """Return the size of the block's RLP: header, transactions (each as one string), uncles, withdrawals."""
    body = rlp_encode_list([rlp_encode(transaction.encoded) for transaction in transactions])
    return len(rlp_encode_list([encoded_header, body, rlp_encode([]), rlp_encode([])]))
