"""How a chain and its nodes are told to people: rows of a picture -> words."""

from collections.abc import Iterator, Mapping
from typing import Any

from hookfarm import timestamps
from hookfarm.cli.tables import plain
from hookfarm.cli.view_numbers import UNKNOWN, count, elapsed, rate

NODE_HEADINGS = ("chain", "node", "state", "retry in", "requests", "errors", "last error")
_TROUBLED = ("cooldown", "wrong_chain")


def catch_up(chain: Mapping[str, Any]) -> str:
    """Empty at the head."""
    found = chain.get("catch_up")
    if not found:
        return ""
    left_ms = found.get("remaining_ms")
    speed = f"catching up, {rate(found['blocks_per_second'])} blocks/s"
    return speed if left_ms is None else f"{speed}, {elapsed(left_ms / 1000)} left"


def node_row(chain_id: int, node: Mapping[str, Any], now_ms: int) -> tuple[str, ...]:
    """What stands under NODE_HEADINGS; the errors are calls that failed, of whatever kind."""
    until = UNKNOWN if node["cooldown_until"] is None else _cooldown(node, now_ms)
    numbers = (count(node["requests"]), count(sum(node["errors"].values())))
    return (str(chain_id), node["name"], _state(node), until, *numbers, _last_error(node, now_ms))


def active_node(chain: Mapping[str, Any]) -> str:
    """Its origin; a dash where none is."""
    return next((str(node["name"]) for node in _nodes(chain) if node["state"] == "active"), UNKNOWN)


def usable(chain: Mapping[str, Any]) -> tuple[int, int]:
    """How many nodes could be asked at this moment, and how many there are."""
    nodes = _nodes(chain)
    return sum(node["state"] not in _TROUBLED for node in nodes), len(nodes)


def troubles(chain: Mapping[str, Any], now_ms: int) -> Iterator[str]:
    """One line for each unusable node: its state, for how long, and its last error."""
    for node in _nodes(chain):
        if node["state"] in _TROUBLED:
            again = "" if node["cooldown_until"] is None else f", retry in {_cooldown(node, now_ms)}"
            yield plain(f"chain {chain['chain_id']}: {node['name']} {_state(node)}{again}: {node['last_error']}")


def _nodes(chain: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return chain.get("nodes") or []


def _state(node: Mapping[str, Any]) -> str:
    return str(node["state"]).replace("_", " ")


def _cooldown(node: Mapping[str, Any], now_ms: int) -> str:
    return f"{max(0, timestamps.parse_ms(node['cooldown_until']) - now_ms) / 1000:,.0f} s"


def _last_error(node: Mapping[str, Any], now_ms: int) -> str:
    if node["last_error_at"] is None:
        return ""
    return plain(
        f"{node['last_error']} ({elapsed(max(0, now_ms - timestamps.parse_ms(node['last_error_at'])) / 1000)} ago)"
    )
