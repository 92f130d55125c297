"""Loading of settings from four sources, and the secrets among them."""

import base64
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from hookfarm.config.settings import SETTINGS, Config, Setting, variables
from hookfarm.errors import InvalidInput
from hookfarm.security.redaction import secrets_of_url

_COLLECTOR_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")


def load(
    options: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Config:
    """Return the effective settings. None, an empty tuple (options) and an empty variable count as missing."""
    environment = variables() if environment is None else environment
    given: dict[str, tuple[str, Any]] = {}
    for name, value in _read_file(file).items():
        given[name] = (name, value)
    for setting in SETTINGS:
        if environment.get(setting.variable, "") != "":
            given[setting.name] = (setting.variable, environment[setting.variable])
    for name, value in (options or {}).items():
        if value is not None and value != ():
            given[name] = (name.replace("_", "-"), value)
    return Config(**{s.name: _value(s, given) for s in SETTINGS})


def _value(setting: Setting, given: Mapping[str, tuple[str, Any]]) -> Any:
    if setting.name not in given:
        default = setting.default
        return default() if callable(default) else default
    source, raw = given[setting.name]
    try:
        return setting.parse(raw)
    except ValueError as error:
        raise InvalidInput(source, str(error)) from error


def _read_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput("config", f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("config", f"{file} is not TOML: {error}") from error
    known = {setting.name for setting in SETTINGS}
    for name in values:
        if name not in known:
            raise InvalidInput(name, f"unknown setting in {file}; known: {', '.join(sorted(known))}")
    return values


def secrets(config: Config, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield the secrets in the settings, and in the variables that OpenTelemetry reads."""
    if config.api_token:
        yield config.api_token
    yield from (base64.b64encode(known.key).decode() for known in config.master_key)
    yield from secrets_of_url(config.redis_url or "", with_path=False)
    for url in (*(url for chain in config.chains for url in chain.urls), config.otel_endpoint or ""):
        yield from secrets_of_url(url)
    environment = variables() if environment is None else environment
    for variable in _COLLECTOR_HEADERS:
        for header in environment.get(variable, "").split(","):
            value = header.partition("=")[2]
            yield from (value, *unquote(value).split())
