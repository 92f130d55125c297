"""The master's patience, in one place."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """How long the master waits for what; ValueError where the budgets contradict each other."""

    boot_seconds: float = 10.0
    """A group has this long from its turn until it is ready."""
    roll_seconds: float = 30.0
    """So long a new child has in a rolling restart, beside a farm at work that leaves it little of the machine."""
    hang_seconds: float = 4.0
    """How late a child's promise may be before it is told to say where it hangs, and end (SIGABRT)."""
    abort_seconds: float = 1.0
    """From then to SIGKILL: a child that hangs is gone 5 s after its deadline, whatever it does."""
    herald_seconds: float = 1.0
    """For the heralds to withdraw what they announced, and again for them to leave."""
    base_seconds: float = 5.0
    """For what the others stand on, once nobody stands on it any more."""
    shortened_seconds: float = 2.0
    """What a second SIGTERM, or a failed start, leaves of the grace."""

    def __post_init__(self) -> None:
        if self.abort_seconds >= self.hang_seconds:
            raise ValueError("a child that hangs would be given longer to say where than it was to come back")
