"""Errors of hookfarm, by who must act.

A user sees a `HookfarmError` as one line, never as a traceback; the command line exits with its `exit_code`.
Exceptions of libraries are converted to these errors where they are caught, with their cause.
"""

__all__ = [
    "ChainUnavailable",
    "Conflict",
    "CouldNotBoot",
    "HookfarmError",
    "InvalidInput",
    "NotFound",
    "OperatorError",
    "WrongChain",
]


class HookfarmError(Exception):
    """Base of all errors; str() is one line with the problem and what to do."""

    exit_code = 1


class InvalidInput(HookfarmError):
    """Invalid input, with its field.

    `field` is its path (`subscriptions[0].event`); `problem` contains the value and what is allowed.
    """

    exit_code = 2

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    def within(self, prefix: str) -> "InvalidInput":
        """Return the same error with `prefix` before the field's path."""
        joint = "" if self.field.startswith("[") else "."
        return InvalidInput(f"{prefix}{joint}{self.field}", self.problem)


class OperatorError(HookfarmError):
    """The deployment is wrong (server settings, ports, chain URLs); its operator must act."""


class CouldNotBoot(OperatorError):
    """A process cannot start; an immediate retry would fail again."""


class ChainUnavailable(HookfarmError):
    """A node failed or sent an invalid response; a retry may succeed."""


class WrongChain(OperatorError):
    """A URL's node serves another chain than the configured one."""


class Conflict(HookfarmError):
    """The operation conflicts with the resource's state, which the message contains."""


class NotFound(HookfarmError):
    """The named resource does not exist."""
