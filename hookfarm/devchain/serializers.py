"""Blocks, transactions, receipts and logs as JSON-RPC shows them (execution-apis, eth schemas).

The dictionaries of a block are built once and shared by all answers: nobody may change them.
"""

from functools import lru_cache
from typing import Any

from hookfarm.abi import bloom
from hookfarm.devchain.block import Block, status_of
from hookfarm.devchain.header import (
    BASE_FEE_PER_GAS,
    EMPTY_REQUESTS_HASH,
    EMPTY_UNCLES_HASH,
    GAS_LIMIT,
    MINER,
    NONCE,
    ZERO_HASH,
)
from hookfarm.devchain.hex_values import data, quantity
from hookfarm.devchain.transaction import (
    MAX_FEE_PER_GAS,
    PRIORITY_FEE_PER_GAS,
    SIGNATURE_S,
    Transaction,
)
from hookfarm.devchain.trie import EMPTY_ROOT

JsonObject = dict[str, Any]

CACHED_BLOCKS = 32
"""Blocks whose logs are kept ready, for clients that follow the tip; 1.5 kB per log."""

_text = lru_cache(maxsize=4096)(data)
"""The hex form of addresses and topics, which come again and again."""


def header_json(block: Block) -> JsonObject:
    """What newHeads announces: the header's fields and the hash."""
    header = block.header
    return {
        "hash": block.hash,
        "parentHash": data(header.parent_hash),
        "sha3Uncles": data(EMPTY_UNCLES_HASH),
        "miner": data(MINER),
        "stateRoot": data(header.state_root),
        "transactionsRoot": data(header.transactions_root),
        "receiptsRoot": data(header.receipts_root),
        "logsBloom": data(header.logs_bloom),
        "difficulty": "0x0",
        "number": quantity(header.number),
        "gasLimit": quantity(GAS_LIMIT),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "extraData": data(header.extra_data),
        "mixHash": data(header.mix_hash),
        "nonce": data(NONCE),
        "baseFeePerGas": quantity(BASE_FEE_PER_GAS),
        "withdrawalsRoot": data(EMPTY_ROOT),
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": data(ZERO_HASH),
        "requestsHash": data(EMPTY_REQUESTS_HASH),
    }


def block_json(block: Block, chain_id: int, *, full_transactions: bool) -> JsonObject:
    transactions: list[JsonObject] | list[str]
    if full_transactions:
        indices = range(len(block.transactions))
        transactions = [transaction_json(block, index, chain_id) for index in indices]
    else:
        transactions = [data(transaction.hash) for transaction in block.transactions]
    return header_json(block) | {
        "size": quantity(block.size),
        "uncles": [],
        "transactions": transactions,
        "withdrawals": [],
    }


def transaction_json(block: Block, index: int, chain_id: int) -> JsonObject:
    transaction = block.transactions[index]
    return {
        "type": "0x2",
        "chainId": quantity(chain_id),
        "nonce": quantity(transaction.nonce),
        "gas": quantity(transaction.gas),
        "maxFeePerGas": quantity(MAX_FEE_PER_GAS),
        "maxPriorityFeePerGas": quantity(PRIORITY_FEE_PER_GAS),
        "to": data(transaction.call.to) if transaction.call.to else None,
        "value": quantity(transaction.call.value),
        "accessList": [],
        "input": data(transaction.call.input),
        "r": quantity(int.from_bytes(transaction.call.sender, "big")),
        "s": quantity(SIGNATURE_S),
        "yParity": "0x0",
        "v": "0x0",
        "hash": data(transaction.hash),
        "blockHash": block.hash,
        "blockNumber": quantity(block.number),
        "transactionIndex": quantity(index),
        "from": data(transaction.call.sender),
        "gasPrice": quantity(BASE_FEE_PER_GAS + PRIORITY_FEE_PER_GAS),
        "blockTimestamp": quantity(block.header.timestamp),
    }


def receipt_json(block: Block, index: int) -> JsonObject:
    transaction, receipt = block.transactions[index], block.receipts[index]
    first, count = receipt.first_log_index, len(transaction.call.logs)
    return {
        "type": "0x2",
        "status": quantity(status_of(transaction)),
        "cumulativeGasUsed": quantity(receipt.cumulative_gas_used),
        "logs": logs_json(block)[first : first + count],
        "logsBloom": data(bloom.to_bytes(receipt.logs_bloom)),
        "transactionHash": data(transaction.hash),
        "transactionIndex": quantity(index),
        "blockHash": block.hash,
        "blockNumber": quantity(block.number),
        "gasUsed": quantity(transaction.gas),
        "effectiveGasPrice": quantity(BASE_FEE_PER_GAS + PRIORITY_FEE_PER_GAS),
        "from": data(transaction.call.sender),
        "to": data(transaction.call.to) if transaction.call.to else None,
        "contractAddress": data(transaction.created) if transaction.created else None,
    }


@lru_cache(maxsize=CACHED_BLOCKS)
def logs_json(block: Block) -> list[JsonObject]:
    """All logs of the block in order, each as `eth_getLogs` answers it."""
    logs: list[JsonObject] = []
    for index, transaction in enumerate(block.transactions):
        logs.extend(_logs_of(block, index, transaction, len(logs)))
    return logs


def value_transfers_json(block: Block) -> list[JsonObject]:
    """The transactions that moved the chain's own currency; where one created a contract, `to` is that."""
    return [
        {
            "blockHash": block.hash,
            "blockNumber": quantity(block.number),
            "blockTimestamp": quantity(block.header.timestamp),
            "hash": data(transaction.hash),
            "transactionIndex": quantity(index),
            "from": data(transaction.call.sender),
            "to": data(transaction.created or transaction.call.to),
            "value": quantity(transaction.call.value),
        }
        for index, transaction in enumerate(block.transactions)
        if transaction.moves_value
    ]


def removed_logs_json(block: Block) -> list[JsonObject]:
    """The logs as a subscription announces that a reorg took them back."""
    return [log | {"removed": True} for log in logs_json(block)]


def _logs_of(block: Block, index: int, transaction: Transaction, first_log_index: int) -> list[JsonObject]:
    place = {
        "blockHash": block.hash,
        "blockNumber": quantity(block.number),
        "blockTimestamp": quantity(block.header.timestamp),
        "transactionHash": data(transaction.hash),
        "transactionIndex": quantity(index),
    }
    return [
        {
            "address": _text(log.address),
            "topics": [_text(topic) for topic in log.topics],
            "data": data(log.data),
            **place,
            "logIndex": quantity(first_log_index + offset),
            "removed": False,
        }
        for offset, log in enumerate(transaction.call.logs)
    ]
