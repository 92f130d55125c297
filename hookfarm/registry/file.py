"""The registry as a file: TOML, YAML or JSON with one list, `endpoints`, of what the API calls an endpoint.

What a file leaves out has its default. Secrets are not in it.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint, Subscription, subscription_json

FORMATS = ("toml", "yaml", "json")
_BY_SUFFIX = {".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}
_MOST_BYTES = 256 * 1024 * 1024
_DEFAULTS = Endpoint(id="", url="").public()
_SUBSCRIPTION_DEFAULTS = subscription_json(Subscription(id="", chain_id=0))


def read(file: Path) -> list[Any]:
    """The endpoints of a file, not yet checked; InvalidInput says what is wrong with the file itself."""
    kind = _BY_SUFFIX.get(file.suffix.lower())
    if kind is None:
        raise InvalidInput("file", f"{file.name!r} does not end in {', '.join(_BY_SUFFIX)}")
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise InvalidInput("file", f"{file} is larger than {_MOST_BYTES >> 20} MB")
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput("file", f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput("file", f"{file} is not UTF-8") from error
    return _endpoints(file, _parse(file, kind, text))


def _parse(file: Path, kind: str, text: str) -> Any:
    import yaml

    try:
        if kind == "toml":
            return tomllib.loads(text)
        return orjson.loads(text) if kind == "json" else yaml.load(text, Loader=_yaml_loader())
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        shown = _problem(error) or "nested too deeply"
        raise InvalidInput("file", f"{file} is not {kind.upper()}: {shown}") from error


def _problem(error: Exception) -> str:
    """What is wrong, and where; not the lines around it, which YAML's own words have and secrets stand in."""
    import yaml

    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        said = "a tag that is not known" if isinstance(error, yaml.constructor.ConstructorError) else error.problem
        return f"{said} (line {mark.line + 1}, column {mark.column + 1})"
    return " ".join(str(error).split())


def _yaml_loader() -> Any:
    """The safe one of YAML, in C where it is there."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _endpoints(file: Path, found: Any) -> list[Any]:
    if not isinstance(found, Mapping) or set(found) != {"endpoints"} or not isinstance(found["endpoints"], list):
        raise InvalidInput("file", f"{file} is not one list named endpoints, and nothing beside it")
    return found["endpoints"]


def write(endpoints: Sequence[Endpoint], kind: str) -> str:
    """A file that `read` understands, without what is as it is by default."""
    content = {"endpoints": [_shown(endpoint) for endpoint in endpoints]}
    if kind == "json":
        return orjson.dumps(content, option=orjson.OPT_INDENT_2).decode() + "\n"
    if kind == "yaml":
        import yaml

        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
    import tomli_w

    return tomli_w.dumps(content)


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    public = endpoint.public()
    shown = {name: value for name, value in public.items() if value != _DEFAULTS[name]}
    shown.pop("disabled_reason", None)
    if endpoint.subscriptions:
        shown["subscriptions"] = [_shown_subscription(subscription) for subscription in public["subscriptions"]]
    return shown


def _shown_subscription(subscription: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is null, which TOML has no word for. A topic of any value is an empty list."""
    shown = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in subscription.items()
        if name not in _SUBSCRIPTION_DEFAULTS or value != _SUBSCRIPTION_DEFAULTS[name]
    }
    if "topics" in shown:
        shown["topics"] = [topic or [] for topic in shown["topics"]]
    return shown
