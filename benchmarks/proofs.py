"""Cost of proving that a block is complete, by its bloom and by the root of its receipts.

    python benchmarks/proofs.py [--receipts 30,300,2000] [--logs 2] [--rounds 7] [--json FILE|-] [--insist]

Blocks of a devchain with this number of transactions, each with --logs ERC-20 transfers. Input are the decoded
answers of a node; neither a network nor Redis is used, and reading JSON is not measured.

1. `bloom`: parse the logs of eth_getLogs, check their indices and the header's bloom.
2. `receipts_root`: recompute the block's hash, the root of its receipts, and parse their logs.
3. `transactions_root`: recompute the root of its transactions and their hashes. Needed for transfers besides.

`…_us_per_log` and `…_us_per_receipt` are CPU time. `logs_kb` and `receipts_kb` are the sizes of both answers. The
quickest of several rounds counts. A busy machine makes them longer, because processes share its caches.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import orjson
from support import program, report

from hookfarm.chain.block import Header, parse_header, parse_logs
from hookfarm.chain.completeness import Completeness, in_order
from hookfarm.chain.root_proof import RootProof
from hookfarm.chain.transfers import Receipts
from hookfarm.devchain.block import DevBlock
from hookfarm.devchain.chain import DevChain, DevchainOptions
from hookfarm.devchain.serializers import block_json, logs_json, receipt_json
from hookfarm.devchain.transaction import Call, token_transfers

CHAIN_ID = 31337
QUICK = {"receipts": [30], "rounds": 1}

Run = dict[str, Any]


def main() -> int:
    options = _options()
    result = program.begin("proofs", options, {**program.knobs(options), "warm_up": "none"})
    for receipts in options.receipts:
        run = _measure(_block(receipts, options.logs), options.rounds)
        result[f"receipts_{receipts}"] = run
        report.print_numbers(f"a block of {receipts} receipts with {options.logs} logs each", run)
    program.finish(options, result)
    return 0


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument(
        "--receipts", type=program.numbers, default=[30, 300, 2000], help="transactions in a block"
    )
    parser.add_argument("--logs", type=int, default=2, help="of each transaction")
    parser.add_argument("--rounds", type=int, default=7)
    return program.parse(parser, QUICK)


def _block(receipts: int, logs: int) -> DevBlock:
    transfers = token_transfers(1, 1, 0, receipts * logs)
    calls = [_joined(transfers[start : start + logs]) for start in range(0, len(transfers), logs)]
    return DevChain(DevchainOptions(chain_id=CHAIN_ID)).mine(1_800_000_000, calls)


def _joined(calls: list[Call]) -> Call:
    """Return one call with the logs of all."""
    first = calls[0]
    return Call(first.sender, first.to, first.input, tuple(log for call in calls for log in call.logs))


def _measure(block: DevBlock, rounds: int) -> Run:
    raw = block_json(block, CHAIN_ID, full_transactions=True)
    logs = logs_json(block)
    receipts = [receipt_json(block, index) for index in range(len(block.receipts))]
    header = parse_header(raw)
    proofs: dict[str, Callable[[], object]] = {
        "bloom": lambda: _by_bloom(header, logs),
        "receipts_root": lambda: _by_receipts(header, raw, receipts),
        "transactions_root": lambda: RootProof(CHAIN_ID).check_transactions(header, raw, raw["transactions"]),
    }
    seconds = {name: min(_cpu_seconds(proof) for _ in range(rounds)) for name, proof in proofs.items()}
    figures: Run = {"logs": len(logs)}
    for name, took in seconds.items():
        figures[f"{name}_ms_per_block"] = round(1e3 * took, 2)
        figures[f"{name}_us_per_receipt"] = round(1e6 * took / len(receipts), 1)
        figures[f"{name}_us_per_log"] = round(1e6 * took / len(logs), 1)
    return {**figures, "logs_kb": _kilobytes(logs), "receipts_kb": _kilobytes(receipts)}


def _by_bloom(header: Header, logs: list[Any]) -> None:
    events, _ = in_order(parse_logs(CHAIN_ID, header, logs))
    assert not Completeness(CHAIN_ID).reason(header, events)


def _by_receipts(header: Header, raw: Any, receipts: list[Any]) -> None:
    roots = RootProof(CHAIN_ID)
    assert roots.check_header(header, raw)
    of_transactions = {receipt["transactionHash"]: receipt for receipt in receipts}
    assert roots.events(header, raw, Receipts(of_transactions, [], []))


def _cpu_seconds(proof: Callable[[], object]) -> float:
    began = time.process_time()
    proof()
    return time.process_time() - began


def _kilobytes(answer: Any) -> float:
    return round(len(orjson.dumps(answer)) / 1000, 1)


if __name__ == "__main__":
    sys.exit(main())
