"""The page of Redis keys, from hookfarm/store/keys.py."""

import ast
import inspect
import re
from collections.abc import Iterator

from generators.markdown import code, codes, sentence, table
from hookfarm.status import readiness
from hookfarm.store import keys

_PUBLIC = ("DELIVERY_QUEUE", "ready", "status", "reported", "events")
_NO_KEYS = ("METRICS_RESPONSES", "metrics_request")
"""Channels; they hold nothing."""
_SAME = ("TRANSFERS",)
"""Prefixes of the keys of a function."""


def parts() -> dict[str, str]:
    described = dict(_described())
    rows = [_row(name, text) for name, text in described.items() if name not in (*_PUBLIC, *_NO_KEYS, *_SAME)]
    return {
        "ttl": f"{readiness.TTL_SECONDS:g}",
        "services": codes(keys.SERVICES),
        "group": code(keys.PROCESSOR_GROUP),
        "private": table(("Key", "Type", "Content"), sorted(rows, key=lambda row: row[0].strip("`"))),
        "channels": table(("Channel", "Content"), (_row(n, described[n])[::2] for n in _NO_KEYS)),
    }


def _described() -> Iterator[tuple[str, str]]:
    """Yield each constant and function of the module that has a text, with it."""
    body = ast.parse(inspect.getsource(keys)).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef):
            yield node.name, ast.get_docstring(node) or ""
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = getattr(keys, node.targets[0].id)
            if (
                isinstance(value, str)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
            ):
                yield node.targets[0].id, inspect.cleandoc(str(following.value.value))


_TYPES = r"(STRING|HASH|LIST|SET|ZSET|STREAM)"


def _row(name: str, text: str) -> tuple[str, str, str]:
    """Return key, type and content; the text names the type, and for a prefix what follows it."""
    key = getattr(keys, name)
    if callable(key):
        names = list(inspect.signature(key).parameters)
        key = key(*(f"<{each}>" for each in names))
    prefix = re.match(r"Prefix of (?:an? )?(.+?)(?::|,) ", text)
    if prefix:
        key += prefix[1].strip("`") if prefix[1].startswith("`") else f"<{prefix[1]}>"
        text = text[prefix.end() :]
    kind = re.search(_TYPES, text)
    content = re.sub(rf"^{_TYPES}(:|,)? ?", "", " ".join(text.split())).replace("->", "→")
    content = re.sub(r"^of (?:the )?|^channel ", "", _NAMES.sub(_key_of, content), flags=re.IGNORECASE)
    return code(key), kind[1].lower() if kind else "", sentence(content)


_NAMES = re.compile(r"\b[A-Z][A-Z_]{2,}\b")


def _key_of(found: re.Match[str]) -> str:
    """Return the key of a constant that a text names, in place of the name."""
    return code(getattr(keys, found[0])) if hasattr(keys, found[0]) else found[0]
