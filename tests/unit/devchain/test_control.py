import asyncio
import json
from typing import Any

import pytest

from hookfarm.devchain.chain import DevchainOptions
from hookfarm.devchain.node import DevNode
from hookfarm.devchain.rpc import answer, parse_message

TOKEN = "0x" + "aa" * 20
LOG = {"address": TOKEN, "topics": ["0x" + "bb" * 32], "data": "0x01"}


def call(node: DevNode, method: str, *params: Any) -> Any:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return asyncio.run(answer(node, parse_message(json.dumps(request)), None))


def node_of(blocks: int) -> DevNode:
    node = DevNode(DevchainOptions(logs_per_block=2))
    if blocks:
        node.mine(blocks)
    return node


def test_mine_adds_one_block_or_as_many_as_asked() -> None:
    node = node_of(0)
    [block] = call(node, "devchain_mine")["result"]
    assert block == {"number": 1, "hash": node.chain.head.hash, "logs": 2}
    assert [each["number"] for each in call(node, "devchain_mine", 3)["result"]] == [2, 3, 4]


def test_mine_logs_makes_a_block_of_them() -> None:
    node = node_of(0)
    call(node, "devchain_mineLogs", [LOG, {"address": TOKEN}, LOG], 2)
    assert [len(each.call.logs) for each in node.chain.head.transactions] == [2, 1]
    [first, *_] = call(node, "devchain_canonicalLogs")["result"]
    assert {name: first[name] for name in LOG} == LOG


def test_reorg_tells_what_it_removed_and_added() -> None:
    node = node_of(3)
    old_head = node.chain.head.hash
    result = call(node, "devchain_reorg", 1, {"length": 2, "logs": [[LOG]]})["result"]
    assert [each["hash"] for each in result["removed"]] == [old_head]
    assert [(each["number"], each["logs"]) for each in result["added"]] == [(3, 1), (4, 2)]


def test_pause_and_resume_switch_the_clock() -> None:
    node = node_of(0)
    call(node, "devchain_pause")
    assert node.paused
    call(node, "devchain_resume")
    assert not node.paused


def test_faults_are_set_listed_and_cleared() -> None:
    node = node_of(0)
    listing = call(node, "devchain_setFault", "lag", {"blocks": 2, "count": 5})["result"]
    assert listing == [{"fault": "lag", "count": 5, "blocks": 2, "one_in": 1}]
    assert call(node, "devchain_stats")["result"]["faults"] == listing
    assert call(node, "devchain_clearFaults")["result"] == []


def test_stats_count_blocks_and_transfers_with_and_without_replaced() -> None:
    node = node_of(3)
    node.reorg(1)
    stats = call(node, "devchain_stats")["result"]
    assert (stats["blocks"], stats["transfers_emitted"], stats["transfers_canonical"]) == (3, 8, 6)
    assert stats["head"] == {"number": 3, "hash": node.chain.head.hash}
    assert stats["methods"] == {"devchain_stats": 1}


@pytest.mark.parametrize(
    ("method", "params", "named"),
    [
        ("devchain_mine", [0], "count"),
        ("devchain_mine", ["1"], "count"),
        ("devchain_mine", [1, 2], "devchain_mine"),
        ("devchain_mineLogs", [], "logs"),
        ("devchain_mineLogs", [5], "logs"),
        ("devchain_mineLogs", [[LOG, {"address": "0x12"}]], "logs[1].address"),
        ("devchain_mineLogs", [[{"address": TOKEN, "topics": ["0x"] * 5}]], "logs[0].topics"),
        ("devchain_mineLogs", [[{"topics": []}]], "address"),
        ("devchain_mineLogs", [[LOG | {"block": 5}]], "block"),
        ("devchain_mineLogs", [[LOG | {"topics": 5}]], "logs[0].topics"),
        ("devchain_setFault", ["lag", {"kind": "silence"}], "kind"),
        ("devchain_setFault", ["lag", {"count": "5"}], "count"),
        ("devchain_setFault", ["lag", 5], "parameters"),
        ("devchain_mineLogs", [[LOG], 0], "per_transaction"),
        ("devchain_reorg", [], "depth"),
        ("devchain_reorg", [3], "depth"),
        ("devchain_reorg", [1, {"lenght": 2}], "lenght"),
        ("devchain_reorg", [1, {"logs": [5]}], "logs[0]"),
        ("devchain_setFault", ["nonsense"], "nonsense"),
        ("devchain_setFault", ["lag", {"depth": 2}], "depth"),
        ("devchain_setFault", [["lag"]], "fault"),
        ("devchain_clearFaults", ["nonsense"], "nonsense"),
    ],
)
def test_wrong_control_call_is_refused_by_name(method: str, params: list[Any], named: str) -> None:
    node = node_of(2)
    error = call(node, method, *params)["error"]
    assert error["code"] == -32602
    assert named in error["message"]
    assert node.chain.head.number == 2


def test_unknown_control_method_is_refused() -> None:
    assert call(node_of(0), "devchain_nonsense")["error"]["code"] == -32601
