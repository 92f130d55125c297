"""Parsers of blocks and logs as nodes send them. Raises ChainUnavailable for anything malformed.

An event is a dict until it is proven. A proven block holds its events as the JSON that is published, which takes a
tenth of the memory.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from hookfarm.errors import ChainUnavailable
from hookfarm.records import Event

_HASH = re.compile("0x[0-9a-fA-F]{64}")


class LogOfOtherBlock(ChainUnavailable):
    """The node sent a log of another block than the requested one."""


@dataclass(frozen=True, slots=True)
class Header:
    """Fields of a block header. `logs_bloom` is None on chains without blooms.

    `is_empty` is True for a block without transactions and gas. No root shows this on all chains: Cosmos chains
    write the root of an empty list of receipts into every header.
    """

    number: int
    block_hash: str
    parent_hash: str
    timestamp: int
    logs_bloom: str | None
    is_empty: bool = False

    @property
    def bloom_is_zero(self) -> bool:
        return self.logs_bloom is not None and not self.logs_bloom.strip("0x")


@dataclass(frozen=True, slots=True)
class Head:
    """A head as a node announced it. Only the number is trusted.

    Announcements may lack the bloom and the parent, and may have another hash than the block. `block_hash` is a
    hint: the logs of this hash are requested together with the block of this number. Empty = unknown.
    """

    number: int
    block_hash: str = ""
    timestamp: int | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A header with the block's events by log index, each as JSON (see `event_stream.event_json`).

    `transfers` are ordered by transaction; None = not fetched.
    """

    header: Header
    events: tuple[bytes, ...]
    transfers: tuple[bytes, ...] | None = None

    @property
    def entries(self) -> tuple[bytes, ...]:
        """Return the entries in publishing order: transfers, then logs.

        Transfers first keeps the order of the logs the same with and without transfers.
        """
        return (*self.transfers, *self.events) if self.transfers else self.events


def quantity(raw: object) -> int:
    """Parse a JSON-RPC quantity such as `0x1b4`. Raises ChainUnavailable."""
    if not isinstance(raw, str) or not raw.startswith("0x"):
        raise ChainUnavailable(f"the node sent {raw!r:.80} instead of a hexadecimal quantity")
    try:
        return int(raw, 16)
    except ValueError as error:
        raise ChainUnavailable(f"the node sent {raw!r:.80} instead of a hexadecimal quantity") from error


def parse_head(raw: Any) -> Head:
    """Parse a header or the payload of `newHeads`. Raises ChainUnavailable if it has no number."""
    if not isinstance(raw, dict):
        raise ChainUnavailable("the node announced a malformed head")
    block_hash = raw.get("hash")
    try:
        timestamp = quantity(raw.get("timestamp"))
    except ChainUnavailable:
        timestamp = None
    return Head(quantity(raw.get("number")), block_hash.lower() if isinstance(block_hash, str) else "", timestamp)


def parse_header(raw: Any) -> Header:
    """Parse the result of `eth_getBlockBy…`. Raises ChainUnavailable."""
    try:
        bloom = raw.get("logsBloom")
        return Header(
            number=quantity(raw["number"]),
            block_hash=_hash(raw["hash"]),
            parent_hash=_hash(raw["parentHash"]),
            timestamp=quantity(raw["timestamp"]),
            logs_bloom=bloom.lower() if bloom else None,
            is_empty=raw.get("transactions") == [] and raw.get("gasUsed") == "0x0",
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ChainUnavailable("the node sent a malformed block header") from error


def _hash(raw: Any) -> str:
    """Return a block hash in lower case. Raises TypeError if it is none."""
    found = _HASH.fullmatch(raw)
    if found is None:
        raise TypeError
    return found[0].lower()


def parse_logs(chain_id: int, header: Header, raw: Any, *, from_receipts: bool = False) -> list[Event]:
    """Return the events of one block's logs, in the order of `raw`.

    Raises ChainUnavailable; LogOfOtherBlock for another block's log. `from_receipts`: the receipts are known to be
    of this block, so the block hashes of their logs, which are wrong on some chains, are not read.
    """
    try:
        return _events(chain_id, header, raw, from_receipts)
    except (KeyError, TypeError, AttributeError) as error:
        raise ChainUnavailable(f"the node sent a malformed log of block {header.number}") from error


def logs_by_block(raw: Any) -> dict[int, list[Any]]:
    """Group the logs of a range by block number; the result omits blocks without logs."""
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


_parts_of = itemgetter("blockHash", "transactionHash", "transactionIndex", "logIndex", "address", "topics", "data")
_index = lru_cache(maxsize=4096)(quantity)
"""Cached: most blocks contain the same few numbers."""


def _events(chain_id: int, header: Header, raw: Any, from_receipts: bool) -> list[Event]:
    """Return the events of logs, in one loop without a call per log."""
    number, block_hash, timestamp = header.number, header.block_hash, header.timestamp
    events: list[Event] = []
    for log in raw:
        of_block, transaction_hash, transaction_index, log_index, address, topics, data = _parts_of(log)
        is_other = of_block != block_hash and of_block.lower() != block_hash and not from_receipts
        if is_other or log.get("removed"):
            raise LogOfOtherBlock(f"the node sent a log of another block than {number}")
        events.append(
            {
                "chain_id": chain_id,
                "block_number": number,
                "block_hash": block_hash,
                "block_timestamp": timestamp,
                "transaction_hash": transaction_hash.lower(),
                "transaction_index": _index(transaction_index),
                "log_index": _index(log_index),
                "address": address.lower(),
                "topics": list(map(str.lower, topics)),
                "data": data.lower(),
                "removed": False,
            }
        )
    return events


def linked(parent_hash: str, blocks: Sequence[Block]) -> Sequence[Block]:
    """Return the longest prefix of `blocks` whose parent hashes link it to `parent_hash`."""
    for i, block in enumerate(blocks):
        if block.header.parent_hash != parent_hash:
            return blocks[:i]
        parent_hash = block.header.block_hash
    return blocks
