"""Blocks of real chains, as public nodes answered for them, without the data of their logs.

The answers are those recorded by subsquid/squid-sdk (evm/evm-rpc/test/fixtures), reduced to what a proof reads.
The answer of `eth_getLogs` is made of the logs of the receipts.
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hookfarm.chain.block import Header, parse_header
from hookfarm.chain.log_judge import RENUMBERED
from hookfarm.chain.prover import Prover
from hookfarm.chain.rpc import Incomplete
from tests.support.fake_node import FakeNode

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "support" / "recorded_blocks.json").read_text(encoding="utf-8")
)
CRONOS_REVERTED = "cronos/11446765"
"""A failed transaction whose two logs are in the bloom and have indices."""
STABLE = "stable-testnet/42767022"


class RecordedNode(FakeNode):
    """A node that has one recorded block, and may omit logs from `eth_getLogs`."""

    def __init__(self, recorded: dict[str, Any], omitted: int = 0) -> None:
        super().__init__(head=0)
        self.of: Header = parse_header(recorded["block"])
        self._raw = recorded
        self.raw_logs = [log for receipt in recorded["receipts"] for log in receipt["logs"]]
        number = int(self.of.block_hash, 16)
        self.chain = {number: (self.of, self.raw_logs[omitted:])}
        self.receipts[number] = recorded["receipts"]
        self.whole[number] = recorded["block"]

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        return []

    def _answer(self, method: str, parameters: list[Any]) -> Any:
        if method == "eth_getTransactionReceipt":
            found = self._raw["receipts"]
            return next((each for each in found if each["transactionHash"] == parameters[0]), None)
        return super()._answer(method, parameters)


def indices_of(node: RecordedNode, prover: Prover) -> list[int]:
    [block] = asyncio.run(prover.blocks(node, [node.of]))
    return [json.loads(event)["log_index"] for event in block.events]


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_block_is_proven_with_distinct_indices(name: str) -> None:
    recorded = RECORDED[name]
    node, prover = RecordedNode(recorded), Prover(recorded["chain_id"])
    indices = indices_of(node, prover)
    assert len(set(indices)) == len(indices) == len(node.raw_logs)
    if name == STABLE:
        assert (indices, prover.notices) == ([0, 1, 2, 3, 4], [(RENUMBERED, node.of.number)])
    else:
        assert indices == [int(log["logIndex"], 16) for log in node.raw_logs]
        assert prover.renumbered == 0


def test_the_indices_of_cronos_below_block_20_million_have_gaps() -> None:
    indices = indices_of(RecordedNode(RECORDED[CRONOS_REVERTED]), Prover(25))
    assert len(indices) == 35
    assert indices[6:9] == [6, 9, 10]


def test_bits_of_reverted_logs_are_accepted_of_cronos_only() -> None:
    with pytest.raises(Incomplete, match="log indices are not 0 to 34"):
        indices_of(RecordedNode(RECORDED[CRONOS_REVERTED]), Prover(26))


@pytest.mark.parametrize(
    "name", [name for name, each in RECORDED.items() if any(r["logs"] for r in each["receipts"])]
)
def test_a_log_that_the_node_omits_is_never_lost(name: str) -> None:
    recorded = RECORDED[name]
    node, prover = RecordedNode(recorded, omitted=1), Prover(recorded["chain_id"])
    try:
        found = indices_of(node, prover)
    except Incomplete:
        return
    assert len(found) == len(node.raw_logs)
    assert prover.repaired == 1


@pytest.mark.parametrize("name", RECORDED)
def test_neither_a_block_with_transactions_nor_the_root_of_no_receipts_proves_that_there_are_no_logs(
    name: str,
) -> None:
    assert not RecordedNode(RECORDED[name]).of.is_empty
