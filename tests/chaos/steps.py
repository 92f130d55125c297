"""What happens to a chain and to those who follow it, one step at a time, drawn from a seed."""

import contextlib
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from hookfarm.devchain.library import RunningDevchain
from hookfarm.errors import InvalidInput
from tests.chaos.alarm import Alarm
from tests.chaos.killer import Killer

WINDOW = 256
"""Blocks that hookfarm remembers: no reorg of the tests is deeper."""
TIPS_KEPT = 8
PATIENCE_SECONDS = (0.02, 0.1, 0.3, 1.0)
LOOK_SECONDS = 0.002
SLACK = 16
"""By so many blocks a fork may be deeper than these steps know: there are reorgs on a node's calls, too."""


def watch(head: str, reached: Callable[[], str], chance: random.Random, alarm: Alarm) -> None:
    """Until everything up to the block `head` is published; not for long."""
    deadline = time.monotonic() + chance.choice(PATIENCE_SECONDS)
    while reached() != head and time.monotonic() < deadline:
        alarm.rest(LOOK_SECONDS)


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
class Stage:
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
    alarm: Alarm = field(default_factory=Alarm)

    def perform(self) -> None:
        [step] = self.chance.choices(_STEPS, _WEIGHTS)
        step(self)

    def reorg(self, depth: int, more: int = 0, same: bool = False) -> None:
        head = self.chain.head()
        depth = min(depth, head.number, WINDOW - (self.highest() - head.number))
        if depth > 0:
            self._leave(head.hash, head.number - depth)
            self.chain.reorg(depth, length=depth + more, same_transactions=same)

    def return_to(self, tip: Tip) -> None:
        """Nothing where that is canonical again or forgotten, or would be too deep a reorg."""
        head = self.chain.head().hash
        if self.highest() - tip.fork < WINDOW - SLACK:
            with contextlib.suppress(InvalidInput):
                self.chain.switch_to(tip.hash)
                self._leave(head, tip.fork)

    def _leave(self, block_hash: str, fork: int) -> None:
        lower = [Tip(tip.hash, min(tip.fork, fork)) for tip in self.tips if tip.hash != block_hash]
        self.tips = [*lower[1 - TIPS_KEPT :], Tip(block_hash, fork)]


Step = Callable[[Stage], object]


def watched(stage: Stage) -> None:
    """Goes on once everything is published, so that the next reorg takes something back; or soon."""
    watch(stage.chain.head().hash, stage.reached, stage.chance, stage.alarm)


def grow(stage: Stage) -> None:
    stage.chain.mine(stage.chance.randint(1, 4))


def burst(stage: Stage) -> None:
    """So many that they are fetched in ranges."""
    stage.chain.mine(stage.chance.randint(34, 60))


def shallow_reorg(stage: Stage) -> None:
    stage.reorg(stage.chance.choice([1, 1, 2, 3, 5, 8]), stage.chance.randrange(3), stage.chance.random() < 0.3)


def deep_reorg(stage: Stage) -> None:
    stage.chain.clear_faults("return_on_call")
    stage.reorg(stage.chance.randint(10, 50), stage.chance.randrange(3))


def deepest_reorg(stage: Stage) -> None:
    stage.chain.clear_faults("return_on_call")
    stage.reorg(stage.chance.randint(51, WINDOW))


def there_and_back(stage: Stage) -> None:
    """With blocks of its own on either branch, or none."""
    stage.reorg(stage.chance.choice([1, 2, 3, 7]), stage.chance.randrange(3))
    if stage.chance.random() < 0.3:
        stage.chain.mine(stage.chance.randint(1, 2))
    if stage.tips:
        stage.return_to(stage.tips[-1])
    if stage.chance.random() < 0.3:
        stage.chain.mine(1)


def back_and_forth(stage: Stage) -> None:
    stage.reorg(stage.chance.choice([1, 2, 4]))
    for _ in range(stage.chance.randint(2, 5) if stage.tips else 0):
        stage.return_to(stage.tips[-1])


def back_late(stage: Stage) -> None:
    """To a head that was left some steps ago."""
    if stage.tips:
        stage.return_to(stage.chance.choice(stage.tips))


def back_on_call(stage: Stage) -> None:
    """A reorg, and back just before the node answers for the logs of what came instead."""
    stage.reorg(stage.chance.choice([1, 2, 3]), 1)
    stage.chain.set_fault("return_on_call", 1)


def quiet(stage: Stage) -> None:
    """The chain goes on while its node neither answers nor announces; then the sockets break."""
    stage.chain.set_fault("silence")
    shallow_reorg(stage)
    stage.chain.mine(stage.chance.randint(1, 5))
    stage.chain.clear_faults("silence")
    stage.chain.drop_connections()


def away(stage: Stage) -> None:
    stage.chain.go_down()
    grow(stage)
    shallow_reorg(stage)
    stage.chain.come_up()


def fault(kind: str, most: int = 4, **parameters: str | int) -> Step:
    """A few occasions of it."""
    return lambda stage: stage.chain.set_fault(kind, stage.chance.randint(1, most), **parameters)


def overtaken(stage: Stage) -> None:
    """A processor stands still while the chain goes back and forth: what it was given is handled last."""
    stage.reorg(stage.chance.choice([1, 2]))
    watched(stage)
    halt = stage.chance.randrange(3)
    for flip in range(stage.chance.randint(2, 5) if stage.tips else 0):
        if flip == halt:
            stage.victims.processors.suspend_one()
        stage.return_to(stage.tips[-1])
        watched(stage)


def suspended(stage: Stage) -> None:
    """A processor stands still with what it has read, and goes on when a later step says so."""
    stage.victims.processors.suspend_one()


def resumed(stage: Stage) -> None:
    stage.victims.processors.resume()


STEPS_AND_WEIGHTS: list[tuple[Step, int]] = [
    (watched, 40),
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
    (lambda stage: stage.chain.drop_connections(), 1),
    (lambda stage: stage.victims.ingestor.kill_one(), 3),
    (lambda stage: stage.victims.ingestor.kill_one(signal.SIGTERM), 1),
    (lambda stage: stage.victims.processors.kill_one(), 4),
    (lambda stage: stage.victims.processors.kill_one(signal.SIGTERM), 1),
    (lambda stage: stage.victims.workers.kill_one(), 2),
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
    (fault("dropped_heads"), 1),
    (fault("duplicated_heads"), 1),
    (fault("swapped_heads"), 1),
    (fault("reorg_on_call", depth=3, more=1), 2),
    (fault("reorg_on_call", depth=2, more=1, method="eth_getBlockByNumber"), 2),
    (back_on_call, 2),
]
_STEPS, _WEIGHTS = zip(*STEPS_AND_WEIGHTS, strict=True)
