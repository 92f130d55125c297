"""Blocks, transactions, receipts and logs as JSON-RPC objects (execution-apis, eth schemas), with faults applied.

The objects of a block are built once and shared by all responses: never change them. The faults imitate other
kinds of nodes: headers without a bloom, logs with other indices or timestamps.
"""

from collections import Counter
from functools import lru_cache
from typing import Any

from eth_hash.auto import keccak

from hookfarm.abi import bloom
from hookfarm.devchain.block import (
    EMPTY_REQUESTS_HASH,
    EMPTY_UNCLES_HASH,
    GAS_LIMIT,
    MINER,
    NONCE,
    ZERO_HASH,
    DevBlock,
    status_of,
)
from hookfarm.devchain.encoding import EMPTY_ROOT, to_data, to_quantity
from hookfarm.devchain.faults import Faults
from hookfarm.devchain.transaction import (
    BASE_FEE_PER_GAS,
    MAX_FEE_PER_GAS,
    PRIORITY_FEE_PER_GAS,
    SIGNATURE_S,
    TRANSFER_TOPIC,
    Transaction,
    token_address,
)

JsonObject = dict[str, Any]

MAX_CACHED_BLOCKS = 32
"""Blocks with cached logs, for clients that follow the head; 1.5 kB per log."""

_text = lru_cache(maxsize=4096)(to_data)
"""Cached hex form of addresses and topics, which recur."""


def header_json(block: DevBlock) -> JsonObject:
    """Return a header as JSON, with its hash."""
    header = block.header
    return {
        "hash": block.hash,
        "parentHash": to_data(header.parent_hash),
        "sha3Uncles": to_data(EMPTY_UNCLES_HASH),
        "miner": to_data(MINER),
        "stateRoot": to_data(header.state_root),
        "transactionsRoot": to_data(header.transactions_root),
        "receiptsRoot": to_data(header.receipts_root),
        "logsBloom": to_data(header.logs_bloom),
        "difficulty": "0x0",
        "number": to_quantity(header.number),
        "gasLimit": to_quantity(GAS_LIMIT),
        "gasUsed": to_quantity(header.gas_used),
        "timestamp": to_quantity(header.timestamp),
        "extraData": to_data(header.extra_data),
        "mixHash": to_data(header.mix_hash),
        "nonce": to_data(NONCE),
        "baseFeePerGas": to_quantity(BASE_FEE_PER_GAS),
        "withdrawalsRoot": to_data(EMPTY_ROOT),
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": to_data(ZERO_HASH),
        "requestsHash": to_data(EMPTY_REQUESTS_HASH),
    }


def block_json(block: DevBlock, chain_id: int, *, full_transactions: bool) -> JsonObject:
    transactions: list[JsonObject] | list[str]
    if full_transactions:
        indices = range(len(block.transactions))
        transactions = [transaction_json(block, index, chain_id) for index in indices]
    else:
        transactions = [to_data(transaction.hash) for transaction in block.transactions]
    return header_json(block) | {
        "size": to_quantity(block.size),
        "uncles": [],
        "transactions": transactions,
        "withdrawals": [],
    }


def transaction_json(block: DevBlock, index: int, chain_id: int) -> JsonObject:
    transaction = block.transactions[index]
    return {
        "type": "0x2",
        "chainId": to_quantity(chain_id),
        "nonce": to_quantity(transaction.nonce),
        "gas": to_quantity(transaction.gas),
        "maxFeePerGas": to_quantity(MAX_FEE_PER_GAS),
        "maxPriorityFeePerGas": to_quantity(PRIORITY_FEE_PER_GAS),
        "to": to_data(transaction.call.to) if transaction.call.to else None,
        "value": to_quantity(transaction.call.value),
        "accessList": [],
        "input": to_data(transaction.call.input),
        "r": to_quantity(int.from_bytes(transaction.call.sender, "big")),
        "s": to_quantity(SIGNATURE_S),
        "yParity": "0x0",
        "v": "0x0",
        "hash": to_data(transaction.hash),
        "blockHash": block.hash,
        "blockNumber": to_quantity(block.number),
        "transactionIndex": to_quantity(index),
        "from": to_data(transaction.call.sender),
        "gasPrice": to_quantity(BASE_FEE_PER_GAS + PRIORITY_FEE_PER_GAS),
        "blockTimestamp": to_quantity(block.header.timestamp),
    }


def receipt_json(block: DevBlock, index: int) -> JsonObject:
    transaction, receipt = block.transactions[index], block.receipts[index]
    first, count = receipt.first_log_index, len(transaction.call.logs)
    return {
        "type": "0x2",
        "status": to_quantity(status_of(transaction)),
        "cumulativeGasUsed": to_quantity(receipt.cumulative_gas_used),
        "logs": logs_json(block)[first : first + count],
        "logsBloom": to_data(bloom.to_bytes(receipt.logs_bloom)),
        "transactionHash": to_data(transaction.hash),
        "transactionIndex": to_quantity(index),
        "blockHash": block.hash,
        "blockNumber": to_quantity(block.number),
        "gasUsed": to_quantity(transaction.gas),
        "effectiveGasPrice": to_quantity(BASE_FEE_PER_GAS + PRIORITY_FEE_PER_GAS),
        "from": to_data(transaction.call.sender),
        "to": to_data(transaction.call.to) if transaction.call.to else None,
        "contractAddress": to_data(transaction.created) if transaction.created else None,
    }


@lru_cache(maxsize=MAX_CACHED_BLOCKS)
def logs_json(block: DevBlock) -> list[JsonObject]:
    """Return all logs of the block in order, as in a result of `eth_getLogs`."""
    logs: list[JsonObject] = []
    for index, transaction in enumerate(block.transactions):
        logs.extend(_logs_of(block, index, transaction, len(logs)))
    return logs


def native_transfers_json(block: DevBlock) -> list[JsonObject]:
    """Return the transactions that moved the chain's own currency.

    For a contract creation, `to` is the new contract.
    """
    return [
        {
            "blockHash": block.hash,
            "blockNumber": to_quantity(block.number),
            "blockTimestamp": to_quantity(block.header.timestamp),
            "hash": to_data(transaction.hash),
            "transactionIndex": to_quantity(index),
            "from": to_data(transaction.call.sender),
            "to": to_data(transaction.created or transaction.call.to),
            "value": to_quantity(transaction.call.value),
        }
        for index, transaction in enumerate(block.transactions)
        if transaction.moves_value
    ]


def removed_logs_json(block: DevBlock) -> list[JsonObject]:
    """Return the block's logs as a subscription announces their removal by a reorg."""
    return [log | {"removed": True} for log in logs_json(block)]


def _logs_of(block: DevBlock, index: int, transaction: Transaction, first_log_index: int) -> list[JsonObject]:
    position = {
        "blockHash": block.hash,
        "blockNumber": to_quantity(block.number),
        "blockTimestamp": to_quantity(block.header.timestamp),
        "transactionHash": to_data(transaction.hash),
        "transactionIndex": to_quantity(index),
    }
    return [
        {
            "address": _text(log.address),
            "topics": [_text(topic) for topic in log.topics],
            "data": to_data(log.data),
            **position,
            "logIndex": to_quantity(first_log_index + offset),
            "removed": False,
        }
        for offset, log in enumerate(transaction.call.logs)
    ]


ZERO_BLOOM = "0x" + "00" * 256


CONSTANT_BLOOMS = {"ones": "0x" + "ff" * 256, "some": "0x" + "00" * 200 + "ff" * 56}


def announced_header(faults: Faults, block: DevBlock) -> JsonObject:
    """Return the header for newHeads, with faults applied."""
    header = altered_header(faults, header_json(block), block)
    fault = faults.take("announced_heads")
    if fault is None:
        return header
    wrong = {
        "zero_bloom": {"logsBloom": ZERO_BLOOM},
        "other_hash": {"hash": to_data(keccak(block.hash.encode()))},
        "zero_parent": {"parentHash": to_data(ZERO_HASH)},
    }
    return header | wrong[fault.text("shown")]


def altered_header(faults: Faults, header: JsonObject, block: DevBlock) -> JsonObject:
    """Return a header or block with faults applied."""
    if faults.take("unknown_header_field"):
        header = {name: value for name, value in header.items() if name != "requestsHash"}
        header |= {"blockGasCost": "0x0"}
    if block.transactions and faults.take("blooms_without_system_logs"):
        others = bloom.union(receipt.logs_bloom for receipt in block.receipts[:-1])
        header = header | {"logsBloom": to_data(bloom.to_bytes(others))}
    if faults.take("leaked_logs"):
        header = header | {"logsBloom": to_data(bloom.to_bytes(_bloom_with_leaked_logs(block)))}
    if faults.take("wrong_blooms"):
        header = header | {"logsBloom": to_data(keccak(block.hash.encode()) * (bloom.BYTES // 32))}
    constant = faults.take("constant_blooms")
    if constant is not None:
        header = header | {"logsBloom": CONSTANT_BLOOMS[constant.text("shown")]}
    fault = faults.take("hidden_blooms")
    if fault is None:
        return header
    return header | {"logsBloom": ZERO_BLOOM if fault.text("shown") == "zeros" else None}


def _bloom_with_leaked_logs(block: DevBlock) -> int:
    own = (receipt.logs_bloom for receipt in block.receipts)
    leaked = (bloom.of_log(token_address(0), [TRANSFER_TOPIC]) for each in block.transactions if each.call.fails)
    return bloom.union([*own, *leaked])


def system_transactions(faults: Faults, block: DevBlock) -> tuple[int, str]:
    """Return the place of the block's first transaction of the system, and how they are shown.

    Without such transactions the place is beyond the last one.
    """
    fault, count = faults.active("system_transactions"), len(block.transactions)
    if fault is None or not count or block.number % fault.number("every"):
        return count, ""
    return max(0, count - (fault.number("transactions") or count)), fault.text("shown")


def logs_of_block(faults: Faults, block: DevBlock) -> list[JsonObject]:
    """Return all logs of the block, with other places and hashes of their transactions if faults say so."""
    logs = logs_json(block)
    if faults.active("leaked_logs"):
        logs = _counted_with_leaked(block, logs)
    first, shown = system_transactions(faults, block)
    if shown not in ("unlisted", "block_hash"):
        return logs
    transaction = block.hash if shown == "block_hash" else to_data(ZERO_HASH)
    place = {"transactionHash": transaction, "transactionIndex": to_quantity(first)}
    return [log | place if int(log["transactionIndex"], 16) >= first else log for log in logs]


def _counted_with_leaked(block: DevBlock, logs: list[JsonObject]) -> list[JsonObject]:
    failed = [index for index, transaction in enumerate(block.transactions) if transaction.call.fails]

    def index_of(log: JsonObject) -> int:
        before = sum(index < int(log["transactionIndex"], 16) for index in failed)
        return int(log["logIndex"], 16) + before

    return [log | {"logIndex": to_quantity(index_of(log))} for log in logs]


def receipts_json(faults: Faults, block: DevBlock) -> list[JsonObject]:
    """Return the receipts of the block: of its transactions, then of the system."""
    logs = logs_of_block(faults, block)
    system, shown = system_transactions(faults, block)
    receipts = [receipt_json(block, index) for index in range(len(block.transactions))]
    shown_receipts = []
    for index, receipt in enumerate(receipts[:system]):
        first = block.receipts[index].first_log_index
        shown_receipts.append(receipt | {"logs": logs[first : first + len(receipt["logs"])]})
    if shown == "block_hash":
        first = block.receipts[system].first_log_index
        of_system = {"transactionHash": block.hash, "transactionIndex": to_quantity(system), "logs": logs[first:]}
        shown_receipts.append(receipts[system] | of_system)
    return shown_receipts


def altered_logs(faults: Faults, logs: list[JsonObject]) -> list[JsonObject]:
    """Return logs, in the order of their blocks, with faults applied."""
    if not logs:
        return logs
    if faults.take("local_log_indices"):
        logs = _counted_per_transaction(logs)
    if faults.take("wrong_block_hashes"):
        logs = [log | {"blockHash": to_data(keccak(log["blockHash"].encode()))} for log in logs]
    wrong = faults.take("wrong_log_indices")
    if wrong:
        first = wrong.text("shown") == "from_1"
        indices = [int(log["logIndex"], 16) for log in logs]
        shown = [index + 1 if first else index // 2 for index in indices]
        logs = [log | {"logIndex": to_quantity(index)} for log, index in zip(logs, shown, strict=True)]
    fault = faults.take("bare_logs")
    if fault is None:
        return logs
    bare = [{name: value for name, value in log.items() if name != "blockTimestamp"} for log in logs]
    return [log | {"blockTimestamp": "0x0"} for log in bare] if fault.text("shown") == "zero" else bare


def _counted_per_transaction(logs: list[JsonObject]) -> list[JsonObject]:
    counted: Counter[tuple[str, str]] = Counter()
    shown = []
    for log in logs:
        transaction = (log["blockHash"], log["transactionHash"])
        shown.append(log | {"logIndex": hex(counted[transaction])})
        counted[transaction] += 1
    return shown
