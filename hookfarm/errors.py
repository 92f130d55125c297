"""Every error hookfarm raises on purpose, named after who must act on it.

`HookfarmError` reaches a user as its one line, never as a traceback; the command line maps its
`exit_code`. Foreign exceptions are mapped to one of these once, where they enter, with their cause.
"""


class HookfarmError(Exception):
    """Base of all; str() is one line that a person can act on."""

    exit_code = 1


class InvalidInput(HookfarmError):
    """The caller gave something that is not allowed.

    `field` is the path of what is wrong (`subscriptions[0].event`), `problem` says what it was and
    what is allowed.
    """

    exit_code = 2

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    def within(self, prefix: str) -> "InvalidInput":
        """The same problem, seen from the record that contains the field."""
        joint = "" if self.field.startswith("[") else "."
        return InvalidInput(f"{prefix}{joint}{self.field}", self.problem)


class OperatorError(HookfarmError):
    """The deployment is wrong (server settings, ports, chain URLs): whoever runs it must act."""


class CouldNotBoot(OperatorError):
    """A process cannot start and would not start if tried again at once."""


class ChainUnavailable(HookfarmError):
    """A node did not answer, or not as asked; worth trying again."""


class WrongChain(OperatorError):
    """The node behind a URL serves another chain than the one configured."""


class Conflict(HookfarmError):
    """What was asked for does not fit the state that it is in. The message says which."""


class NotFound(HookfarmError):
    """What was named does not exist."""
