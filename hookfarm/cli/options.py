"""Options shared by several commands, their checks, and the settings and Redis client made from them."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
import redis
from click.shell_completion import CompletionItem

from hookfarm import config, timestamps
from hookfarm.deliveries.filters import DELIVERED, FAILED, TRANSPORT_ERRORS, is_status
from hookfarm.errors import HookfarmError, InvalidInput, OperatorError
from hookfarm.registry import listing
from hookfarm.security import redaction
from hookfarm.security.redaction import redis_address
from hookfarm.store.clients import command_client
from hookfarm.store.embedded_server import StateDirectory

F = TypeVar("F", bound=Callable[..., Any])
Callback = Callable[[click.Context, click.Parameter, Any], Any]
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

MAX_LISTED = 1000
MAX_OFFERED = 100
"""Maximum endpoint ids that shell completion offers."""

_CONFIG = click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML file of settings.")
_REDIS_URL = click.option(
    "--redis-url", metavar="URL", help="Redis (redis://, rediss://, unix://). [default: embedded]"
)
_STATE_DIR = click.option("--state-dir", metavar="DIR", help="State directory of hookfarm's own Redis server.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
_YES = click.option("--yes", is_flag=True, help="Skip the confirmation prompt.")

# Settings and Redis


def redis_options(command: F) -> F:
    """Add --config, --redis-url and --state-dir, which select the farm's Redis."""
    return _CONFIG(_REDIS_URL(_STATE_DIR(command)))


def settings(config_file: Path | None, **options: Any) -> config.Config:
    """Return the settings in force and register their secrets for redaction. Raises InvalidInput."""
    given = config.load(options, file=config_file)
    redaction.register_secrets(config.secrets(given))
    return given


def redis_url(settings_in_force: config.Config) -> str:
    """Return the configured Redis URL, else that of the embedded server in the state directory."""
    return settings_in_force.redis_url or StateDirectory(settings_in_force.state_dir).redis_url


@contextlib.contextmanager
def connected(settings_in_force: config.Config) -> Iterator[redis.Redis]:
    """Yield a client. Raises OperatorError with Redis's address if a command fails."""
    url = redis_url(settings_in_force)
    client = command_client(url)
    try:
        yield client
    except redis.ConnectionError as error:
        if settings_in_force.redis_url is None:
            where = f"no farm is running in {settings_in_force.state_dir}"
            allowed = "start it (hookfarm start), or give --state-dir or --redis-url"
            raise OperatorError(f"{where}; {allowed}") from error
        raise OperatorError(f"Redis at {redis_address(url)} does not answer: {error}") from error
    except redis.RedisError as error:
        raise OperatorError(f"Redis at {redis_address(url)}: {error}") from error
    finally:
        client.close()


# Flags, text and numbers


def json_option(command: F) -> F:
    return _JSON(command)


def yes_option(command: F) -> F:
    return _YES(command)


def text_option(flag: str, summary: str, metavar: str, complete: Complete | None = None) -> Callable[[F], F]:
    """Return an optional option of any UTF-8 text."""

    def check(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        return None if value is None else utf8(context, parameter, value)

    return click.option(flag, metavar=metavar, callback=check, help=summary, shell_complete=complete)


def whole_option(flag: str, low: int, high: int, summary: str, default: int | None = None) -> Callable[[F], F]:
    """Return an option that is an integer from `low` to `high`, or `default`."""
    return _number_option(flag, _check_number(int, "a whole number", low, high), summary, default, "N")


def seconds_option(
    flag: str, low: float, high: float, summary: str, default: float | None = None
) -> Callable[[F], F]:
    """Return an option that is a number of seconds from `low` to `high`, or `default`."""
    return _number_option(flag, _check_number(float, "a number", low, high), summary, default, "SECONDS")


def utf8(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Return a text that is valid UTF-8. Raises InvalidInput if it is not."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        shown = parameter.opts[0] if parameter.opts[0].startswith("-") else "id"
        raise InvalidInput(shown, f"{value!r} is not UTF-8") from error
    return value


def _number_option(flag: str, callback: Callback, summary: str, default: Any, metavar: str) -> Callable[[F], F]:
    shown = summary if summary.endswith("]") else f"{summary}."
    if default is not None:
        shown += f" [default: {default:g}]"
    return click.option(
        flag, type=click.UNPROCESSED, callback=callback, default=default, metavar=metavar, help=shown
    )


def _check_number(kind: type[int] | type[float], noun: str, low: float, high: float) -> Callback:
    def check(_context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value is None:
            return None
        option, allowed = parameter.opts[0], f"{low} to {high}"
        try:
            number = kind(value)
        except (ValueError, OverflowError) as error:
            raise InvalidInput(option, f"{value!r} is not {noun} from {allowed}") from error
        if math.isnan(number) or not low <= number <= high:
            raise InvalidInput(option, f"{value} is out of range; allowed are {allowed}")
        return number

    return check


# Shell completion of values


def among(*words: str) -> Complete:
    """Complete an option that is one of these words."""
    return lambda _context, _parameter, incomplete: [
        CompletionItem(word) for word in words if word.startswith(incomplete)
    ]


def endpoint_ids(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete endpoint ids, newest first, with their URLs. Returns [] if Redis does not answer."""
    given = {name: context.params.get(name) for name in ("redis_url", "state_dir")}
    where = listing.ListingFilter(incomplete or None)
    try:
        with connected(settings(context.params.get("config_file"), **given)) as client:
            found, _ = listing.page(client, where, None, MAX_OFFERED)
    except HookfarmError:
        return []
    endpoints = (listed.endpoint for listed in found)
    return [CompletionItem(e.id, help=e.url) for e in endpoints if e.id.startswith(incomplete)]


# Filters of deliveries and dead letters


def ids_argument(command: F) -> F:
    """Add the argument of any number of ids."""
    return click.argument("ids", nargs=-1, metavar="[ID]…", callback=_unique_texts)(command)


def delivery_id_argument(command: F) -> F:
    return click.argument("delivery_id", metavar="ID", callback=utf8)(command)


def endpoints_option(command: F) -> F:
    option = click.option(
        *("--endpoint", "endpoints"),
        multiple=True,
        metavar="EP",
        callback=_unique_texts,
        help="Only this endpoint. Repeatable.",
        shell_complete=endpoint_ids,
    )
    return option(command)


def status_option(command: F) -> F:
    """Add --status: delivered, failed, an HTTP status or the kind of an error."""
    errors = ", ".join(TRANSPORT_ERRORS)
    return click.option(
        *("--status", "status"),
        metavar="STATUS",
        callback=_check_status,
        help=f"Only attempts with this status: {DELIVERED}, {FAILED}, an HTTP status, or one of {errors}.",
        shell_complete=among(DELIVERED, FAILED, *TRANSPORT_ERRORS),
    )(command)


def choice_option(flag: str, summary: str, metavar: str, *words: str) -> Callable[[F], F]:
    """Return an optional option that is one of these words."""

    def check(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        if value is None or value in words:
            return value
        raise InvalidInput(parameter.opts[0], f"{value!r} is unknown; allowed are {', '.join(words)}")

    return click.option(
        flag, metavar=metavar, callback=check, help=f"{summary}: {', '.join(words)}.", shell_complete=among(*words)
    )


def since_option(command: F) -> F:
    summary = "Start of the time span: an age (90s, 2h, 7d) or ISO 8601 (UTC by default)."
    return click.option("--since", "since_ms", metavar="WHEN", callback=_parse_time, help=summary)(command)


def until_option(command: F) -> F:
    summary = "End of the time span, in the same forms. [default: now]"
    return click.option("--until", "until_ms", metavar="WHEN", callback=_parse_time, help=summary)(command)


def _parse_time(_context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Return ms since the epoch."""
    if value is None:
        return None
    try:
        return timestamps.parse_since(value, time.time())
    except (ValueError, OverflowError) as error:
        problem = f"{value!r} is neither an age nor a time; write 90s, 2h, 7d or 2026-01-31T12:00"
        raise InvalidInput(parameter.opts[0], problem) from error


def _check_status(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None or is_status(value):
        return value
    allowed = ", ".join((DELIVERED, FAILED, "100 to 599", *TRANSPORT_ERRORS))
    raise InvalidInput(parameter.opts[0], f"{value!r} is not a status; allowed are {allowed}")


def _unique_texts(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the checked texts in order, without duplicates."""
    return tuple(dict.fromkeys(utf8(context, parameter, value) for value in values))
