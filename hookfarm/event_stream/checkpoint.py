"""How far a chain has been published."""

from dataclasses import dataclass

import redis

from hookfarm.store import keys
from hookfarm.store.clients import ForeignValue


@dataclass(frozen=True)
class Checkpoint:
    """The last block wholly published."""

    number: int
    block_hash: str

    def encode(self) -> str:
        return f"{self.number}:{self.block_hash}"

    @classmethod
    def decode(cls, stored: bytes | str) -> "Checkpoint":
        """ValueError where it is no checkpoint."""
        text = stored if isinstance(stored, str) else stored.decode()
        number, _, block_hash = text.partition(":")
        return cls(int(number), block_hash)


async def read_checkpoint(client: "redis.asyncio.Redis", chain_id: int) -> Checkpoint | None:
    """None where there is none yet; ForeignValue where somebody else has written there."""
    key = keys.checkpoint(chain_id)
    stored = await client.get(key)
    try:
        return None if stored is None else Checkpoint.decode(stored)
    except ValueError as error:
        raise ForeignValue(f"{key} does not hold NUMBER:HASH, but {stored!r:.80}") from error
