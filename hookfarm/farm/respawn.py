"""Respawn policy: when an exited worker is forked again, and how long it may boot. Pure.

A worker that was up for SETTLED_SECONDS is replaced at once. A worker that exits sooner is replaced after
0.1, 0.2, 0.4 … 30 s, with jitter, so that fifty workers are not forked together.

SIGKILL comes from outside: an operator, or the kernel short of memory. A killed worker that had come up is
replaced at once, any other within a second. So a farm recovers quickly from
a storm of kills, but does not fork without pause while memory is low.

Each replacement after a quick exit gets more time to boot, up to eight times as much. On a busy machine, killing
slow boots would only add load.
"""

from hookfarm import backoff

FIRST_WAIT_SECONDS = 0.1
MAX_WAIT_SECONDS = 30.0
MAX_WAIT_AFTER_KILL_SECONDS = 1.0
MAX_DOUBLINGS = 3
SETTLED_SECONDS = 1.0
"""Time after which an exit no longer counts as quick."""


def quick_exits_after(previous: int, came_up: bool, age_seconds: float, killed: bool = False) -> int:
    """Return the number of quick exits in a row after this exit; `killed`: by SIGKILL from outside."""
    return 0 if came_up and (killed or age_seconds >= SETTLED_SECONDS) else previous + 1


def backoff_seconds(quick_exits: int, chance: float, killed: bool = False) -> float:
    """Return the delay before the next fork; `chance` is a random number from 0 to 1."""
    if quick_exits == 0:
        return 0.0
    longest = MAX_WAIT_AFTER_KILL_SECONDS if killed else MAX_WAIT_SECONDS
    return backoff.delay(quick_exits - 1, FIRST_WAIT_SECONDS, longest, chance)


def boot_seconds(normal: float, quick_exits: int) -> float:
    """Return the boot time of the next worker."""
    return normal * 2.0 ** min(quick_exits, MAX_DOUBLINGS)
