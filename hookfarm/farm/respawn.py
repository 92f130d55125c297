"""Policy of respawning: when an exited worker is forked again, and how long it may boot. Pure.

A worker that worked for a while is replaced at once. One that exits quickly, or never came up, is replaced after
0.1, 0.2, 0.4 … 30 s, jittered so that fifty of them are not forked together.

SIGKILL comes from outside (an operator, the kernel short of memory) and is no fault of the worker. If it had
come up, it is replaced at once; if not, within a second: a farm is soon at full strength after a storm of kills,
and yet does not fork without pause if there is too little memory to boot.

Each replacement of a worker that exited quickly gets longer to boot, up to eight times as long: on a machine so
busy that booting takes longer, ending it each time would only add to the load.
"""

from hookfarm import backoff

FIRST_WAIT_SECONDS = 0.1
MAX_WAIT_SECONDS = 30.0
MAX_WAIT_AFTER_KILL_SECONDS = 1.0
MAX_DOUBLINGS = 3
SETTLED_SECONDS = 1.0
"""A worker that came up and ran for this long counts as having worked."""


def quick_exits_after(previous: int, came_up: bool, age_seconds: float, killed: bool = False) -> int:
    """Return the number of quick exits in a row after another one; `killed`: by SIGKILL from outside."""
    return 0 if came_up and (killed or age_seconds >= SETTLED_SECONDS) else previous + 1


def backoff_seconds(quick_exits: int, chance: float, killed: bool = False) -> float:
    """Return the delay before the next fork; `chance` is a random number from 0 to 1."""
    if quick_exits == 0:
        return 0.0
    longest = MAX_WAIT_AFTER_KILL_SECONDS if killed else MAX_WAIT_SECONDS
    return backoff.delay(quick_exits - 1, FIRST_WAIT_SECONDS, longest, chance)


def boot_seconds(normal: float, quick_exits: int) -> float:
    """Return the time the next worker gets to come up."""
    return normal * 2.0 ** min(quick_exits, MAX_DOUBLINGS)
