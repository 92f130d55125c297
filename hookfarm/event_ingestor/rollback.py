"""Going back to a fork point: the events of every orphaned block are taken back, the newest first.

In steps, because a script holds Redis up: after each of them the checkpoint is the block below those that it
took back. A crash in between leaves a checkpoint on the orphaned branch, from where the rest is taken back; a
chain that returns to that branch meanwhile is simply followed from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hookfarm.event_ingestor.store import Store
from hookfarm.event_stream import Checkpoint, KnownBlock

STEP_BLOCKS = 64
STEP_EVENTS = 2_000


@dataclass(frozen=True)
class Step:
    """Blocks taken back together. `forgotten` counts events that were published but are not remembered."""

    target: Checkpoint
    withdrawn: list[bytes]
    forgotten: int


async def next_step(store: Store, checkpoint: Checkpoint, fork: Checkpoint) -> Step:
    """The next step down from the checkpoint, above the fork point. CheckpointMoved where that is another now."""
    numbers = range(checkpoint.number, max(fork.number, checkpoint.number - STEP_BLOCKS), -1)
    known = await store.known_blocks(numbers, checkpoint)
    withdrawals = await store.withdrawals(numbers, checkpoint)
    taken = _fitting(withdrawals)
    forgotten = sum(_lost(block, events) for block, events in zip(known[:taken], withdrawals, strict=False))
    withdrawn = [entry for entries in withdrawals[:taken] for entry in entries or ()]
    below = checkpoint.number - taken
    if below == fork.number:
        return Step(fork, withdrawn, forgotten)
    [target] = await store.known_blocks([below], checkpoint)
    return Step(fork if target is None else target.point, withdrawn, forgotten)


def _fitting(withdrawals: Sequence[list[bytes] | None]) -> int:
    """How many blocks one step takes, at least one."""
    events = 0
    for taken, entries in enumerate(withdrawals):
        events += len(entries or ())
        if taken and events > STEP_EVENTS:
            return taken
    return len(withdrawals)


def _lost(block: KnownBlock | None, events: list[bytes] | None) -> int:
    return block.event_count if block is not None and events is None else 0
