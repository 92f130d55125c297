"""Where each chain stands, from what its ingestor says and what is known of its safe and finalized block."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import redis

from hookfarm.store import keys

_LEFT_OUT = ("catching_up", "block_timestamp")
_UNKNOWN = ("head", "checkpoint", "lag_blocks", "lag_seconds", "safe", "finalized", "rpc_requests_per_block")


def ask(pipe: "redis.client.Pipeline | redis.asyncio.client.Pipeline", chain_id: int) -> None:
    """One reply, for `row`."""
    pipe.hmget(keys.heads(chain_id), ["safe", "finalized"])


def row(told: Mapping[str, Any], heads: Sequence[bytes | None], service_why: str, now: float) -> dict[str, Any]:
    """A chain as the API shows it. `lag_seconds`: None where its checkpoint's time is not known yet.

    It is ready where nothing keeps its ingestor from following it; `service_why` is why none runs at all.
    """
    safe, finalized = (None if number is None else int(number) for number in heads)
    reason = told.get("reason") or service_why
    return {
        **{name: value for name, value in told.items() if name not in _LEFT_OUT},
        "lag_seconds": _lag_seconds(told, now),
        "safe": safe,
        "finalized": finalized,
        "ready": not reason,
        "reason": reason,
        "nodes": told.get("nodes", []),
        "catch_up": told.get("catching_up"),
    }


def _lag_seconds(told: Mapping[str, Any], now: float) -> float | None:
    """0 at the head; behind it, how old the last published block is."""
    if not told.get("lag_blocks"):
        return 0.0
    published_at = told.get("block_timestamp")
    return round(max(0.0, now - published_at), 1) if published_at else None


def with_unheard(rows: Iterable[dict[str, Any]], configured: Iterable[int]) -> list[dict[str, Any]]:
    """The rows by id, and one for each chain that is configured and whose ingestor has said nothing so far."""
    found = {row["chain_id"]: row for row in rows}
    nothing: dict[str, Any] = {**dict.fromkeys(_UNKNOWN), "events_published": 0, "nodes": [], "catch_up": None}
    for chain_id in configured:
        unheard = {"chain_id": chain_id, **nothing, "ready": False, "reason": "no ingestor has reached it"}
        found.setdefault(chain_id, unheard)
    return [found[chain_id] for chain_id in sorted(found)]
