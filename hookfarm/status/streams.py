"""How much waits in each chain's stream."""

from collections.abc import Sequence
from typing import Any

import redis

from hookfarm.store import keys
from hookfarm.store.clients import ResponseError

REPLIES = 2


def ask(pipe: "redis.client.Pipeline | redis.asyncio.client.Pipeline", chain_id: int) -> None:
    """Two replies, for `row`; the second is an error where there is no such stream."""
    pipe.xlen(keys.events(chain_id))
    pipe.xinfo_groups(keys.events(chain_id))


def row(chain_id: int, replies: Sequence[Any]) -> dict[str, Any]:
    """`length` of the stream, `pending`: read by a processor and not handed off, `lag`: read by none.

    What is handed off leaves the stream, so the length is the other two together. All are None where the key is
    no stream.
    """
    length, groups = replies
    if isinstance(length, ResponseError):
        return {"chain_id": chain_id, "length": None, "pending": None, "lag": None}
    found = [] if isinstance(groups, ResponseError) else groups
    pending = sum(group["pending"] for group in found if group["name"] == keys.PROCESSOR_GROUP.encode())
    return {"chain_id": chain_id, "length": length, "pending": pending, "lag": max(0, length - pending)}
