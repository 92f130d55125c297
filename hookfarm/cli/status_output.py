"""Text output of chains, nodes and backfills, for `status`, `chains`, `backfills` and `top`."""

from collections.abc import Iterator, Mapping
from typing import Any

from hookfarm import timestamps
from hookfarm.cli.output import UNKNOWN, count, elapsed, plain, rate

NODE_HEADINGS = ("chain", "node", "state", "retry in", "requests", "errors", "last error")
BACKFILL_HEADINGS = (
    *("endpoint", "chain", "blocks", "state", "read", "done", "blocks/s", "left", "logs read", "new", "skipped"),
    *("queued", "reason"),
)
_BACKFILL_COUNTS = ("logs_received", "delivered_new", "already_delivered", "queued")
COST_HEADINGS = (
    *("chain", "node", "batch", "requests/block", "calls/block", "KB/block"),
    *("requests/day", "calls/day", "MB/day", "units/day", "units this month", "hedged"),
)
_UNUSABLE = ("cooldown", "wrong_chain", "over_budget")

# Chains and their nodes


def catch_up(chain: Mapping[str, Any]) -> str:
    """Return speed and time left of a chain that is catching up; empty at the head."""
    found = chain.get("catch_up")
    if not found:
        return ""
    left_ms = found.get("remaining_ms")
    speed = f"catching up, {rate(found['blocks_per_second'])} blocks/s"
    return speed if left_ms is None else f"{speed}, {elapsed(left_ms / 1000)} left"


def node_row(chain_id: int, node: Mapping[str, Any], now_ms: int) -> tuple[str, ...]:
    """Return the cells below NODE_HEADINGS; `errors` counts failed calls of any kind."""
    until = UNKNOWN if node["cooldown_until"] is None else _cooldown(node, now_ms)
    numbers = (count(node["requests"]), count(sum(node["errors"].values())))
    return (str(chain_id), node["name"], _node_state(node), until, *numbers, _last_error(node, now_ms))


def cost_row(chain_id: int, node: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells below COST_HEADINGS; bytes are those of both directions."""
    block, day = node.get("per_block"), node.get("per_day")
    per_block = (
        (UNKNOWN,) * 3 if block is None else (rate(block["requests"]), rate(block["calls"]), _sum(block, 1e3))
    )
    per_day = (UNKNOWN,) * 4
    if day is not None:
        units = UNKNOWN if day["units"] is None else f"{day['units']:,.0f}"
        per_day = (f"{day['requests']:,.0f}", f"{day['calls']:,.0f}", _sum(day, 1e6), units)
    hedged = f"{count(node['hedged'])}, {count(node['hedges_won'])} won" if node.get("hedged") else "0"
    return (
        str(chain_id),
        node["name"],
        count(node.get("batch_calls")),
        *per_block,
        *per_day,
        _budget(node),
        hedged,
    )


def _sum(cost: Mapping[str, Any], unit: float) -> str:
    return f"{(cost['bytes_sent'] + cost['bytes_received']) / unit:,.1f}"


def _budget(node: Mapping[str, Any]) -> str:
    if node.get("units_per_month") is None:
        return UNKNOWN
    return f"{node['units_this_month']:,} of {node['units_per_month']:,}"


def active_node(chain: Mapping[str, Any]) -> str:
    """Return the origin of the active node; a dash if no node is active."""
    return next((str(node["name"]) for node in _nodes(chain) if node["state"] == "active"), UNKNOWN)


def usable_nodes(chain: Mapping[str, Any]) -> tuple[int, int]:
    """Return the number of usable nodes, and of all nodes."""
    nodes = _nodes(chain)
    return sum(node["state"] not in _UNUSABLE for node in nodes), len(nodes)


def node_problems(chain: Mapping[str, Any], now_ms: int) -> Iterator[str]:
    """Yield a line for each unusable node: state, time until the next try, last error."""
    for node in _nodes(chain):
        if node["state"] in _UNUSABLE:
            again = "" if node["cooldown_until"] is None else f", retry in {_cooldown(node, now_ms)}"
            state = f"{node['name']} {_node_state(node)}{again}"
            yield plain(f"chain {chain['chain_id']}: {state}: {node['last_error']}")


def doubts(chain: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each block of a chain that is not proven."""
    for block in chain.get("doubtful_blocks", ()):
        command = f"hookfarm chains accept {chain['chain_id']} {block['block_number']}"
        remedy = "accepted, taken at the next try" if block["accepted"] else f"to accept it: {command}"
        where = f"chain {chain['chain_id']}: block {block['block_number']}"
        yield plain(f"{where} is doubtful ({remedy}): {block['reason']}")


def accepted_blocks(chain: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each accepted block of a chain."""
    for block in chain.get("accepted_blocks", ()):
        who = f"accepted without a proof by {block['accepted_by']} at {block['accepted_at']}"
        yield plain(f"chain {chain['chain_id']}: block {block['block_number']} {who}: {block['reason']}")


def _nodes(chain: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return chain.get("nodes") or []


def _node_state(node: Mapping[str, Any]) -> str:
    return str(node["state"]).replace("_", " ")


def _cooldown(node: Mapping[str, Any], now_ms: int) -> str:
    seconds = max(0, timestamps.parse_ms(node["cooldown_until"]) - now_ms) / 1000
    return f"{seconds:,.0f} s" if seconds < 86_400 else f"{seconds / 86_400:.1f} days"


def _last_error(node: Mapping[str, Any], now_ms: int) -> str:
    if node["last_error_at"] is None:
        return ""
    age_ms = max(0, now_ms - timestamps.parse_ms(node["last_error_at"]))
    return plain(f"{node['last_error']} ({elapsed(age_ms / 1000)} ago)")


# Backfills


def backfill_row(backfill: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells below BACKFILL_HEADINGS."""
    span = f"{backfill['from_block']:,}-{backfill['to_block']:,}"
    numbers = (count(backfill[name]) for name in _BACKFILL_COUNTS)
    return (
        *(backfill["endpoint"], str(backfill["chain_id"]), span, backfill["state"]),
        *(count(backfill["blocks"]), _share(backfill), rate(backfill["blocks_per_second"]), _left(backfill)),
        *(*numbers, backfill_problem(backfill)),
    )


def backfill_line(backfill: Mapping[str, Any]) -> str:
    """Return an unfinished backfill in one line."""
    at = "before its first block" if backfill["at_block"] is None else f"at block {backfill['at_block']:,}"
    span = f"chain {backfill['chain_id']}  blocks {backfill['from_block']:,} to {backfill['to_block']:,}"
    speed = f"{rate(backfill['blocks_per_second'])} blocks/s  {_left(backfill)} left  "
    done = f"{_share(backfill)}  {speed if backfill['running'] else ''}new {count(backfill['delivered_new'])}"
    state = f"queued {count(backfill['queued'])}  {backfill['state']}"
    reason = backfill_problem(backfill)
    return f"backfill {backfill['endpoint']}  {span}  {at}  {done}  {state}" + (f": {reason}" if reason else "")


def backfill_summary(backfill: Mapping[str, Any]) -> str:
    """Return a short form of `backfill_line`, for narrow views."""
    reason = (
        backfill_problem(backfill) or f"{rate(backfill['blocks_per_second'])} blocks/s, {_left(backfill)} left"
    )
    return f"{backfill['endpoint']}: {_share(backfill)} of {count(backfill['total'])} blocks, {reason}"


def backfill_problem(backfill: Mapping[str, Any]) -> str:
    """Return the reason why a backfill makes no progress; empty while it progresses and when it is done."""
    if backfill["state"] != "stopped":
        return plain(backfill["reason"])
    silent = f"no heartbeat for {elapsed(backfill['since_heartbeat_ms'] / 1000)}"
    lock_ms = backfill["lock_ms"]
    return silent if lock_ms is None else f"{silent}, locks its endpoint for {lock_ms / 1000:,.0f} s more"


def _share(backfill: Mapping[str, Any]) -> str:
    return f"{100 * backfill['blocks'] / backfill['total']:.1f} %"


def _left(backfill: Mapping[str, Any]) -> str:
    return UNKNOWN if backfill["remaining_ms"] is None else elapsed(backfill["remaining_ms"] / 1000)
