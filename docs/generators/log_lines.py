"""The page of log lines, from the calls of loggers in hookfarm/."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hookfarm
from generators.log_meanings import MEANINGS, MORE_FIELDS
from generators.markdown import code, codes, plain, table
from hookfarm.store import keys
from hookfarm.webhook_delivery import attempts

_LEVELS = ("debug", "info", "warning", "error", "exception")
_PACKAGES = {
    "event_ingestor": "event_ingestor",
    "message_processor": "message_processor",
    "tracing": "of the service",
    "outage": "of the service",
}
"""Loggers of the modules that get theirs from a caller."""
_ELSEWHERE = ("devchain",)
"""Packages that log nothing in a farm."""


@dataclass(frozen=True)
class Line:
    """A line that the code may write."""

    logger: str
    action: str
    level: str
    fields: tuple[str, ...]


def parts() -> dict[str, str]:
    found = lines()
    loggers = sorted({line.logger for line in found})
    return {
        "attempt": _attempt(),
        "lines": "\n\n".join(
            _section(logger, [each for each in found if each.logger == logger]) for logger in loggers
        ),
    }


def lines() -> list[Line]:
    """Return all lines but `attempt`, by logger, action and level; the fields are those of all places together."""
    found: dict[tuple[str, str, str], tuple[str, ...]] = {}
    root = Path(str(hookfarm.__file__)).parent
    for path in sorted(root.rglob("*.py")):
        package = path.relative_to(root).parts[0].removesuffix(".py")
        if package in _ELSEWHERE:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        logger = _logger(tree) or _PACKAGES.get(package, "")
        for action, level, fields in _calls(tree):
            key = (logger, action, level)
            found[key] = tuple(dict.fromkeys((*found.get(key, ()), *fields)))
    return [Line(*key, fields) for key, fields in sorted(found.items())]


def _calls(tree: ast.Module) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield action, level and fields of each call such as `log.info("ready", workers=50)`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        if node.func.attr not in _LEVELS or _name(node.func.value) not in ("log", "_log"):
            continue
        level = "error" if node.func.attr == "exception" else node.func.attr
        fields = tuple(keyword.arg for keyword in node.keywords if keyword.arg)
        if node.func.attr == "exception":
            fields += ("traceback",)
        for action in _texts(node.args[0]):
            yield action, level, fields


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _texts(node: ast.expr) -> Iterator[str]:
    """Yield the values that an expression of text may have; a part that varies is `<name>`."""
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(
            f"<{ast.unparse(part.value)}>" if isinstance(part, ast.FormattedValue) else ast.unparse(part)[1:-1]
            for part in node.values
        )


def _logger(tree: ast.Module) -> str:
    """Return the name in `logs.get(…)` if it is a constant."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "logs.get":
            argument = node.args[0]
            if isinstance(argument, ast.Constant):
                return str(argument.value)
            if isinstance(argument, ast.Attribute) and hasattr(keys, argument.attr):
                return str(getattr(keys, argument.attr))
    return ""


def _section(logger: str, found: list[Line]) -> str:
    title = "Every service" if logger == "of the service" else logger
    rows = [
        (code(line.action), line.level, codes((*line.fields, *MORE_FIELDS.get(line.action, ()))), meaning(line))
        for line in found
    ]
    return f"### {title}\n\n{table(('Action', 'Level', 'Fields', 'Meaning'), rows)}"


def meaning(line: Line) -> str:
    """Return the meaning of a line; empty if it has none yet, which a test reports."""
    return MEANINGS.get((line.action, line.level)) or MEANINGS.get((line.action, ""), "")


def _attempt() -> str:
    """Return the table of the fields of an attempt's line, which the module documents."""
    rows = re.findall(r"^    (\w+) +(.+)$", attempts.__doc__ or "", re.MULTILINE)
    return table(("Field", "Meaning"), ((code(name), plain(text)) for name, text in rows))
