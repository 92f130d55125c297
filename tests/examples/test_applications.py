"""The example applications, from the commands of their READMEs to their output."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.devchain.transaction import account, native_transfer
from tests.examples.abi import log
from tests.examples.walk import Background, Walk, walk
from tests.support.farm_processes import hookfarm
from tests.support.receivers import running_receiver
from tests.support.waiting import eventually

NODE = "wss://node.example/your-key"
USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
OTHER_TOKEN = "0x" + "7e" * 20
WALLET, SECOND_WALLET = "0x" + "11" * 20, "0x" + "22" * 20
STRANGER = "0x" + "aa" * 20
TRANSFER = "Transfer(address,address,uint256)"
APPROVAL = "Approval(address,address,uint256)"
CONFIRMATIONS, PAST = 12, 5
ETHER = 10**18


START = f"bin/hookfarm start --chain 1={NODE}"
"""The READMEs start the same farm: the tests of this module share it."""


@dataclass(frozen=True)
class Farm:
    chain: RunningDevchain
    state_dir: str


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    """The farm of the receivers' README."""
    with running_devchain(chain_id=1, logs_per_block=0) as running, walk("receiver") as example:
        example.replaced[NODE] = running.ws_url
        example.start_farm()
        example.run("endpoints add")
        yield Farm(running, example.variables["HOOKFARM_STATE_DIR"])


@pytest.fixture
def chain(farm: Farm, tmp_path: Path) -> RunningDevchain:
    """The chain that the farm watches, with an empty registry."""
    empty = tmp_path / "empty.json"
    empty.write_text('{"endpoints":[]}')
    emptied = hookfarm("apply", str(empty), "--yes", "--state-dir", farm.state_dir)
    assert emptied.returncode == 0, emptied.stderr
    return farm.chain


def printed(program: Background) -> list[str]:
    return [line for line in program.lines if not line.startswith("listening on ")]


def await_lines(program: Background, wanted: list[str]) -> None:
    eventually(lambda: len(printed(program)) >= len(wanted), what=f"{len(wanted)} lines")
    assert printed(program) == wanted


def started(example: Walk, farm: Farm, add: str, program: str) -> Background:
    """Add the endpoints and start the program, by the commands with these words."""
    example.use_farm(START, farm.state_dir)
    example.run(add)
    running = example.start(program)
    running.wait_for("listening on")
    return running


def test_whale_alert_posts_large_transfers_until_the_chat_takes_them(farm: Farm, chain: RunningDevchain) -> None:
    with running_receiver() as chat, walk("whale-alert") as example:
        chat.reply_with(500)
        example.replaced["https://chat.example/hooks/your-key"] = chat.url
        started(example, farm, "endpoints add", "whale_alert.py")
        chain.mine_logs(
            [log(USDC, TRANSFER, [STRANGER, WALLET], [value]) for value in (10**12 - 1, 2_500_000 * 10**6)]
        )
        chain.mine_logs([log(OTHER_TOKEN, TRANSFER, [STRANGER, WALLET], [10**30])])
        refused, accepted = (json.loads(post.body)["text"] for post in chat.wait_for(2))
        assert refused == accepted
        assert accepted.startswith(f"2,500,000 USDC from {STRANGER} to {WALLET}\nhttps://etherscan.io/tx/0x")
        chain.reorg(2)
        chain.mine(1)
        assert json.loads(chat.wait_for(3)[2].body)["text"] == f"Removed by a reorg: {accepted}"


def test_payments_mark_orders_as_paid_and_open_again_after_a_reorg(
    farm: Farm, chain: RunningDevchain, tmp_path: Path
) -> None:
    with walk("payments-to-my-wallets", DATABASE=str(tmp_path / "payments.db")) as example:
        example.run("payments.py order 1001")
        example.run("payments.py order 1002")
        program = started(example, farm, "hookfarm apply", "payments.py serve")
        sender = account(1)
        chain.mine_calls([native_transfer(sender, bytes.fromhex(WALLET[2:]), ETHER // 5) for _ in range(2)])
        chain.mine_calls([native_transfer(sender, bytes.fromhex(WALLET[2:]), ETHER // 10)])
        chain.mine_logs([log(USDC, TRANSFER, [STRANGER, SECOND_WALLET], [25 * 10**6])])
        chain.mine_logs([log(OTHER_TOKEN, TRANSFER, [STRANGER, SECOND_WALLET], [25 * 10**6])])
        chain.mine(CONFIRMATIONS)
        eventually(lambda: len(printed(program)) == 4, what="four payments")
        assert "order 1001 paid: 500000000000000000 of 500000000000000000 ETH" in printed(program)
        assert "order 1002 paid: 25000000 of 25000000 USDC" in printed(program)
        chain.reorg(CONFIRMATIONS + 3)
        chain.mine(CONFIRMATIONS)
        eventually(lambda: len(printed(program)) == 6, what="two removals")
        listed = example.run("payments.py list").splitlines()
        assert listed == [
            "order 1001 open: 400000000000000000 of 500000000000000000 ETH",
            "order 1002 open: 0 of 25000000 USDC",
        ]


def test_approvals_warn_until_they_are_revoked(farm: Farm, chain: RunningDevchain) -> None:
    with walk("approvals") as example:
        program = started(example, farm, "endpoints add", "approvals.py")
        key = f"token {OTHER_TOKEN} owner {WALLET} spender {STRANGER}"
        chain.mine_logs([log(OTHER_TOKEN, APPROVAL, [WALLET, STRANGER], [5])])
        chain.mine_logs([log(OTHER_TOKEN, APPROVAL, [STRANGER, WALLET], [2**256 - 1])])
        chain.mine_logs([log(OTHER_TOKEN, APPROVAL, [WALLET, STRANGER], [2**256 - 1])])
        await_lines(program, [f"UNLIMITED {key}"])
        chain.mine_logs([log(OTHER_TOKEN, APPROVAL, [WALLET, STRANGER], [0])])
        await_lines(program, [f"UNLIMITED {key}", f"limited {key}"])
        chain.reorg(1)
        chain.mine(1)
        await_lines(program, [f"UNLIMITED {key}", f"limited {key}", f"UNLIMITED {key}"])


V3_POOL = "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640"
V2_POOL = "0xb4e16d0168e52d35cacd2c6185b44281ec28c9dc"
V3_SWAP = "Swap(address,address,int256,int256,uint160,uint128,int24)"
V2_SWAP = "Swap(address,uint256,uint256,uint256,uint256,address)"
USD = 10**6
ROOT_OF_3000 = 1446501726624926496477173928747177
"""sqrtPriceX96 of 3,000 USDC a WETH: sqrt(10^12 / 3000) * 2^96."""


def test_pool_swaps_print_prices_in_the_order_of_the_chain(farm: Farm, chain: RunningDevchain) -> None:
    with walk("pool-swaps") as example:
        program = started(example, farm, "hookfarm apply", "swaps.py")
        v3 = [3_001 * 3 * USD, -3 * ETHER, ROOT_OF_3000, 10**20, -5]
        chain.mine_logs([log(V3_POOL, V3_SWAP, [STRANGER, WALLET], v3)])
        chain.mine_logs([log(V2_POOL, V2_SWAP, [STRANGER, WALLET], [0, ETHER // 4, 749_500_000, 0])])
        lines = ["V3 buy 3.0000 WETH at 3001.00 USDC, pool at 3000.00", "V2 sell 0.2500 WETH at 2998.00 USDC"]
        await_lines(program, lines)
        chain.reorg(1)
        chain.mine(1)
        await_lines(program, [*lines, f"removed: {lines[1]}"])


def test_a_backfill_delivers_the_past_of_a_contract(farm: Farm, chain: RunningDevchain) -> None:
    with walk("backfill-a-contract") as example:
        first = chain.head().number + 1
        for value in range(PAST):
            chain.mine_logs([log(USDC, TRANSFER, [STRANGER, WALLET], [value])])
        example.use_farm(START, farm.state_dir)
        example.replaced |= {NODE: chain.ws_url, "--from-block 24000000": f"--from-block {first}"}
        example.run("endpoints add")
        listener = example.start("hookfarm listen")
        chain.mine_logs([log(USDC, TRANSFER, [STRANGER, WALLET], [PAST])])
        example.run("hookfarm backfill ep_")
        example.run("hookfarm backfills")
        eventually(lambda: len(listener.lines) > PAST, what="past and live webhooks")
        received = [json.loads(line) for line in listener.lines]
        assert all(webhook["verified"] for webhook in received)
        values = sorted(webhook["body"]["data"]["event"]["args"]["value"] for webhook in received)
        assert values == list(range(PAST + 1))
