"""Which block a parameter means, as seen by one call: tags, numbers, hashes, lag, pruning."""

from dataclasses import dataclass
from typing import Any

from hookfarm.devchain.block import Block
from hookfarm.devchain.hex_values import data, parse_data, parse_quantity
from hookfarm.devchain.node import Node
from hookfarm.devchain.rpc_errors import PRUNED_HISTORY, RpcError, invalid_argument

HASH_CHARACTERS = 66


@dataclass(frozen=True, slots=True)
class View:
    """The node as one call sees it: nothing above `head`, which a lag puts below the real one."""

    node: Node
    head: int

    def by_hash(self, block_hash: str) -> Block | None:
        """Canonical or orphaned; the hash is lower-case hex."""
        return self._visible(self.node.chain.block_by_hash(block_hash))

    def by_number(self, number: int) -> Block | None:
        return self._visible(self.node.chain.block(number))

    def number_of(self, tag_or_number: object) -> int:
        """`pending` is the latest block; ValueError where it is neither a tag nor a quantity."""
        options = self.node.options
        match tag_or_number:
            case "latest" | "pending":
                return self.head
            case "earliest":
                return 0
            case "safe":
                return self._behind(options.safe_distance)
            case "finalized":
                return self._behind(options.finalized_distance)
        return parse_quantity(tag_or_number)

    def _behind(self, distance: int) -> int:
        fault = self.node.faults.take("unsupported_tags")
        if fault:
            raise RpcError(fault.number("code"), fault.text("message"))
        return max(0, self.head - distance)

    def _visible(self, block: Block | None) -> Block | None:
        if block is None or block.number > self.head:
            return None
        chain = self.node.chain
        if 0 < block.number < chain.first_with_body and chain.is_canonical(block.hash):
            raise RpcError(PRUNED_HISTORY, "pruned history unavailable")
        return block


def view_of(node: Node, lag: int) -> View:
    """A call's view, so many blocks behind."""
    return View(node, max(0, node.chain.head.number - lag))


def hash_argument(position: int, value: object) -> str:
    """A 32-byte hash in lower case."""
    try:
        return data(parse_data(value, 32))
    except ValueError as problem:
        raise invalid_argument(position, problem) from problem


def number_argument(view: View, position: int, value: object) -> int:
    try:
        return view.number_of(value)
    except ValueError as problem:
        raise invalid_argument(position, problem) from problem


def any_block(view: View, position: int, value: Any) -> Block | None:
    """A tag, a number, a hash, or the object of EIP-1898."""
    if isinstance(value, dict):
        value = value.get("blockHash", value.get("blockNumber"))
    if isinstance(value, str) and len(value) == HASH_CHARACTERS:
        return view.by_hash(hash_argument(position, value))
    return view.by_number(number_argument(view, position, value))
