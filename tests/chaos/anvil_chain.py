"""A chain of a real node, steered as a devchain is, and random steps that only such a node takes."""

import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.chaos.abort import AbortSignal
from tests.chaos.actions import Victims, await_block
from tests.chaos.history import ChainHistory
from tests.chaos.subscriptions import LARGEST, JsonLog
from tests.support.anvil import TRANSFER_SELECTOR, Anvil, deploy_emitter

CHAIN_ID = 31337
RECIPIENT = "c0ffee" * 6 + "beef"
GAS = hex(100_000)
DEEPEST = 40
"""Of the reorgs here: anvil executes all of it again."""


class NodeBlock(NamedTuple):
    number: int
    hash: str


class NodeChange(NamedTuple):
    removed: Sequence[NodeBlock]
    added: Sequence[NodeBlock]


class AnvilChain:
    """Two contracts, and blocks of their Transfers, made on request. `history` records what happens."""

    def __init__(self, node: Anvil, history: ChainHistory, chance: random.Random) -> None:
        self.chain_id = CHAIN_ID
        self.tokens = (deploy_emitter(node), deploy_emitter(node))
        self.accounts: list[str] = [account.lower() for account in node.call("eth_accounts")]
        self._node = node
        self._history = history
        self._chance = chance
        self._blocks: list[NodeBlock] = []
        self._snapshot: tuple[str, int] | None = None
        node.call("evm_setAutomine", False)
        self._note(0)

    @property
    def ws_url(self) -> str:
        return self._node.ws_url

    @property
    def http_url(self) -> str:
        return self._node.http_url

    def mine(self, n: int = 1) -> None:
        """So many blocks of up to three Transfers."""
        fork = len(self._blocks)
        for _ in range(n):
            for _ in range(self._chance.randint(0, 3)):
                self._node.call("eth_sendTransaction", self._transfer())
            self._node.call("evm_mine")
        self._note(fork)

    def leap(self, n: int) -> None:
        """So many blocks at once, all but the first of them empty."""
        fork = len(self._blocks)
        self._node.call("eth_sendTransaction", self._transfer())
        self._node.call("anvil_mine", hex(n))
        self._note(fork)

    def reorg(self, depth: int) -> None:
        """`anvil_reorg`: as many other blocks, some of them with Transfers."""
        depth = min(depth, len(self._blocks) - 1 - len(self.tokens))
        if depth > 0:
            if self._snapshot is not None and self._snapshot[1] > len(self._blocks) - depth:
                self._snapshot = None
            places = [place for place in range(depth) if self._chance.random() < 0.6]
            self._node.call("anvil_reorg", depth, [[self._transfer(), place] for place in places])
            self._note(len(self._blocks) - depth)

    def remember(self) -> None:
        """What `revert` returns to."""
        self._snapshot = (self._node.call("evm_snapshot"), len(self._blocks))

    def revert(self) -> None:
        """Back to where it was, with a lower head; nothing where that is gone or too far away."""
        if self._snapshot is not None:
            name, height = self._snapshot
            self._snapshot = None
            if len(self._blocks) - height <= DEEPEST and self._node.call("evm_revert", name):
                self._note(height)

    def tick(self, seconds: int) -> None:
        """The time between the blocks from now on."""
        self._node.call("anvil_setBlockTimestampInterval", seconds)

    def head(self) -> NodeBlock:
        return self._blocks[-1]

    def canonical_logs(self) -> list[JsonLog]:
        found: list[JsonLog] = self._node.call("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
        return found

    def clear_faults(self) -> None:
        """A real node has none."""

    def _transfer(self) -> dict[str, str]:
        data = f"0x{TRANSFER_SELECTOR}{RECIPIENT:0>64}{self._chance.randrange(LARGEST):064x}"
        sender, token = self._chance.choice(self.accounts), self._chance.choice(self.tokens)
        return {"from": sender, "to": token, "data": data, "gas": GAS}

    def _note(self, fork: int) -> None:
        """What is above the block `fork` may be another than before."""
        head = int(self._node.call("eth_blockNumber"), 16)
        added = [self._block(number) for number in range(fork + 1, head + 1)]
        same = 0
        for before, now in zip(self._blocks[fork:], added, strict=False):
            if before != now:
                break
            same += 1
        change = NodeChange(self._blocks[fork + same :], added[same:])
        self._blocks[fork:] = added
        self._history.record(change)

    def _block(self, number: int) -> NodeBlock:
        raw: Any = self._node.call("eth_getBlockByNumber", hex(number), False)
        return NodeBlock(number, raw["hash"])


@dataclass
class AnvilStorm:
    """As ChainStorm, for such a chain."""

    chain: AnvilChain
    chance: random.Random
    victims: Victims
    reached: Callable[[], str]

    def perform(self) -> None:
        [action] = self.chance.choices(_ACTIONS, _WEIGHTS)
        action(self)


Action = Callable[[AnvilStorm], object]

ACTIONS_AND_WEIGHTS: list[tuple[Action, int]] = [
    (lambda storm: await_block(storm.chain.head().hash, storm.reached, storm.chance, AbortSignal()), 20),
    (lambda storm: storm.chain.mine(storm.chance.randint(1, 4)), 14),
    (lambda storm: storm.chain.leap(storm.chance.randint(33, 60)), 1),
    (lambda storm: storm.chain.reorg(storm.chance.choice([1, 1, 2, 3, 5])), 14),
    (lambda storm: storm.chain.reorg(storm.chance.randint(6, DEEPEST)), 2),
    (lambda storm: storm.chain.remember(), 3),
    (lambda storm: storm.chain.revert(), 3),
    (lambda storm: storm.chain.tick(storm.chance.choice([1, 2, 12])), 1),
    (lambda storm: storm.victims.ingestor.kill_one(), 2),
    (lambda storm: storm.victims.processors.kill_one(), 2),
    (lambda storm: storm.victims.processors.kill_one(signal.SIGTERM), 1),
    (lambda storm: storm.victims.processors.suspend_one(), 1),
    (lambda storm: storm.victims.processors.resume(), 2),
]
_ACTIONS, _WEIGHTS = zip(*ACTIONS_AND_WEIGHTS, strict=True)
