"""The atomic moves: Lua scripts from `lua/`, called by hash.

A script calls the keys that never change by their names in keys.py (`OPEN`, `JOBS`) and the numbers of
window_rules.py by theirs, which are put in front of it; keys of one call are its KEYS.
What several of them need is in `lua/shared/`, put in front where asked for; a part of such a part comes where
that says `--@part`.

A server that restarted or was flushed has forgotten its scripts and answers NOSCRIPT; nothing of the script
was done then, so it is loaded and called again.
"""

import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

import redis

from hookfarm.store import keys, window_rules
from hookfarm.store.clients import Argument, PipelinedConnection, Reply, ResponseError, pack

SHARED_MARK = "--@shared\n"
_NAMED: dict[str, str | int] = {
    name: value
    for module in (keys, window_rules)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str | int)
}


class Script:
    """One script; `KEYS` and `ARGV` are documented at the top of its file. `shared` parts are put in front,
    or where the script says `--@shared`: what comes before that doesn't pay for them.
    """

    def __init__(self, name: str, *shared: str) -> None:
        self.name = name
        parts = "".join(_read(f"shared/{part}") for part in shared)
        own = _read(name)
        early, mark, late = own.partition(SHARED_MARK)
        self.source = _with_values(early + parts + late if mark else parts + own).encode()
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()

    def call(self, client: "redis.Redis", keys: Sequence[str] = (), arguments: Sequence[Argument] = ()) -> Any:
        """Runs it once; the reply is the script's. redis-py's errors pass through."""
        try:
            return client.evalsha(self.sha.decode(), len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return client.eval(self.source.decode(), len(keys), *keys, *arguments)

    async def call_async(
        self, client: "redis.asyncio.Redis", keys: Sequence[str] = (), arguments: Sequence[Argument] = ()
    ) -> Any:
        """As `call`, for asyncio."""
        try:
            return await client.evalsha(self.sha.decode(), len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return await client.eval(self.source.decode(), len(keys), *keys, *arguments)

    def call_raw(
        self, connection: PipelinedConnection, keys: Sequence[str] = (), arguments: Sequence[Argument] = ()
    ) -> Reply:
        """As `call`, over a PipelinedConnection; an error reply is raised."""
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
        """The call as it goes over the wire, for a PipelinedConnection; see `is_noscript`."""
        return pack((b"EVALSHA", self.sha, len(keys), *keys, *arguments))

    def encode_load(self) -> bytes:
        return pack((b"SCRIPT", b"LOAD", self.source))


def _read(name: str) -> str:
    source = (resources.files("hookfarm.store") / "lua" / f"{name}.lua").read_text(encoding="utf-8")
    return re.sub(r"^--@part (\w+)\n", lambda part: _read(f"shared/{part[1]}"), source, flags=re.MULTILINE)


def _with_values(source: str) -> str:
    """The script behind one line that gives what it calls by name its value."""
    code = re.sub(r"--.*", "", source)
    used = [name for name in _NAMED if re.search(rf"\b{name}\b", code)]
    values = ", ".join(f"'{value}'" if isinstance(value := _NAMED[name], str) else str(value) for name in used)
    return f"local {', '.join(used)} = {values}\n{source}" if used else source


def is_noscript(reply: Reply) -> bool:
    """True where the server did not know the script and so did nothing."""
    return isinstance(reply, redis.exceptions.NoScriptError)
