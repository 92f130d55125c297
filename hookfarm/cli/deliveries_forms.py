"""The options by which deliveries and dead letters are chosen, checked: a wrong one is named, exit 2."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from hookfarm import timestamps
from hookfarm.cli.completion import Complete, among, endpoint_ids
from hookfarm.deliveries.filters import DELIVERED, FAILED, LISTED_STATES, TRANSPORT_ERRORS, is_status
from hookfarm.errors import InvalidInput

F = TypeVar("F", bound=Callable[..., Any])

MOST_LISTED = 1000


def ids_argument(command: F) -> F:
    """Any number of ids, or none."""
    return click.argument("ids", nargs=-1, metavar="[ID]…", callback=_texts)(command)


def id_argument(command: F) -> F:
    return click.argument("delivery_id", metavar="ID", callback=utf8)(command)


def endpoints_option(command: F) -> F:
    summary = "Only of this endpoint (repeatable)."
    return click.option(
        *("--endpoint", "endpoints"),
        multiple=True,
        metavar="EP",
        callback=_texts,
        help=summary,
        shell_complete=endpoint_ids,
    )(command)


def status_option(command: F) -> F:
    errors = ", ".join(TRANSPORT_ERRORS)
    return click.option(
        *("--status", "status"),
        metavar="STATUS",
        callback=_status,
        help=f"Only attempts that were {DELIVERED}, {FAILED}, of an HTTP status, or one of {errors}.",
        shell_complete=among(DELIVERED, FAILED, *TRANSPORT_ERRORS),
    )(command)


def state_option(command: F) -> F:
    return click.option(
        *("--state", "state"),
        type=click.Choice(LISTED_STATES),
        help="Deliveries that are in this state now, instead of attempts.",
    )(command)


def since_option(command: F) -> F:
    summary = "Not before: so long ago (90s, 2h, 7d), or a moment in ISO 8601 (UTC unless it says otherwise)."
    return click.option("--since", "since_ms", metavar="WHEN", callback=_moment, help=summary)(command)


def until_option(command: F) -> F:
    return click.option("--until", "until_ms", metavar="WHEN", callback=_moment, help="Not after, likewise.")(
        command
    )


def yes_option(command: F) -> F:
    return click.option("--yes", is_flag=True, help="Do not ask first.")(command)


def _moment(_context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """ms since the epoch."""
    if value is None:
        return None
    try:
        return timestamps.parse_since(value, time.time())
    except (ValueError, OverflowError) as error:
        allowed = "write 90s, 2h, 7d or 2026-01-31T12:00"
        raise InvalidInput(
            parameter.opts[0], f"{value!r} is neither a duration nor a moment; {allowed}"
        ) from error


def _status(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None or is_status(value):
        return value
    allowed = ", ".join((DELIVERED, FAILED, "100 to 599", *TRANSPORT_ERRORS))
    raise InvalidInput(parameter.opts[0], f"{value!r} is no status; allowed are {allowed}")


def utf8(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Redis takes any text that is UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        shown = parameter.opts[0] if parameter.opts[0].startswith("-") else "id"
        raise InvalidInput(shown, f"{value!r} is not UTF-8") from error
    return value


def _texts(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Each once, in the order given."""
    return tuple(dict.fromkeys(utf8(context, parameter, value) for value in values))


def text_option(flag: str, summary: str, metavar: str, complete: Complete | None = None) -> Callable[[F], F]:
    """An option that is any text, or nothing."""

    def check(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        return None if value is None else utf8(context, parameter, value)

    return click.option(flag, metavar=metavar, callback=check, help=summary, shell_complete=complete)
