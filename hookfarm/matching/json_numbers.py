"""Integers as the contract writes them: exact for every reader, also one whose numbers are doubles."""

LARGEST_NUMBER = 2**53


def json_integer(value: int) -> int | str:
    """The number itself up to ±2^53, beyond that its decimal digits."""
    return value if -LARGEST_NUMBER <= value <= LARGEST_NUMBER else str(value)
