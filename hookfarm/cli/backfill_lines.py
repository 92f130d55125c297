"""How backfills are told to people: rows of a picture, or of a list, -> words."""

from collections.abc import Mapping
from typing import Any

from hookfarm.cli.tables import plain
from hookfarm.cli.view_numbers import UNKNOWN, count, elapsed, rate

HEADINGS = (
    *("endpoint", "chain", "blocks", "state", "read", "done", "blocks/s", "left", "added", "known", "waiting"),
    "why",
)


def row(backfill: Mapping[str, Any]) -> tuple[str, ...]:
    """What stands under HEADINGS."""
    span = f"{backfill['from_block']:,}-{backfill['to_block']:,}"
    numbers = (count(backfill[name]) for name in ("added", "known", "waiting"))
    return (
        *(backfill["endpoint"], str(backfill["chain_id"]), span, backfill["state"]),
        *(count(backfill["blocks"]), _share(backfill), rate(backfill["blocks_per_second"]), _left(backfill)),
        *(*numbers, why(backfill)),
    )


def status_line(backfill: Mapping[str, Any]) -> str:
    """One that is not done, in a line."""
    at = "before its first block" if backfill["at_block"] is None else f"at block {backfill['at_block']:,}"
    span = f"chain {backfill['chain_id']}  blocks {backfill['from_block']:,} to {backfill['to_block']:,}"
    speed = f"{rate(backfill['blocks_per_second'])} blocks/s  {_left(backfill)} left  "
    told = f"{_share(backfill)}  {speed if backfill['running'] else ''}added {count(backfill['added'])}"
    state = f"waiting {count(backfill['waiting'])}  {backfill['state']}"
    reason = why(backfill)
    return f"backfill {backfill['endpoint']}  {span}  {at}  {told}  {state}" + (f": {reason}" if reason else "")


def brief(backfill: Mapping[str, Any]) -> str:
    """The same for a view that has little room."""
    reason = why(backfill) or f"{rate(backfill['blocks_per_second'])} blocks/s, {_left(backfill)} left"
    return f"{backfill['endpoint']}: {_share(backfill)} of {count(backfill['total'])} blocks, {reason}"


def why(backfill: Mapping[str, Any]) -> str:
    """What keeps it from getting on; empty where nothing does, or it is done."""
    if backfill["state"] != "stopped":
        return plain(backfill["note"])
    silent = f"no heartbeat for {elapsed(backfill['since_heartbeat_ms'] / 1000)}"
    lock_ms = backfill["lock_ms"]
    return silent if lock_ms is None else f"{silent}, locks its endpoint for {lock_ms / 1000:,.0f} s more"


def _share(backfill: Mapping[str, Any]) -> str:
    return f"{100 * backfill['blocks'] / backfill['total']:.1f} %"


def _left(backfill: Mapping[str, Any]) -> str:
    return UNKNOWN if backfill["remaining_ms"] is None else elapsed(backfill["remaining_ms"] / 1000)
