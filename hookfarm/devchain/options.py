"""Options of a devchain, checked when they are made."""

from dataclasses import dataclass

from hookfarm.errors import InvalidInput

MAX_LOGS_PER_BLOCK = 10_000
MAX_TRANSFERS_PER_BLOCK = 10_000


@dataclass(frozen=True, slots=True)
class DevchainOptions:
    """Options of a devchain. Raises InvalidInput with the name of an option that is not allowed.

    `port` 0 takes a free one. `block_time` is in seconds of the wall clock, 0 mines on demand only.
    `logs_per_block` ERC-20 transfers, and `transfers_per_block` transactions with a value, some of which fail.
    Every `reorg_every` blocks (0 = never) the last `reorg_depth` ones are replaced. `chain_id` and
    `seed` decide the genesis hash and all transfers. `safe_distance` and `finalized_distance` are
    blocks behind the head. Beyond `history_logs` logs and transfers the oldest blocks are pruned to their
    headers, which bounds the memory (about 1.3 kB per log). A WebSocket client for which more than
    `outbox_messages` wait is dropped, as geth does with 20,000.
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
    history_logs: int = 500_000
    outbox_messages: int = 20_000

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
        _within("history_logs", self.history_logs, 1, 100_000_000)
        _within("outbox_messages", self.outbox_messages, 1, 10_000_000)


def _within(field: str, value: float, lowest: float, highest: float) -> None:
    if not lowest <= value <= highest:
        raise InvalidInput(field, f"{value}, allowed is {lowest} to {highest}")
