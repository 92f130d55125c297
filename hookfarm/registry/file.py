"""The registry as a file: TOML, YAML or JSON with one list, `endpoints`, of endpoints as in the API.

Missing fields have their defaults. The file contains no secrets.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import tomli_w
import yaml

from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint, Subscription, subscription_json

FORMATS = ("toml", "yaml", "json")
_BY_SUFFIX = {".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}
_MAX_BYTES = 256 * 1024 * 1024
_DEFAULTS = Endpoint(id="", url="").public()
_SUBSCRIPTION_DEFAULTS = subscription_json(Subscription(id="", chain_id=0))


def read(file: Path) -> list[Any]:
    """Return the unchecked endpoints of a file. Raises InvalidInput for an unreadable or malformed file."""
    kind = _BY_SUFFIX.get(file.suffix.lower())
    if kind is None:
        raise InvalidInput("file", f"{file.name!r} has an unknown suffix; allowed are {', '.join(_BY_SUFFIX)}")
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise InvalidInput("file", f"{file} is larger than {_MAX_BYTES >> 20} MB")
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput("file", f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput("file", f"{file} is not UTF-8") from error
    return _endpoints(file, _parse(file, kind, text))


def _parse(file: Path, kind: str, text: str) -> Any:
    try:
        if kind == "toml":
            return tomllib.loads(text)
        return orjson.loads(text) if kind == "json" else yaml.load(text, Loader=_yaml_loader())
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        shown = _problem(error) or "nested too deeply"
        raise InvalidInput("file", f"{file} is not {kind.upper()}: {shown}") from error


def _problem(error: Exception) -> str:
    """Return the problem and its position, without the quoted lines of YAML, which may contain secrets."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        problem = "unknown tag" if isinstance(error, yaml.constructor.ConstructorError) else error.problem
        return f"{problem} (line {mark.line + 1}, column {mark.column + 1})"
    return " ".join(str(error).split())


def _yaml_loader() -> Any:
    """Return the safe loader, in C if available."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _endpoints(file: Path, found: Any) -> list[Any]:
    if not isinstance(found, Mapping) or set(found) != {"endpoints"} or not isinstance(found["endpoints"], list):
        raise InvalidInput("file", f"{file} must contain one list named endpoints, and no other key")
    return found["endpoints"]


def render(endpoints: Sequence[Endpoint], kind: str) -> str:
    """Return the text of a registry file; default values are omitted."""
    content = {"endpoints": [_endpoint_record(endpoint) for endpoint in endpoints]}
    if kind == "json":
        return orjson.dumps(content, option=orjson.OPT_INDENT_2).decode() + "\n"
    if kind == "yaml":
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
    return tomli_w.dumps(content)


def _endpoint_record(endpoint: Endpoint) -> dict[str, Any]:
    public = endpoint.public()
    shown = {name: value for name, value in public.items() if value != _DEFAULTS[name]}
    shown.pop("disabled_reason", None)
    if endpoint.subscriptions:
        shown["subscriptions"] = [_subscription_record(subscription) for subscription in public["subscriptions"]]
    return shown


def _subscription_record(subscription: Mapping[str, Any]) -> dict[str, Any]:
    """Return a subscription without nulls, which TOML lacks; a null topic becomes an empty list."""
    shown = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in subscription.items()
        if name not in _SUBSCRIPTION_DEFAULTS or value != _SUBSCRIPTION_DEFAULTS[name]
    }
    if "topics" in shown:
        shown["topics"] = [topic or [] for topic in shown["topics"]]
    return shown
