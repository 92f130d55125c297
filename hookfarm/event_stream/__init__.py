"""Hop 1: the stream `events:<chain_id>`, from the ingestor to the processors.

A SIGKILL on either side loses nothing: publishing is one script (checkpoint compared, events added, checkpoint
set), so is taking back what a reorg orphaned, and an entry stays in the group's pending list until the script
of hop 2 acknowledges it together with the jobs it became. Whoever dies in between leaves entries that another
consumer claims.
"""

from hookfarm.event_stream.checkpoint import Checkpoint, read_checkpoint
from hookfarm.event_stream.publish import Publication, publish, rewind, tell_heads, transfers_wanted
from hookfarm.event_stream.read import (
    ABANDONED_MILLISECONDS,
    BATCH_ENTRIES,
    BLOCK_MILLISECONDS,
    Entry,
    StreamReader,
)
from hookfarm.event_stream.remembered_blocks import (
    KEPT_BLOCKS,
    CheckpointMoved,
    KnownBlock,
    StreamBlock,
    block_row,
    known_blocks,
    withdrawals,
)

__all__ = [
    "ABANDONED_MILLISECONDS",
    "BATCH_ENTRIES",
    "BLOCK_MILLISECONDS",
    "KEPT_BLOCKS",
    "Checkpoint",
    "CheckpointMoved",
    "Entry",
    "KnownBlock",
    "Publication",
    "StreamBlock",
    "StreamReader",
    "block_row",
    "known_blocks",
    "publish",
    "read_checkpoint",
    "rewind",
    "tell_heads",
    "transfers_wanted",
    "withdrawals",
]
