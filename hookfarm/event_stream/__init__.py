"""Hop 1: the stream `events:<chain_id>`, from the ingestor to the processors.

A SIGKILL on either side loses nothing: publishing is one script (checkpoint compared, events added, checkpoint
set), so is a rollback, and an entry stays in the group's pending list until the script
of hop 2 acknowledges it together with the jobs it became. A process that dies in between leaves entries that
another consumer claims.
"""

from hookfarm.event_stream.publish import (
    Publication,
    RetryingChainStream,
    publish,
    rollback,
    set_finality_heads,
    transfers_wanted,
)
from hookfarm.event_stream.read import (
    ABANDONED_MILLISECONDS,
    BATCH_ENTRIES,
    BLOCK_MILLISECONDS,
    StreamEntry,
    StreamReader,
)
from hookfarm.event_stream.remembered_blocks import (
    KEPT_BLOCKS,
    Checkpoint,
    CheckpointMoved,
    RememberedBlock,
    StreamBlock,
    add_transfers,
    extend_remembered_blocks,
    lowest_remembered,
    pin_genesis,
    read_checkpoint,
    read_remembered,
    removal_entries,
)

__all__ = [
    "ABANDONED_MILLISECONDS",
    "BATCH_ENTRIES",
    "BLOCK_MILLISECONDS",
    "KEPT_BLOCKS",
    "Checkpoint",
    "CheckpointMoved",
    "Publication",
    "RememberedBlock",
    "RetryingChainStream",
    "StreamBlock",
    "StreamEntry",
    "StreamReader",
    "add_transfers",
    "extend_remembered_blocks",
    "lowest_remembered",
    "pin_genesis",
    "publish",
    "read_checkpoint",
    "read_remembered",
    "removal_entries",
    "rollback",
    "set_finality_heads",
    "transfers_wanted",
]
