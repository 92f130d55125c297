"""Hop 1: the stream `events:<chain_id>`, from the ingestor to the processors.

A SIGKILL on either side loses nothing. Publishing is one script: it compares the checkpoint, adds the events and
sets the checkpoint. A rollback is one script too. An entry stays in the group's pending list until the script of
hop 2 acknowledges it and enqueues its jobs. Pending entries of a dead process are claimed by another consumer.
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
    EVENTS_SECONDS,
    KEPT_BLOCKS,
    MAX_BLOCKS,
    Checkpoint,
    CheckpointMoved,
    RememberedBlock,
    ReorgWindow,
    StreamBlock,
    add_transfers,
    extend_remembered_blocks,
    finalized_number,
    lowest_remembered,
    pin_block,
    read_checkpoint,
    read_forgotten,
    read_remembered,
    removal_entries,
)

__all__ = [
    "ABANDONED_MILLISECONDS",
    "BATCH_ENTRIES",
    "BLOCK_MILLISECONDS",
    "EVENTS_SECONDS",
    "KEPT_BLOCKS",
    "MAX_BLOCKS",
    "Checkpoint",
    "CheckpointMoved",
    "Publication",
    "RememberedBlock",
    "ReorgWindow",
    "RetryingChainStream",
    "StreamBlock",
    "StreamEntry",
    "StreamReader",
    "add_transfers",
    "extend_remembered_blocks",
    "finalized_number",
    "lowest_remembered",
    "pin_block",
    "publish",
    "read_checkpoint",
    "read_forgotten",
    "read_remembered",
    "removal_entries",
    "rollback",
    "set_finality_heads",
    "transfers_wanted",
]
