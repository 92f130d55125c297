"""Parsers of blocks and logs as nodes send them. Raises ChainUnavailable for anything malformed.

An event is a dict only until it is proven; a proven block has its events as the JSON that is published. That takes
a tenth of the memory, and the publisher has nothing left to do with each event.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from hookfarm.errors import ChainUnavailable
from hookfarm.records import Event


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a block's header that hookfarm needs. `logs_bloom` is None on chains without blooms."""

    number: int
    block_hash: str
    parent_hash: str
    timestamp: int
    logs_bloom: str | None

    @property
    def bloom_is_zero(self) -> bool:
        return self.logs_bloom is not None and not self.logs_bloom.strip("0x")


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block of a node: its number, and its header where the node sent it along."""

    number: int
    header: Header | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A block's header and its events by log index, each as JSON (see `event_stream.event_json`).

    `transfers` are by transaction; None = not looked for.
    """

    header: Header
    events: tuple[bytes, ...]
    transfers: tuple[bytes, ...] | None = None

    @property
    def entries(self) -> tuple[bytes, ...]:
        """The events of the block in the order in which they are published, transfers first.

        So the logs are in the order that they have without transfers, however the chain counts them, and a payment
        comes before the logs that it led to.
        """
        return (*self.transfers, *self.events) if self.transfers else self.events


def quantity(raw: object) -> int:
    """Return a number that JSON-RPC writes as `0x1b4`."""
    if not isinstance(raw, str) or not raw.startswith("0x"):
        raise ChainUnavailable(f"the node sent {raw!r:.80} where a hexadecimal number belongs")
    try:
        return int(raw, 16)
    except ValueError as error:
        raise ChainUnavailable(f"the node sent {raw!r:.80} where a hexadecimal number belongs") from error


def parse_header(raw: Any) -> Header:
    """Return the header in an answer of `eth_getBlockBy…` or in the payload of `newHeads`."""
    try:
        bloom = raw.get("logsBloom")
        return Header(
            number=quantity(raw["number"]),
            block_hash=raw["hash"].lower(),
            parent_hash=raw["parentHash"].lower(),
            timestamp=quantity(raw["timestamp"]),
            logs_bloom=bloom.lower() if bloom else None,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ChainUnavailable("the node sent a block header without what belongs there") from error


def parse_logs(chain_id: int, header: Header, raw: Any) -> list[Event]:
    """Return the events of one block's logs, in the order in which the node sent them."""
    try:
        return [_event(chain_id, header, log) for log in raw]
    except (KeyError, TypeError, AttributeError) as error:
        raise ChainUnavailable(f"the node sent a malformed log of block {header.number}") from error


def logs_by_block(raw: Any) -> dict[int, list[Any]]:
    """Group the logs of a range by block; blocks without logs are missing."""
    try:
        runs = [
            (quantity(number), list(logs)) for number, logs in groupby(raw, key=lambda log: log["blockNumber"])
        ]
    except (KeyError, TypeError) as error:
        raise ChainUnavailable("the node sent malformed logs") from error
    found: dict[int, list[Any]] = {}
    for number, logs in runs:
        found.setdefault(number, []).extend(logs)
    return found


def receipt_logs(header: Header, raw: Any) -> list[Any]:
    """Return the logs in all receipts of a block. Raises ChainUnavailable if one is malformed or missing."""
    try:
        indices = sorted(quantity(receipt["transactionIndex"]) for receipt in raw)
        logs = [log for receipt in raw for log in receipt["logs"]]
    except (KeyError, TypeError) as error:
        raise ChainUnavailable(f"the node sent malformed receipts of block {header.number}") from error
    if indices != list(range(len(indices))):
        raise ChainUnavailable(f"the node left out receipts of block {header.number}")
    return logs


_parts_of = itemgetter("blockHash", "transactionHash", "transactionIndex", "logIndex", "address", "topics", "data")
_index = lru_cache(maxsize=4096)(quantity)
"""The same few numbers in every block."""


def _event(chain_id: int, header: Header, log: Any) -> Event:
    block_hash, transaction_hash, transaction_index, log_index, address, topics, data = _parts_of(log)
    if block_hash.lower() != header.block_hash or log.get("removed"):
        raise ChainUnavailable(f"the node sent a log of another block than {header.number}")
    return {
        "chain_id": chain_id,
        "block_number": header.number,
        "block_hash": header.block_hash,
        "block_timestamp": header.timestamp,
        "transaction_hash": transaction_hash.lower(),
        "transaction_index": _index(transaction_index),
        "log_index": _index(log_index),
        "address": address.lower(),
        "topics": list(map(str.lower, topics)),
        "data": data.lower(),
        "removed": False,
    }


def linked(parent_hash: str, blocks: Sequence[Block]) -> Sequence[Block]:
    """Return the longest prefix of `blocks` that is a chain on top of `parent_hash`."""
    for i, block in enumerate(blocks):
        if block.header.parent_hash != parent_hash:
            return blocks[:i]
        parent_hash = block.header.block_hash
    return blocks
