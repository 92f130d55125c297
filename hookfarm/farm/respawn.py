"""When a child that is gone is forked again: a pure policy.

A child that worked for a while is replaced at once. One that goes quickly, or never came up, is replaced after
0.1, 0.2, 0.4 … 30 s, each ±20 % so that fifty of them do not come back in step.

SIGKILL comes from outside (an operator, the kernel short of memory) and says nothing against the next child. Who
came up and was killed is replaced at once; who was killed before that, within a second, so that a farm is at full
strength soon after such a storm and yet does not fork without pause where memory is too short to boot.

A replacement has longer to boot than the one before it that went quickly, up to eight times as long: on a machine
with so much else to do that booting takes longer than that, ending it each time would only add to the load.
"""

from hookfarm import backoff

FIRST_WAIT_SECONDS = 0.1
MAX_WAIT_SECONDS = 30.0
MAX_WAIT_AFTER_KILL_SECONDS = 1.0
MAX_DOUBLINGS = 3
SETTLED_SECONDS = 1.0
"""A child that lived this long and came up counts as having worked."""


def quick_exits_after(previous: int, came_up: bool, lived_seconds: float, killed: bool = False) -> int:
    """How many quick exits in a row there have been, now that a child is gone; `killed` by somebody else."""
    return 0 if came_up and (killed or lived_seconds >= SETTLED_SECONDS) else previous + 1


def wait_seconds(quick_exits: int, chance: float, killed: bool = False) -> float:
    """How long to wait before forking; `chance` is a random number from 0 to 1."""
    if quick_exits == 0:
        return 0.0
    longest = MAX_WAIT_AFTER_KILL_SECONDS if killed else MAX_WAIT_SECONDS
    return backoff.delay(quick_exits - 1, FIRST_WAIT_SECONDS, longest, chance)


def boot_seconds(normal: float, quick_exits: int) -> float:
    """How long the next child may take to come up."""
    return normal * 2.0 ** min(quick_exits, MAX_DOUBLINGS)
