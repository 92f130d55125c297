"""The receiver of each language, at the end of a real farm, ends with the canonical chain."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from tests.examples.languages import LANGUAGES, Program, running
from tests.support.farm_processes import StartFarm, hookfarm
from tests.support.finished_command import done, run
from tests.support.pipeline import LOOPBACK, TRANSFER, chain_option
from tests.support.transfers import canonical_transfers
from tests.support.waiting import eventually

CHAIN = 1360
FINALIZED_DISTANCE = 6
PLACEHOLDER = "http://127.0.0.1:9/"
"""The receiver needs the secret before it has a port."""
SUBSCRIPTIONS = [
    {"chain_id": CHAIN, "event": TRANSFER, "notify": ["emitted", "removed", "finalized"]},
    {"chain_id": CHAIN, "kind": "transfer"},
]


def add_endpoint(redis_url: str, folder: Path) -> tuple[str, str]:
    """Return the id and the secret."""
    file = folder / "endpoints.json"
    file.write_text(json.dumps({"endpoints": [{"url": PLACEHOLDER, "subscriptions": SUBSCRIPTIONS}]}))
    report = json.loads(done(run(redis_url, "apply", str(file), "--yes", "--json")))
    [[endpoint, secret]] = report["secrets"].items()
    return endpoint, secret


def standing(program: Program) -> Counter[str]:
    """The positions that were applied and not reversed."""
    applied: dict[str, str] = {}
    for line in program.lines:
        match line.split():
            case ["applied", webhook_id, position]:
                assert webhook_id not in applied, "applied twice"
                applied[webhook_id] = position
            case ["reversed", original]:
                del applied[original]
    return Counter(applied.values())


def canonical(chain: RunningDevchain) -> Counter[str]:
    logs = [f"{log['blockHash']}:{int(log['logIndex'], 16)}" for log in chain.canonical_logs()]
    transfers = [f"{each['block_hash']}:t{each['transaction_index']}" for each in canonical_transfers(chain)]
    return Counter(logs + transfers)


def await_agreement(program: Program, chain: RunningDevchain) -> None:
    eventually(lambda: standing(program) == canonical(chain), what="the receiver knowing exactly the canonical chain")


def attempts(redis_url: str, webhook_id: str) -> list[Any]:
    found: list[Any] = json.loads(done(run(redis_url, "deliveries", "show", webhook_id, "--json")))["attempts"]
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_receiver_ends_with_the_canonical_chain(
    language: str, start_farm: StartFarm, redis_url: str, tmp_path: Path
) -> None:
    command = LANGUAGES[language](tmp_path)
    with running_devchain(
        chain_id=CHAIN,
        logs_per_block=3,
        transfers_per_block=2,
        safe_distance=FINALIZED_DISTANCE - 1,
        finalized_distance=FINALIZED_DISTANCE,
    ) as chain:
        options = (*chain_option(CHAIN, chain.ws_url), "--workers", "4", "--api", "127.0.0.1:0")
        start_farm(*options, redis_url=redis_url, HOOKFARM_ALLOW_PRIVATE=LOOPBACK).wait_ready()
        endpoint, secret = add_endpoint(redis_url, tmp_path)
        with running(command, tmp_path, WEBHOOK_SECRET=secret, DATABASE=str(tmp_path / "receiver.db")) as program:
            done(run(redis_url, "endpoints", "update", endpoint, "--url", program.url))
            chain.mine(5)
            await_agreement(program, chain)
            chain.reorg(3)
            chain.mine(1)
            await_agreement(program, chain)
            assert any(line.startswith("reversed ") for line in program.lines)
            chain.mine(FINALIZED_DISTANCE)
            eventually(lambda: any(line.startswith("finalized ") for line in program.lines), what="finality")
            await_agreement(program, chain)
            printed, webhook_id = len(program.lines), program.lines[0].split()[1]
            done(run(redis_url, "deliveries", "redeliver", webhook_id))
            eventually(lambda: len(attempts(redis_url, webhook_id)) == 2, what="the second attempt")
            assert attempts(redis_url, webhook_id)[0]["status"] == 204
            assert sum(webhook_id in line and line.startswith("applied") for line in program.lines) == 1
            assert len(program.lines) >= printed
