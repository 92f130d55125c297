"""From four sources to one record of settings; later over earlier."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hookfarm.config.environment import variables
from hookfarm.config.records import Config
from hookfarm.config.settings import SETTINGS, Setting
from hookfarm.errors import InvalidInput


def load(
    options: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Config:
    """The settings in force. An option that is None or an empty tuple, and an empty variable, was not given."""
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
            raise InvalidInput(name, f"no such setting in {file}; known: {', '.join(sorted(known))}")
    return values
