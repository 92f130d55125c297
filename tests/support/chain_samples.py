"""Headers and logs as nodes send them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hookfarm.abi import bloom
from hookfarm.chain.block import Block, Header, parse_logs
from hookfarm.event_stream.event_json import encode_events

ZERO_BLOOM = "0x" + "00" * 256
SOME_BLOOM = "0x" + "00" * 255 + "10"
ADDRESS = "0x" + "Ab" * 20


def word(number: int) -> str:
    return f"0x{number:064x}"


def header(number: int = 5, *, fork: int = 0, bloom: str | None = SOME_BLOOM, parent_fork: int = 0) -> Header:
    """Return the header of block `number` on branch `fork`; its parent is on branch `parent_fork`."""
    return Header(
        number=number,
        block_hash=word(1_000_000 * fork + number),
        parent_hash=word(1_000_000 * parent_fork + number - 1),
        timestamp=1_700_000_000 + number,
        logs_bloom=bloom,
    )


def block(number: int, *, fork: int = 0, parent_fork: int = 0, logs: int = 0) -> Block:
    bloom = SOME_BLOOM if logs else ZERO_BLOOM
    of = header(number, fork=fork, bloom=bloom, parent_fork=parent_fork)
    return Block(of, encode_events(parse_logs(1, of, [log(of, index) for index in range(logs)])))


def log(of: Header, index: int = 0, *, transaction: int = 2, topic: int = 1) -> dict[str, Any]:
    """Return a log of the block, in mixed case, as some nodes send it."""
    return {
        "address": ADDRESS,
        "topics": [word(topic), "0x" + "CD" * 32],
        "data": "0xBEEF",
        "blockHash": of.block_hash.upper().replace("0X", "0x"),
        "blockNumber": hex(of.number),
        "transactionHash": transaction_hash(of, transaction).upper().replace("0X", "0x"),
        "transactionIndex": hex(transaction),
        "logIndex": hex(index),
        "removed": False,
    }


def bloom_of(logs: Sequence[dict[str, Any]]) -> str:
    values = {value.lower() for each in logs for value in (each["address"], *each["topics"])}
    return f"0x{bloom.to_bytes(bloom.of_values(values)).hex()}"


def full_block(number: int, logs: int) -> tuple[Header, list[dict[str, Any]]]:
    """Return a header with the correct bloom, and its logs, each with its own topic."""
    of = header(number)
    raw = [log(of, index, transaction=index // 2, topic=100 * number + index) for index in range(logs)]
    return replace(of, logs_bloom=bloom_of(raw), is_empty=not logs), raw


def transaction_hash(of: Header, index: int) -> str:
    return word(1000 * of.number + index)


def raw_header(of: Header) -> dict[str, Any]:
    return {
        "number": hex(of.number),
        "hash": of.block_hash,
        "parentHash": of.parent_hash,
        "timestamp": hex(of.timestamp),
        "logsBloom": of.logs_bloom,
        "gasUsed": "0x0" if of.is_empty else "0x5208",
    }


def receipts(of: Header, logs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The block's receipts, one for each transaction up to the last that has logs."""
    last = max((int(each["transactionIndex"], 16) for each in logs), default=-1)
    return [
        {
            "transactionHash": transaction_hash(of, i),
            "blockHash": of.block_hash,
            "transactionIndex": hex(i),
            "logs": [each for each in logs if each["transactionIndex"] == hex(i)],
        }
        for i in range(last + 1)
    ]
