"""Errors that hookfarm raises, named after the cause that must be removed.

`HookfarmError` reaches a user as one line, never as a traceback; the command line exits with its `exit_code`.
Exceptions of libraries are mapped to one of these where they are caught, with their cause.
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
    """Base of all errors; str() is one line that names the problem and what to do."""

    exit_code = 1


class InvalidInput(HookfarmError):
    """An input is not allowed; the error names its field.

    `field` is its path (`subscriptions[0].event`); `problem` is its value and what is allowed.
    """

    exit_code = 2

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    def within(self, prefix: str) -> "InvalidInput":
        """Return the same problem with the path from the record that contains the field."""
        joint = "" if self.field.startswith("[") else "."
        return InvalidInput(f"{prefix}{joint}{self.field}", self.problem)


class OperatorError(HookfarmError):
    """The deployment is wrong (server settings, ports, chain URLs), and its operator must act."""


class CouldNotBoot(OperatorError):
    """A process cannot start, and an immediate retry would fail again."""


class ChainUnavailable(HookfarmError):
    """A node did not answer, or not as asked; another try may succeed."""


class WrongChain(OperatorError):
    """The node behind a URL serves another chain than the one configured."""


class Conflict(HookfarmError):
    """The operation conflicts with the resource's state, which the message names."""


class NotFound(HookfarmError):
    """The named resource does not exist."""
