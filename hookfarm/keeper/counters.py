"""The numbers of the keeper's slot: what its duties have come upon."""

ORPHANS = 0
"""Jobs that were in nobody's hands and went back into the queue."""
WORKERS_LOST = 1
"""Jobs given up because they had cost too many workers."""
STALLS = 2
"""From here on: 1 for each chain that was found stalled and is noted."""
