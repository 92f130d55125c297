"""`hookfarm devchain` as a user runs it."""

import json
import re
import urllib.request
from typing import Any

import pytest

from tests.support.commands import RunningCommand, running_command
from tests.support.farm_processes import hookfarm
from tests.support.waiting import eventually


def call(url: str, method: str, *parameters: Any) -> Any:
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
    with urllib.request.urlopen(url, request, timeout=5) as answer:
        return json.loads(answer.read())["result"]


def http_url(devchain: RunningCommand) -> str:
    return devchain.wait_for_line("  http  ").split()[-1]


def test_it_mines_until_ctrl_c_and_says_how_to_watch_it() -> None:
    options = ("--port", "0", "--chain-id", "7", "--block-time", "0.05", "--logs-per-block", "3", "--seed", "9")
    with running_command("devchain", *options) as devchain:
        url = http_url(devchain)
        eventually(lambda: call(url, "devchain_stats")["transfers_emitted"] >= 6, what="two blocks")
        assert call(url, "eth_chainId") == "0x7"
        said = devchain.stdout
        ws_url = url.replace("http", "ws")
        assert "devchain 7 is ready: a block every 0.05 s with 3 transfers" in said
        assert re.search(rf"^  ws +{ws_url}$", said, re.MULTILINE)
        assert f"hookfarm start --chain 7={ws_url}" in said
        devchain.interrupt()
        assert devchain.wait() == 0
        assert devchain.stderr == ""


def test_it_makes_reorgs_of_the_given_depth() -> None:
    options = ("--port", "0", "--block-time", "0.05", "--reorg-every", "3", "--reorg-depth", "2")
    with running_command("devchain", *options) as devchain:
        url = http_url(devchain)

        def took_logs_back() -> bool:
            stats = call(url, "devchain_stats")
            return bool(stats["transfers_emitted"] > stats["transfers_canonical"])

        eventually(took_logs_back, what="a reorg")
        assert "a reorg of 2 blocks every 3 blocks" in devchain.stdout


def test_with_block_time_0_it_mines_on_demand_alone() -> None:
    with running_command("devchain", "--port", "0", "--block-time", "0") as devchain:
        url = http_url(devchain)
        assert call(url, "eth_blockNumber") == "0x0"
        assert [block["logs"] for block in call(url, "devchain_mine", 2)] == [10, 10]


def test_it_makes_native_transfers_where_it_is_told_to() -> None:
    options = ("--port", "0", "--block-time", "0", "--transfers-per-block", "20", "--logs-per-block", "1")
    with running_command("devchain", *options) as devchain:
        url = http_url(devchain)
        assert "blocks of 1 transfers on devchain_mine only and 20 native transfers" in devchain.stdout
        call(url, "devchain_mine", 2)
        shown = call(url, "eth_getBlockByNumber", "0x2", True)["transactions"]
        assert sum(transaction["value"] != "0x0" for transaction in shown) == 20
        assert 20 < len(call(url, "devchain_canonicalTransfers")) < 40


def test_it_behaves_like_the_nodes_of_a_chain() -> None:
    options = ("--like", "filecoin", "--port", "0", "--block-time", "0", "--null-round-every", "3")
    with running_command("devchain", *options) as devchain:
        url = http_url(devchain)
        assert "devchain 314 (like filecoin) is ready" in devchain.stdout
        assert [block["number"] for block in call(url, "devchain_mine", 3)] == [1, 2, 4], "an option wins"
        call(url, "devchain_clearFaults")
        assert call(url, "eth_getBlockByNumber", "0x1", False)["logsBloom"] == "0x" + "ff" * 256


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--port", "70000"),
        ("--port", "x"),
        ("--like", "nonsense"),
        ("--chain-id", "0"),
        ("--block-time", "-1"),
        ("--block-time", "nan"),
        ("--logs-per-block", "1.5"),
        ("--transfers-per-block", "-1"),
        ("--reorg-every", "-3"),
        ("--reorg-depth", "0"),
        ("--seed", ""),
    ],
)
def test_a_wrong_option_is_refused_in_one_line_that_names_it(option: str, value: str) -> None:
    ended = hookfarm("devchain", f"{option}={value}")
    assert ended.returncode == 2
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"hookfarm: {option}: ")
    assert value in line


def test_a_port_in_use_is_named() -> None:
    with running_command("devchain", "--port", "0") as devchain:
        port = http_url(devchain).rpartition(":")[2]
        ended = hookfarm("devchain", "--port", port)
        assert ended.returncode == 1
        [line] = ended.stderr.splitlines()
        assert f"cannot listen on 127.0.0.1:{port}" in line
