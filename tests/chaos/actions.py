"""Random actions on a chain and on the processes that follow it, drawn from a seed."""

import contextlib
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from hookfarm.devchain.embedded import RunningDevchain
from hookfarm.errors import InvalidInput
from tests.chaos.abort import AbortSignal
from tests.chaos.killer import Killer

DEEPEST = 600
"""No reorg of the tests is deeper: the oracle judges the newest blocks. The events of 256 are kept in any case."""
LASTING_BLOCK = 2
"""It is never replaced: a node that shares only block 1 and replaces final blocks is another chain."""
TIPS_KEPT = 8
PATIENCE_SECONDS = (0.02, 0.1, 0.3, 1.0)
LOOK_SECONDS = 0.002
OMISSIONS = frozenset({"omitted_logs", "omitted_receipt_logs", "capped_results"})
"""Faults that only a bloom of all logs shows."""
SLACK = 16
"""By so many blocks a fork may be deeper than these steps know: there are reorgs on a node's calls, too."""


def await_block(head: str, reached: Callable[[], str], chance: random.Random, abort: AbortSignal) -> None:
    """Until everything up to the block `head` is published; not for long."""
    deadline = time.monotonic() + chance.choice(PATIENCE_SECONDS)
    while reached() != head and time.monotonic() < deadline:
        abort.sleep(LOOK_SECONDS)


class Tip(NamedTuple):
    """A head that was left, and the last block that it had in common with the branch taken instead."""

    hash: str
    fork: int


class Victims(NamedTuple):
    """The killers of a chain's ingestor, and of the processors and workers that it shares with others."""

    ingestor: Killer
    processors: Killer
    workers: Killer


@dataclass
class ChainStorm:
    """One chain and the victims.

    `highest` is the highest head there ever was: what is remembered is counted from there. `reached` is the hash
    of the block up to which everything is published.
    """

    chain: RunningDevchain
    chance: random.Random
    victims: Victims
    highest: Callable[[], int]
    reached: Callable[[], str]
    tips: list[Tip] = field(default_factory=list)
    """Heads that were left, to come back to."""
    abort: AbortSignal = field(default_factory=AbortSignal)
    without: frozenset[str] = frozenset()
    """Kinds of faults that nobody could notice on this chain."""

    def perform(self) -> None:
        [action] = self.chance.choices(_ACTIONS, _WEIGHTS)
        action(self)

    def reorg(self, depth: int, more: int = 0, same: bool = False) -> None:
        head = self.chain.head()
        depth = min(depth, head.number - LASTING_BLOCK, DEEPEST - (self.highest() - head.number))
        if depth > 0:
            self._leave(head.hash, head.number - depth)
            self.chain.reorg(depth, length=depth + more, same_transactions=same)

    def return_to(self, tip: Tip) -> None:
        """Nothing where that is canonical again or forgotten, or would be too deep a reorg."""
        head = self.chain.head().hash
        if self.highest() - tip.fork < DEEPEST - SLACK:
            with contextlib.suppress(InvalidInput):
                self.chain.switch_to(tip.hash)
                self._leave(head, tip.fork)

    def _leave(self, block_hash: str, fork: int) -> None:
        lower = [Tip(tip.hash, min(tip.fork, fork)) for tip in self.tips if tip.hash != block_hash]
        self.tips = [*lower[1 - TIPS_KEPT :], Tip(block_hash, fork)]


Action = Callable[[ChainStorm], object]


def await_published(storm: ChainStorm) -> None:
    """Goes on once everything is published, so that the next reorg takes something back; or soon."""
    await_block(storm.chain.head().hash, storm.reached, storm.chance, storm.abort)


def grow(storm: ChainStorm) -> None:
    storm.chain.mine(storm.chance.randint(1, 4))


def burst(storm: ChainStorm) -> None:
    """So many that they are fetched in ranges."""
    storm.chain.mine(storm.chance.randint(34, 60))


def shallow_reorg(storm: ChainStorm) -> None:
    storm.reorg(storm.chance.choice([1, 1, 2, 3, 5, 8]), storm.chance.randrange(3), storm.chance.random() < 0.3)


def deep_reorg(storm: ChainStorm) -> None:
    storm.chain.clear_faults("return_on_call")
    storm.reorg(storm.chance.randint(10, 50), storm.chance.randrange(3))


def deepest_reorg(storm: ChainStorm) -> None:
    storm.chain.clear_faults("return_on_call")
    storm.reorg(storm.chance.randint(51, DEEPEST))


def there_and_back(storm: ChainStorm) -> None:
    """With blocks of its own on either branch, or none."""
    storm.reorg(storm.chance.choice([1, 2, 3, 7]), storm.chance.randrange(3))
    if storm.chance.random() < 0.3:
        storm.chain.mine(storm.chance.randint(1, 2))
    if storm.tips:
        storm.return_to(storm.tips[-1])
    if storm.chance.random() < 0.3:
        storm.chain.mine(1)


def back_and_forth(storm: ChainStorm) -> None:
    storm.reorg(storm.chance.choice([1, 2, 4]))
    for _ in range(storm.chance.randint(2, 5) if storm.tips else 0):
        storm.return_to(storm.tips[-1])


def back_late(storm: ChainStorm) -> None:
    """To a head that was left some steps ago."""
    if storm.tips:
        storm.return_to(storm.chance.choice(storm.tips))


def back_on_call(storm: ChainStorm) -> None:
    """A reorg, and back just before the node answers for the logs of what came instead."""
    storm.reorg(storm.chance.choice([1, 2, 3]), 1)
    storm.chain.set_fault("return_on_call", 1)


def quiet(storm: ChainStorm) -> None:
    """The chain goes on while its node neither answers nor announces; then the sockets break."""
    storm.chain.set_fault("silence")
    shallow_reorg(storm)
    storm.chain.mine(storm.chance.randint(1, 5))
    storm.chain.clear_faults("silence")
    storm.chain.drop_connections()


def away(storm: ChainStorm) -> None:
    storm.chain.go_down()
    grow(storm)
    shallow_reorg(storm)
    storm.chain.come_up()


def fault(kind: str, most: int = 4, **parameters: str | int) -> Action:
    """A few occasions of it."""

    def set_fault(storm: ChainStorm) -> None:
        count = storm.chance.randint(1, most)
        if kind not in storm.without:
            storm.chain.set_fault(kind, count, **parameters)

    return set_fault


def overtaken(storm: ChainStorm) -> None:
    """A processor stands still while the chain goes back and forth: what it was given is handled last."""
    storm.reorg(storm.chance.choice([1, 2]))
    await_published(storm)
    halt = storm.chance.randrange(3)
    for flip in range(storm.chance.randint(2, 5) if storm.tips else 0):
        if flip == halt:
            storm.victims.processors.suspend_one()
        storm.return_to(storm.tips[-1])
        await_published(storm)


def suspended(storm: ChainStorm) -> None:
    """A processor stands still with what it has read, and goes on when a later action says so."""
    storm.victims.processors.suspend_one()


def resumed(storm: ChainStorm) -> None:
    storm.victims.processors.resume()


ACTIONS_AND_WEIGHTS: list[tuple[Action, int]] = [
    (await_published, 40),
    (grow, 24),
    (burst, 2),
    (shallow_reorg, 14),
    (deep_reorg, 2),
    (deepest_reorg, 1),
    (there_and_back, 8),
    (back_and_forth, 4),
    (back_late, 4),
    (quiet, 1),
    (away, 1),
    (lambda storm: storm.chain.drop_connections(), 1),
    (lambda storm: storm.victims.ingestor.kill_one(), 3),
    (lambda storm: storm.victims.ingestor.kill_one(signal.SIGTERM), 1),
    (lambda storm: storm.victims.processors.kill_one(), 4),
    (lambda storm: storm.victims.processors.kill_one(signal.SIGTERM), 1),
    (lambda storm: storm.victims.workers.kill_one(), 2),
    (overtaken, 4),
    (suspended, 1),
    (resumed, 4),
    (fault("omitted_logs"), 1),
    (fault("omitted_logs", where="first"), 1),
    (fault("omitted_receipt_logs"), 1),
    (fault("capped_results", logs=3), 1),
    (fault("nulls"), 1),
    (fault("lag", blocks=3), 1),
    (fault("lag", most=8, blocks=20, one_in=3), 1),
    (fault("half_frame", most=1), 1),
    (fault("cut", most=1), 1),
    (fault("http_status", most=1, status=429, retry_after=0), 1),
    (fault("http_status", most=2, status=503, retry_after=0), 1),
    (fault("error", method="eth_getLogs"), 1),
    (fault("latency", milliseconds=60), 1),
    (fault("refused_ranges", blocks=3, provider="infura"), 1),
    (fault("refused_results", logs=6, provider="alchemy"), 1),
    (fault("refused_batches", calls=3), 1),
    (fault("clamped_ranges"), 1),
    (fault("unsupported_tags", most=1), 1),
    (fault("announced_heads"), 1),
    (fault("announced_heads", shown="other_hash"), 1),
    (fault("blooms_without_system_logs"), 1),
    (fault("constant_blooms"), 1),
    (fault("dropped_heads"), 1),
    (fault("duplicated_heads"), 1),
    (fault("swapped_heads"), 1),
    (fault("reorg_on_call", depth=3, more=1), 2),
    (fault("reorg_on_call", depth=2, more=1, method="eth_getBlockByNumber"), 2),
    (back_on_call, 2),
]
_ACTIONS, _WEIGHTS = zip(*ACTIONS_AND_WEIGHTS, strict=True)
