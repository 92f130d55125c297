"""How chains and their nodes are told to people."""

from typing import Any

import pytest

from hookfarm.cli import chain_lines
from hookfarm.timestamps import format_ms

NOW = 1_700_000_000_000


def node(state: str, **told: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {
        "cooldown_until": None,
        "last_error": "",
        "last_error_at": None,
        "requests": 0,
        "errors": {},
    }
    return {"name": f"wss://{state}.example", "kind": "ws", "state": state, **nothing, **told}


COOLING = node(
    "cooldown",
    cooldown_until=format_ms(NOW + 12_400),
    last_error="HTTP 429\x1b[31m",
    last_error_at=format_ms(NOW - 65_000),
    requests=1234,
    errors={"rate_limited": 3, "refused": 1},
)
WRONG = node("wrong_chain", last_error="serves chain 5", last_error_at=format_ms(NOW))
CHAIN = {"chain_id": 7, "nodes": [COOLING, WRONG, node("active"), node("standby")]}


def test_a_node_that_cools_down_says_for_how_long_and_what_it_said() -> None:
    row = chain_lines.node_row(7, COOLING, NOW)
    assert row[:6] == ("7", "wss://cooldown.example", "cooldown", "12 s", "1,234", "4")
    assert row[6] == "HTTP 429\\x1b[31m (1:05 ago)"
    assert len(row) == len(chain_lines.NODE_HEADINGS)


def test_a_node_that_never_failed_has_no_error() -> None:
    assert chain_lines.node_row(7, node("active"), NOW)[2:] == ("active", "-", "0", "0", "")


def test_troubles_are_the_nodes_that_are_in_cooldown() -> None:
    assert list(chain_lines.troubles(CHAIN, NOW)) == [
        "chain 7: wss://cooldown.example cooldown, retry in 12 s: HTTP 429\\x1b[31m",
        "chain 7: wss://wrong_chain.example wrong chain: serves chain 5",
    ]
    assert chain_lines.usable(CHAIN) == (2, 4)
    assert chain_lines.active_node(CHAIN) == "wss://active.example"


@pytest.mark.parametrize("chain", [{"chain_id": 7}, {"chain_id": 7, "nodes": []}])
def test_a_chain_of_whose_nodes_nothing_is_known_has_none(chain: dict[str, Any]) -> None:
    assert (chain_lines.usable(chain), chain_lines.active_node(chain)) == ((0, 0), "-")
    assert list(chain_lines.troubles(chain, NOW)) == []


def test_catching_up_has_a_speed_and_a_time() -> None:
    assert chain_lines.catch_up({"catch_up": None}) == ""
    going = {"catch_up": {"blocks_per_second": 12.0, "remaining_ms": 65_000}}
    assert chain_lines.catch_up(going) == "catching up, 12.0 blocks/s, 1:05 left"
