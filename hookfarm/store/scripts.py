"""Loader and caller of Lua scripts. Every move of a job or an event is one atomic script.

A script (`lua/NAME.lua`) declares at its top what it uses from elsewhere:

    -- requires: window, admission      functions of lua/shared/window.lua and lua/shared/admission.lua
    -- constants: OPEN, JOBS            names from keys.py and SCRIPT_CONSTANTS; keys of one call are its KEYS

Shared parts declare the same, so requirements are transitive. Each part is put before the script once, after the
parts it requires. Parts in a line `-- requires from here: …` replace that line, so that a script that returns
earlier saves their cost.

After a restart or a flush, the server answers NOSCRIPT without executing anything; the script is loaded and called
again.
"""

import functools
import hashlib
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

import redis

from hookfarm.store import keys
from hookfarm.store.clients import (
    Argument,
    AsyncClient,
    Client,
    PipelinedConnection,
    Reply,
    ResponseError,
    pack,
)

CIRCUIT_FAILURES = 5
"""Failures in a row that open an endpoint's circuit."""
SLOW_MS = 5000
"""An endpoint whose last success took this long is slow, and unproven (store/lua/shared/pool.lua)."""

ANCHOR_BLOCKS = 256
"""Of forgotten blocks, each one with a multiple of this number is remembered as an anchor, without its events."""
MAX_ANCHORS = 1024
"""Anchors per chain: those of the last 262,144 blocks."""

SCRIPT_CONSTANTS: dict[str, str | int] = {
    **{name: value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str)},
    "CIRCUIT_FAILURES": CIRCUIT_FAILURES,
    "SLOW_MS": SLOW_MS,
    "ANCHOR_BLOCKS": ANCHOR_BLOCKS,
    "MAX_ANCHORS": MAX_ANCHORS,
}
"""The constants that scripts may list."""

_REQUIRES = re.compile(r"^-- requires: (.*)\n", re.MULTILINE)
_REQUIRES_FROM_HERE = re.compile(r"^-- requires from here: (.*)\n", re.MULTILINE)
_CONSTANTS = re.compile(r"^-- constants: (.*)\n", re.MULTILINE)


class Script:
    """A Lua script; its `KEYS`, `ARGV` and result are documented at the top of its file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.source = assemble(name).encode()
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()

    def call(self, client: Client, keys: Sequence[str] = (), arguments: Sequence[Argument] = ()) -> Any:
        """Run the script and return its reply. Raises redis-py's errors."""
        try:
            return client.evalsha(self.sha.decode(), len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return client.eval(self.source.decode(), len(keys), *keys, *arguments)

    async def call_async(
        self, client: AsyncClient, keys: Sequence[str] = (), arguments: Sequence[Argument] = ()
    ) -> Any:
        """Run the script and return its reply, for asyncio."""
        try:
            return await client.evalsha(self.sha.decode(), len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return await client.eval(self.source.decode(), len(keys), *keys, *arguments)

    def call_raw(
        self, connection: PipelinedConnection, keys: Sequence[str] = (), arguments: Sequence[Argument] = ()
    ) -> Reply:
        """Run the script over a PipelinedConnection; an error reply is raised."""
        connection.send(self.encode(keys, arguments))
        reply = connection.receive()
        if is_noscript(reply):
            connection.send(self.encode_load() + self.encode(keys, arguments))
            connection.receive()
            reply = connection.receive()
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def encode(self, keys: Sequence[str] = (), arguments: Sequence[Argument] = ()) -> bytes:
        """Return the bytes of a call, for a PipelinedConnection; see `is_noscript`."""
        return pack((b"EVALSHA", self.sha, len(keys), *keys, *arguments))

    def encode_load(self) -> bytes:
        """Return the bytes of the command that loads the script."""
        return pack((b"SCRIPT", b"LOAD", self.source))


def is_noscript(reply: Reply) -> bool:
    """Return whether the server lacks the script, and so has executed nothing."""
    return isinstance(reply, redis.exceptions.NoScriptError)


def assemble(name: str) -> str:
    """Return the source that the server runs: constants, required parts, and the script itself."""
    own = read_source(name)
    first = in_order(names_in(_REQUIRES, own))
    later = [part for part in in_order(names_in(_REQUIRES_FROM_HERE, own)) if part not in first]
    texts = [*map(read_part, (*first, *later)), own]
    constants = sorted({constant for text in texts for constant in names_in(_CONSTANTS, text)})
    body = _REQUIRES_FROM_HERE.sub(lambda _: "".join(map(read_part, later)), own, count=1)
    body = _REQUIRES_FROM_HERE.sub("", body)  # Continuation lines of the list.
    return "".join((*map(_declaration, constants), *map(read_part, first), body))


def in_order(parts: Iterable[str]) -> list[str]:
    """Return the parts and their requirements, each once, after the parts it requires."""
    found: list[str] = []
    for part in parts:
        required = in_order(names_in(_REQUIRES, read_part(part)))
        found += [each for each in (*required, part) if each not in found]
    return found


def names_in(directive: re.Pattern[str], source: str) -> list[str]:
    """Return the names listed in a source's lines of a directive."""
    return [name for line in directive.findall(source) for name in line.split(", ")]


@functools.cache
def read_source(name: str) -> str:
    """Return the text of a Lua file."""
    return (resources.files("hookfarm.store") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


def read_part(name: str) -> str:
    """Return the text of a shared part."""
    return read_source(f"shared/{name}")


def _declaration(constant: str) -> str:
    value = SCRIPT_CONSTANTS[constant]
    return f"local {constant} = '{value}'\n" if isinstance(value, str) else f"local {constant} = {value}\n"
