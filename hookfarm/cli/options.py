"""Options that several commands share, and the way from them to a checked Config and a Redis."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hookfarm import config
from hookfarm.errors import OperatorError
from hookfarm.security import redaction
from hookfarm.security.redaction import redis_address

if TYPE_CHECKING:
    import redis  # Costs 0.2 s, which --help need not wait for.

F = TypeVar("F", bound=Callable[..., Any])

_CONFIG = click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML file of settings.")
_REDIS_URL = click.option("--redis-url", metavar="URL", help="Redis to use: redis://, rediss:// or unix://.")
_STATE_DIR = click.option("--state-dir", metavar="DIR", help="Where hookfarm keeps its own server's files.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def redis_options(command: F) -> F:
    """--config, --redis-url and --state-dir: where the farm's Redis is."""
    return _CONFIG(_REDIS_URL(_STATE_DIR(command)))


def json_option(command: F) -> F:
    return _JSON(command)


def settings(config_file: Path | None, **options: Any) -> config.Config:
    """The settings in force; InvalidInput (exit 2) names the wrong one. No log line has their secrets."""
    given = config.load(options, file=config_file)
    redaction.know(config.secrets(given))
    return given


def redis_url(settings_in_force: config.Config) -> str:
    """The Redis to use: the given one, or the embedded server of the state directory."""
    from hookfarm.store.embedded_server import StateDirectory

    return settings_in_force.redis_url or StateDirectory(settings_in_force.state_dir).redis_url


@contextlib.contextmanager
def connected(settings_in_force: config.Config) -> Iterator["redis.Redis"]:
    """A client; what goes wrong with it is an OperatorError that says where Redis was looked for."""
    import redis

    from hookfarm.store.clients import command_client

    url = redis_url(settings_in_force)
    client = command_client(url)
    try:
        yield client
    except redis.ConnectionError as error:
        if settings_in_force.redis_url is None:
            where = f"no farm is running in {settings_in_force.state_dir}"
            raise OperatorError(f"{where}; start it (hookfarm start) or give --redis-url") from error
        raise OperatorError(f"Redis at {redis_address(url)} does not answer: {error}") from error
    except redis.RedisError as error:
        raise OperatorError(f"Redis at {redis_address(url)}: {error}") from error
    finally:
        client.close()


def print_json(value: object) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))
