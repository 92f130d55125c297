"""Canary secrets, and a collection of a farm's outputs to search for them.

A canary is a unique text, one for each place of a secret in hookfarm's input.
"""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis

SIGN = "canary7"
"""Part of every canary, so that truncated ones are found, too."""
_AROUND = 120


def canary(place: str) -> str:
    return f"{SIGN}-{place}-4f0e9b"


def canary_key(place: str) -> str:
    """Return a master key: base64 of 32 bytes. The bytes are a canary, too."""
    return base64.b64encode(canary(place).ljust(32, "-").encode()).decode()


def basic(user: str, password: str) -> str:
    """Return the credentials as in the header Authorization: Basic."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


class Haul:
    """Collected outputs by source."""

    def __init__(self) -> None:
        self._said: list[tuple[str, str]] = []
        self._unlike: set[str] = set()

    def know(self, *secrets: str) -> None:
        """Add secrets that are not canaries."""
        self._unlike.update(secrets)

    def add(self, source: str, text: str, may_show: Iterable[str] = ()) -> None:
        """Add an output. `may_show`: canaries that this source is expected to show."""
        for shown in may_show:
            text = text.replace(shown, "")
        self._said.append((source, text))

    @property
    def sources(self) -> set[str]:
        return {source for source, text in self._said if text}

    def leaks(self) -> list[str]:
        """Return each source with a leaked secret, and the text around it."""
        return [
            f"{source}: …{text[max(0, at - _AROUND) : at + _AROUND]}…"
            for source, text in self._said
            for at in (text.find(secret) for secret in (SIGN, *sorted(self._unlike)))
            if at >= 0
        ]


def everything_in(client: "redis.Redis") -> dict[str, str]:
    """Return the content of each key as text."""
    found = {}
    for key in sorted(client.scan_iter(count=1000)):
        found[key.decode()] = _text(_content(client, key))
    return found


def _content(client: "redis.Redis", key: bytes) -> Any:
    kind = client.type(key)
    if kind == b"hash":
        return client.hgetall(key)
    if kind == b"list":
        return client.lrange(key, 0, -1)
    if kind == b"set":
        return client.smembers(key)
    if kind == b"zset":
        return client.zrange(key, 0, -1)
    if kind == b"stream":
        return client.xrange(key)
    return client.get(key)


def _text(content: Any) -> str:
    return content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)


def everything_under(place: Path) -> dict[str, str]:
    """Return the content of each file as text."""
    files = (file for file in place.rglob("*") if file.is_file())
    return {str(file.relative_to(place)): file.read_bytes().decode("utf-8", "replace") for file in files}
