"""Hop 1: the stream `events:<chain_id>`, from the ingestor to the processors.

A SIGKILL on either side loses nothing. Publishing is one script: it compares the checkpoint, adds the events and
sets the checkpoint. A rollback is one script too. An entry stays in the group's pending list until the script of
hop 2 acknowledges it and enqueues its jobs. Pending entries of a dead process are claimed by another consumer.
"""

from hookfarm.event_stream.publish import (
    AcceptedBlock,
    DoubtfulBlock,
    Publication,
    RetryingChainStream,
    accept_block,
    accepted_block,
    doubtful_block,
    doubtful_blocks,
    forget_doubtful_blocks,
    publish,
    record_doubtful_block,
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
    finalized_number,
    lowest_remembered,
    pin_block,
    read_checkpoint,
    read_remembered,
    removal_entries,
)

__all__ = [
    "ABANDONED_MILLISECONDS",
    "BATCH_ENTRIES",
    "BLOCK_MILLISECONDS",
    "KEPT_BLOCKS",
    "AcceptedBlock",
    "Checkpoint",
    "CheckpointMoved",
    "DoubtfulBlock",
    "Publication",
    "RememberedBlock",
    "RetryingChainStream",
    "StreamBlock",
    "StreamEntry",
    "StreamReader",
    "accept_block",
    "accepted_block",
    "add_transfers",
    "doubtful_block",
    "doubtful_blocks",
    "extend_remembered_blocks",
    "finalized_number",
    "forget_doubtful_blocks",
    "lowest_remembered",
    "pin_block",
    "publish",
    "read_checkpoint",
    "read_remembered",
    "record_doubtful_block",
    "removal_entries",
    "rollback",
    "set_finality_heads",
    "transfers_wanted",
]
