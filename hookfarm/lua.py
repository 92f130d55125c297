"""The atomic moves: Lua scripts from `scripts/`, called by hash.

A server that restarted or was flushed has forgotten its scripts and answers NOSCRIPT; nothing of the script
was done then, so it is loaded and called again.
"""

import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

import redis

from hookfarm.redis_clients import Argument, Reply, pack


class Script:
    """One script; `KEYS` and `ARGV` are documented at the top of its file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.source = (resources.files("hookfarm") / "scripts" / f"{name}.lua").read_bytes()
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()

    def call(self, client: "redis.Redis", keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """Runs it once; the reply is the script's. redis-py's errors pass through."""
        try:
            return client.evalsha(self.sha.decode(), len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return client.eval(self.source.decode(), len(keys), *keys, *arguments)

    async def call_async(
        self, client: "redis.asyncio.Redis", keys: Sequence[str], arguments: Sequence[Argument] = ()
    ) -> Any:
        """As `call`, for asyncio."""
        try:
            return await client.evalsha(self.sha.decode(), len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return await client.eval(self.source.decode(), len(keys), *keys, *arguments)

    def packed(self, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> bytes:
        """The call as it goes over the wire, for an Exchange; see `forgotten`."""
        return pack((b"EVALSHA", self.sha, len(keys), *keys, *arguments))

    def packed_head(self, keys: Sequence[str], arguments: int) -> bytes:
        """The call without its arguments, for a caller that packs the same call over and over.

        Each of the `arguments` follows as a RESP bulk string, `$LENGTH CRLF VALUE CRLF`.
        """
        whole = pack((b"EVALSHA", self.sha, len(keys), *keys))
        return whole.replace(b"*%d\r\n" % (3 + len(keys)), b"*%d\r\n" % (3 + len(keys) + arguments), 1)

    def packed_load(self) -> bytes:
        return pack((b"SCRIPT", b"LOAD", self.source))


def forgotten(reply: Reply) -> bool:
    """True where the server did not know the script and so did nothing."""
    return isinstance(reply, redis.exceptions.NoScriptError)
