"""The chain: canonical blocks, the blocks that reorgs replaced, and the position of each transaction.

Pure and single-threaded: the clock is an argument, and equal calls produce equal hashes.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_hash.auto import keccak

from hookfarm.devchain.block import DevBlock, genesis, make_block, pruned, transactions_after
from hookfarm.devchain.profiles import PROFILES
from hookfarm.devchain.transaction import Call, Transaction, token_transfers, with_native_transfers
from hookfarm.errors import InvalidInput

GENESIS_TIMESTAMP = 1_700_000_000
EXTRA_DATA = b"hookfarm devchain"
MAX_REPLACED_BLOCKS = 1_000
MAX_BLOCKS_PER_CALL = 10_000
MAX_LOGS_PER_BLOCK = 10_000
MAX_TRANSFERS_PER_BLOCK = 10_000


@dataclass(frozen=True, slots=True)
class DevchainOptions:
    """Options of a devchain. Raises InvalidInput with the name of an invalid option.

    `port` 0 = a free port. `block_time` is in seconds of wall-clock time; 0 = mine on demand only.
    `logs_per_block` counts ERC-20 transfers, `transfers_per_block` transactions with a value, of which some fail.
    Every `reorg_every` blocks (0 = never) the last `reorg_depth` ones are replaced. `chain_id` and `seed`
    determine the genesis hash and all transfers. `safe_distance` and `finalized_distance` are blocks behind the
    head. One number in `null_round_every` (0 = none) has no block, as on Filecoin. Beyond `history_logs` logs and
    transfers the oldest blocks are pruned to their headers (1.3 kB of memory per log). A WebSocket client with
    more than `outbox_messages` pending messages is disconnected, as by geth at 20,000. `like` names a profile of
    `profiles.PROFILES`, whose behaviour the nodes have; "" = none.
    """

    host: str = "127.0.0.1"
    port: int = 8545
    chain_id: int = 31337
    seed: int = 1
    block_time: float = 1.0
    logs_per_block: int = 10
    transfers_per_block: int = 0
    reorg_every: int = 0
    reorg_depth: int = 2
    safe_distance: int = 32
    finalized_distance: int = 64
    null_round_every: int = 0
    history_logs: int = 500_000
    outbox_messages: int = 20_000
    like: str = ""

    def __post_init__(self) -> None:
        _within("port", self.port, 0, 65_535)
        _within("chain_id", self.chain_id, 1, 2**53 - 1)
        _within("block_time", self.block_time, 0, 3600)
        _within("logs_per_block", self.logs_per_block, 0, MAX_LOGS_PER_BLOCK)
        _within("transfers_per_block", self.transfers_per_block, 0, MAX_TRANSFERS_PER_BLOCK)
        _within("reorg_every", self.reorg_every, 0, 1_000_000)
        _within("reorg_depth", self.reorg_depth, 1, 1_000)
        _within("safe_distance", self.safe_distance, 0, 1_000_000)
        _within("finalized_distance", self.finalized_distance, self.safe_distance, 1_000_000)
        _within("null_round_every", self.null_round_every, 0, 1_000_000)
        if self.null_round_every == 1:
            raise InvalidInput("null_round_every", "1; allowed are 0 and numbers from 2")
        _within("history_logs", self.history_logs, 1, 100_000_000)
        _within("outbox_messages", self.outbox_messages, 1, 10_000_000)
        if self.like and self.like not in PROFILES:
            raise InvalidInput("like", f"{self.like!r} is unknown; allowed are {', '.join(PROFILES)}")


@dataclass(frozen=True, slots=True)
class Reorg:
    """A change of the canonical chain: `removed` and `added` blocks, ascending, from the same number on.

    `removed` is empty for a mined block, and for a switch to a branch that continues the head.
    """

    removed: tuple[DevBlock, ...]
    added: tuple[DevBlock, ...]


def with_profile(like: str, given: Mapping[str, Any]) -> DevchainOptions:
    """Return options with those of a profile where none are `given`. Raises InvalidInput for an unknown one."""
    profile = PROFILES.get(like)
    own: Mapping[str, Any] = {"chain_id": profile.chain_id, **profile.options} if profile else {}
    return DevchainOptions(**{**own, **given, "like": like})


class DevChain:
    """A chain with the given options (chain_id, seed, contents of blocks, history_logs).

    `logs_mined` counts all logs, `canonical_log_count` excludes those of replaced blocks.
    """

    def __init__(self, options: DevchainOptions) -> None:
        self.options = options
        self.logs_mined = 0
        self.canonical_log_count = 0
        self._branch = 0
        first = genesis(GENESIS_TIMESTAMP, EXTRA_DATA, self._randomness(0))
        self._blocks: list[DevBlock | None] = [first]
        """By number; None = a null round."""
        self._canonical_hashes = {first.hash: 0}
        self._replaced: OrderedDict[str, DevBlock] = OrderedDict()
        self._positions: dict[bytes, tuple[int, int]] = {}
        self._kept_entries = 0
        self._first_with_body = 0

    @property
    def head(self) -> DevBlock:
        head = self._blocks[-1]
        assert head is not None  # Null rounds are added together with the block above them.
        return head

    @property
    def first_with_body(self) -> int:
        """The lowest block number whose body is not pruned."""
        return self._first_with_body

    def block(self, number: int) -> DevBlock | None:
        """Return a canonical block; None for a null round or beyond the head."""
        return self._blocks[number] if 0 <= number < len(self._blocks) else None

    def at_or_below(self, number: int) -> DevBlock:
        """Return the newest block up to this number, which must not be beyond the head."""
        while (block := self._blocks[number]) is None:
            number -= 1
        return block

    def block_by_hash(self, block_hash: str) -> DevBlock | None:
        """Return a canonical block, or one of the last MAX_REPLACED_BLOCKS replaced ones; None if unknown."""
        number = self._canonical_hashes.get(block_hash)
        return self._replaced.get(block_hash) if number is None else self._blocks[number]

    def is_canonical(self, block_hash: str) -> bool:
        return block_hash in self._canonical_hashes

    def canonical_blocks(self) -> Iterator[DevBlock]:
        return (block for block in self._blocks if block is not None)

    def position(self, transaction_hash: bytes) -> tuple[DevBlock, int] | None:
        """Return the canonical block with the transaction, and the transaction's index; None if unknown."""
        found = self._positions.get(transaction_hash)
        block = self._blocks[found[0]] if found else None
        return (block, found[1]) if found and block else None

    def deepest_reorg(self) -> int:
        """Return the number of blocks that a reorg may replace: all but genesis and pruned blocks."""
        return self._blocks_from(max(self._first_with_body, 1))

    def mine(self, timestamp: int, calls: Sequence[Call] | None = None) -> DevBlock:
        """Add the next block; `calls` None = generated transfers."""
        if calls is None:
            calls = self._generated()
        transactions = transactions_after(self.head, calls, self.options.chain_id)
        return self._append(transactions, timestamp)

    def reorg(
        self,
        depth: int,
        timestamp: int,
        *,
        length: int | None = None,
        contents: Sequence[Sequence[Call]] = (),
        same_transactions: bool = False,
    ) -> Reorg:
        """Replace the last `depth` blocks by `length` new ones (default: `depth`).

        The first new blocks get `contents`, or with `same_transactions` the contents of the replaced blocks.
        Further blocks get generated transfers.
        """
        length = depth if length is None else length
        self._check_reorg(depth, length, contents)
        removed = self._remove(depth)
        self._branch += 1
        added = []
        for i in range(length):
            if same_transactions and i < depth:
                added.append(self._append(removed[i].transactions, timestamp))
            else:
                added.append(self.mine(timestamp, contents[i] if i < len(contents) else None))
        return Reorg(tuple(removed), tuple(added))

    def switch_to(self, block_hash: str) -> Reorg:
        """Make a replaced block the head again, with its branch. Raises InvalidInput for any other block."""
        branch: list[DevBlock] = []
        block = self._replaced.get(block_hash)
        while block is not None:
            branch.append(block)
            block = self._replaced.get(block.parent_hash)
        fork = self._canonical_hashes.get(branch[-1].parent_hash) if branch else None
        if fork is None:
            raise InvalidInput("block", f"{block_hash} is not a remembered replaced block")
        removed = self._remove(self._blocks_from(fork + 1))
        branch.reverse()
        for block in branch:
            self._replaced.pop(block.hash, None)
            self._put(block)
        return Reorg(tuple(removed), tuple(branch))

    def _check_reorg(self, depth: int, length: int, contents: Sequence[object]) -> None:
        deepest = self.deepest_reorg()
        if not 1 <= depth <= deepest:
            raise InvalidInput("depth", f"{depth}; allowed is 1 to {deepest} at this height")
        if not depth <= length <= MAX_BLOCKS_PER_CALL:
            raise InvalidInput("length", f"{length}; allowed is {depth} to {MAX_BLOCKS_PER_CALL}")
        if len(contents) > length:
            raise InvalidInput("contents", f"{len(contents)} blocks; at most length = {length} are allowed")

    def _generated(self) -> list[Call]:
        number, options = self._next_number(), self.options
        calls = token_transfers(options.seed, number, self._branch, options.logs_per_block)
        return with_native_transfers(calls, options.seed, number, self._branch, options.transfers_per_block)

    def _append(self, transactions: Sequence[Transaction], timestamp: int) -> DevBlock:
        """Add a block. Timestamps never decrease, but several blocks may share a second, as on rollups."""
        timestamp = max(timestamp, self.head.header.timestamp)
        number = self._next_number()
        block = make_block(self.head, transactions, timestamp, self._randomness(number), number)
        self.logs_mined += block.log_count
        self._put(block)
        return block

    def _put(self, block: DevBlock) -> None:
        self._blocks += [None] * (block.number - len(self._blocks))
        self._blocks.append(block)
        self._canonical_hashes[block.hash] = block.number
        for index, transaction in enumerate(block.transactions):
            self._positions[transaction.hash] = (block.number, index)
        self.canonical_log_count += block.log_count
        self._kept_entries += block.entry_count
        self._prune()

    def _remove(self, depth: int) -> list[DevBlock]:
        removed: list[DevBlock] = []
        while len(removed) < depth:
            removed.insert(0, self.head)
            self._blocks.pop()
            while self._blocks[-1] is None:
                self._blocks.pop()
        for block in removed:
            del self._canonical_hashes[block.hash]
            self._forget_transactions(block)
            self.canonical_log_count -= block.log_count
            self._replaced[block.hash] = block
        while len(self._replaced) > MAX_REPLACED_BLOCKS:
            self._replaced.popitem(last=False)
        return removed

    def _prune(self) -> None:
        """Prune the oldest bodies, never the head's."""
        while self._kept_entries > self.options.history_logs and self._first_with_body < self.head.number:
            block = self._blocks[self._first_with_body]
            if block is not None:
                self._forget_transactions(block)
                self._blocks[self._first_with_body] = pruned(block)
            self._first_with_body += 1

    def _forget_transactions(self, block: DevBlock) -> None:
        for transaction in block.transactions:
            del self._positions[transaction.hash]
        self._kept_entries -= block.entry_count

    def _next_number(self) -> int:
        """Return the number of the next block. Null rounds have other numbers on each branch."""
        number, every = self.head.number + 1, self.options.null_round_every
        return number + 1 if every and (number + self._branch) % every == 0 else number

    def _blocks_from(self, number: int) -> int:
        """Return how many blocks there are from this number on."""
        return sum(block is not None for block in self._blocks[number:])

    def _randomness(self, number: int) -> bytes:
        """Return the header's mixHash; it differs by branch, so that empty blocks differ too."""
        options = self.options
        return keccak(f"{options.chain_id}/{options.seed}/{number}/{self._branch}".encode())


def _within(field: str, value: float, lowest: float, highest: float) -> None:
    if not lowest <= value <= highest:
        raise InvalidInput(field, f"{value}; allowed is {lowest} to {highest}")
