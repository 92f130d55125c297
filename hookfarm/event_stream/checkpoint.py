"""How far a chain has been published, and which chain it is."""

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
        """Raises ValueError."""
        text = stored if isinstance(stored, str) else stored.decode()
        number, _, block_hash = text.partition(":")
        return cls(int(number), block_hash)


async def read_checkpoint(client: redis.asyncio.Redis, chain_id: int) -> Checkpoint | None:
    """Return None if there is none yet. Raises ForeignValue if the key holds something else."""
    key = keys.checkpoint(chain_id)
    stored = await client.get(key)
    try:
        return None if stored is None else Checkpoint.decode(stored)
    except ValueError as error:
        raise ForeignValue(f"{key} does not hold NUMBER:HASH, but {stored!r:.80}") from error


async def pin_genesis(client: redis.asyncio.Redis, chain_id: int, genesis_hash: str) -> str:
    """Return the genesis of this chain id: the one stored at first contact, else store this one."""
    key = keys.genesis(chain_id)
    await client.set(key, genesis_hash, nx=True)
    pinned = await client.get(key)
    return pinned.decode() if isinstance(pinned, bytes) else genesis_hash
