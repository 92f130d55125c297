"""Numbers as options: a wrong one ends the command with one line that names the option, exit 2."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from hookfarm.errors import InvalidInput

F = TypeVar("F", bound=Callable[..., Any])
Callback = Callable[[click.Context, click.Parameter, Any], Any]


def whole_option(flag: str, low: int, high: int, summary: str, default: int | None = None) -> Callable[[F], F]:
    """An option that is a whole number from `low` to `high`, or `default`."""
    return _option(flag, _checked(int, "a whole number", low, high), summary, default, "N")


def seconds_option(
    flag: str, low: float, high: float, summary: str, default: float | None = None
) -> Callable[[F], F]:
    """An option that is a number of seconds from `low` to `high`, or `default`."""
    return _option(flag, _checked(float, "a number", low, high), summary, default, "SECONDS")


def _option(flag: str, callback: Callback, summary: str, default: Any, metavar: str) -> Callable[[F], F]:
    shown = summary if default is None else f"{summary} [{default:g}]"
    return click.option(
        flag, type=click.UNPROCESSED, callback=callback, default=default, metavar=metavar, help=f"{shown}."
    )


def _checked(kind: type[int] | type[float], words: str, low: float, high: float) -> Callback:
    def check(_context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value is None:
            return None
        option, allowed = parameter.opts[0], f"{low} to {high}"
        try:
            number = kind(value)
        except (ValueError, OverflowError) as error:
            raise InvalidInput(option, f"{value!r} is not {words} from {allowed}") from error
        if math.isnan(number) or not low <= number <= high:
            raise InvalidInput(option, f"{value} is out of range; allowed are {allowed}")
        return number

    return check
