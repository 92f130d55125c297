"""Checks of nodes: each finding has a behaviour of a node that makes it appear."""

import asyncio
import socket
from typing import Any, NamedTuple

import pytest

from hookfarm.chain.node_check import check_node
from hookfarm.chain.node_sample import NOTE, OK, PROBLEM, Finding, NodeReport
from hookfarm.devchain.embedded import running_devchain
from tests.support.anvil import deploy_emitter, emit_transfer, running_anvil

BLOCKS = 4
RECEIPTS = "eth_getBlockReceipts"
METHOD_NOT_FOUND: dict[str, Any] = {"code": -32601, "message": "the method does not exist"}


def check(url: str, blocks: int = BLOCKS, head_seconds: float = 0.2) -> NodeReport:
    return asyncio.run(check_node(url, blocks, lambda _: None, head_seconds))


def finding(report: NodeReport, name: str) -> Finding:
    [found] = [each for each in report.findings if each.name == name]
    return found


class Case(NamedTuple):
    """A fault and the finding that it causes; `verify` as in the report."""

    fault: str
    parameters: dict[str, Any]
    name: str
    found: str
    verify: str | None = None


CASES = (
    Case("no_block_0", {"shown": "block_1"}, "first block", "no block 0"),
    Case("no_block_0", {"shown": "latest"}, "first block", "no block 0"),
    Case("no_block_0", {"shown": "pruned"}, "first block", "no block 0"),
    Case("pruned_history", {"blocks": 20}, "history", "pruned: begins with block 100, 20 below the head"),
    Case("pruned_history", {"blocks": 20, "shown": "null"}, "history", "pruned: begins with block 100"),
    Case("constant_blooms", {"shown": "ones"}, "bloom", "the same in every header"),
    Case("constant_blooms", {"shown": "some"}, "proof", "4 blocks, constant bloom"),
    Case("hidden_blooms", {"shown": "zeros"}, "bloom", "none, or zeros in every header"),
    Case("hidden_blooms", {"shown": "null"}, "bloom", "none, or zeros in every header"),
    Case("blooms_without_system_logs", {}, "bloom", "omits logs of 4 of 4 blocks"),
    Case("blooms_without_system_logs", {}, "proof", "4 blocks, logs beyond the bloom"),
    Case("omitted_logs", {}, "bloom", "4 of 4 blooms name logs that the node does not return"),
    Case("omitted_logs", {}, "logs and receipts", "differ in 4 of 4 blocks"),
    Case("omitted_logs", {}, "proof", "4 blocks, 4 repaired"),
    Case("local_log_indices", {}, "log indices", "counted per transaction"),
    Case("wrong_log_indices", {"shown": "from_1"}, "log indices", "not 0 to n in 4 of 4 blocks"),
    Case("system_transactions", {"shown": "listed"}, "receipts", "missing for transactions of 4 of 4 blocks"),
    Case("system_transactions", {"shown": "unlisted"}, "logs", "of no listed transaction in 4 of 4 blocks"),
    Case("omitted_transactions", {}, "transfers", "3 receipts are not those of its 2 transactions"),
    Case("error", {"method": RECEIPTS, **METHOD_NOT_FOUND}, RECEIPTS, "refused: "),
    Case("error", {"method": "eth_getLogs", **METHOD_NOT_FOUND}, "eth_getLogs", "refused: ", "receipts"),
    Case("nulls", {"method": "eth_getTransactionReceipt"}, "eth_getTransactionReceipt", "3 of 3 not served"),
    Case("refused_ranges", {"blocks": 50}, "ranges", "10 blocks served; 100 refused: "),
    Case("refused_batches", {"calls": 1}, "batches", "refused"),
    Case("refused_batches", {"calls": 20, "how": "http_500"}, "batches", " calls"),
    Case("shortened_batches", {"calls": 3}, "batches", "3 calls"),
    Case("unsupported_tags", {}, "safe", "not supported: "),
    Case("unsupported_tags", {"shown": "null"}, "finalized", "no such block yet, or never"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.fault}-{case.name}".replace(" ", "_"))
def test_each_oddity_of_a_node_is_found_and_leaves_it_usable(case: Case) -> None:
    with running_devchain(logs_per_block=3) as devchain:
        devchain.mine(120)
        devchain.set_fault(case.fault, **case.parameters)
        report = check(devchain.http_url)
    found = finding(report, case.name)
    assert case.found in found.found, report.findings
    assert found.meaning
    assert report.fits, report.findings
    assert report.verify == case.verify


@pytest.mark.parametrize("phase", ["first block", "proof with the default: block 2 of 4"])
def test_a_rate_limit_delays_the_check_and_changes_no_verdict(phase: str) -> None:
    with running_devchain(logs_per_block=3) as devchain:
        devchain.mine(120)

        def limit(text: str) -> None:
            if text == phase:
                devchain.set_fault("http_status", status=429, retry_after=0, count=2)

        report = asyncio.run(check_node(devchain.http_url, BLOCKS, limit))
    assert finding(report, "rate limit").found == "reached during the check"
    assert finding(report, "proof").level == OK
    assert report.verify is None


def test_a_truncated_range_is_found() -> None:
    with running_devchain(logs_per_block=20) as devchain:
        devchain.mine(110)
        devchain.set_fault("capped_results", logs=1_000)
        report = check(devchain.http_url)
    assert finding(report, "ranges").found == "100 blocks served; exactly 1,000 logs in one"
    assert report.fits


def test_numbers_without_a_block_are_found() -> None:
    with running_devchain(logs_per_block=3, null_round_every=3) as devchain:
        devchain.mine(20)
        report = check(devchain.http_url, blocks=9)
    assert finding(report, "null rounds")[:3] == (OK, "null rounds", "3 of 9 numbers")
    assert finding(report, "history").level == OK
    assert report.fits


@pytest.mark.parametrize(
    ("shown", "names"),
    [("zero_bloom", "logsBloom"), ("other_hash", "hash"), ("zero_parent", "parentHash"), (None, None)],
)
def test_announced_heads_are_compared_with_their_blocks(shown: str | None, names: str | None) -> None:
    with running_devchain(logs_per_block=3, block_time=0.1) as devchain:
        devchain.mine(4)
        if shown is not None:
            devchain.set_fault("announced_heads", shown=shown)
        report = check(devchain.ws_url, head_seconds=30.0)
    heads = finding(report, "heads")
    expected = f"announced with another {names} than the block's" if names else "announced"
    assert (heads.level, heads.found) == (NOTE if names else OK, expected)
    assert report.fits


def test_a_websocket_that_announces_nothing_is_a_problem() -> None:
    with running_devchain(logs_per_block=3, block_time=0.05) as devchain:
        devchain.mine(4)
        devchain.set_fault("dropped_heads")
        report = check(devchain.ws_url, head_seconds=1.0)
    assert finding(report, "heads")[:3] == (PROBLEM, "heads", "new blocks are not announced")
    assert not report.fits


def test_an_idle_chain_leaves_the_announcements_unknown() -> None:
    with running_devchain(logs_per_block=3) as devchain:
        devchain.mine(4)
        report = check(devchain.ws_url)
    assert finding(report, "heads").level == NOTE
    assert report.fits


def test_a_node_whose_blocks_cannot_be_proven_does_not_fit() -> None:
    with running_devchain(logs_per_block=3) as devchain:
        devchain.mine(5)
        for method in ("eth_getLogs", RECEIPTS, "eth_getTransactionReceipt"):
            devchain.set_fault("error", method=method)
        report = check(devchain.http_url)
    proof = finding(report, "proof")
    assert (proof.level, report.verify, report.fits) == (PROBLEM, None, False)


def test_repeated_log_indices_are_found_and_fit_if_logs_and_receipts_agree() -> None:
    with running_devchain(logs_per_block=3) as devchain:
        devchain.mine(5)
        devchain.set_fault("wrong_log_indices", shown="repeated")
        report = check(devchain.http_url)
    assert (finding(report, "proof").level, report.verify, report.fits) == (OK, None, True)
    assert finding(report, "log indices").found == "not 0 to n in 4 of 4 blocks"


def test_where_no_source_is_complete_only_a_weaker_proof_fits_and_that_is_said() -> None:
    with running_devchain(logs_per_block=3) as devchain:
        devchain.mine(5)
        devchain.set_fault("omitted_logs", logs=1)
        devchain.set_fault("error", method=RECEIPTS, **METHOD_NOT_FOUND)
        devchain.set_fault("nulls", method="eth_getTransactionReceipt")
        report = check(devchain.http_url)
    proof = finding(report, "proof")
    assert (proof.level, report.verify, report.fits) == (NOTE, "contiguous", True)
    assert "only with verify=contiguous: " in proof.found
    assert proof.meaning == "a missing log may stay unseen"


def test_a_node_without_logs_and_receipts_does_not_fit() -> None:
    with running_devchain(logs_per_block=3) as devchain:
        devchain.mine(5)
        devchain.set_fault("error", method="eth_getLogs", **METHOD_NOT_FOUND)
        devchain.set_fault("error", method=RECEIPTS, **METHOD_NOT_FOUND)
        devchain.set_fault("nulls", method="eth_getTransactionReceipt")
        report = check(devchain.http_url)
    assert finding(report, "proof").level == PROBLEM
    assert not report.fits


def test_a_url_without_a_node_is_one_finding() -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        for scheme in ("http", "ws"):
            report = check(f"{scheme}://127.0.0.1:{place.getsockname()[1]}/a-secret-key-0123456789")
            [only] = report.findings
            assert (only.level, only.name, report.fits) == (PROBLEM, "connection", False)
            assert "secret" not in only.found


def test_a_small_sample_costs_a_bounded_number_of_requests() -> None:
    with running_devchain(logs_per_block=3) as devchain:
        devchain.mine(120)
        report = check(devchain.http_url)
    assert report.fits
    assert all(each.level == OK for each in report.findings), report.findings
    assert report.requests < 60


@pytest.mark.parametrize("transport", ["http", "ws"])
def test_a_real_node_fits(transport: str) -> None:
    with running_anvil() as node:
        contract = deploy_emitter(node)
        for value in range(3):
            emit_transfer(node, contract, contract, value)
        report = check(node.ws_url if transport == "ws" else node.http_url)
    assert report.fits, report.findings
    assert report.verify is None
    assert finding(report, "proof").level == OK
    assert finding(report, "bloom").level == OK
