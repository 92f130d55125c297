"""The receiver of each language, at the end of a real farm, ends with the canonical chain."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from tests.examples.languages import LANGUAGES, Program, running
from tests.support.farm_processes import started_farms
from tests.support.finished_command import done, run
from tests.support.pipeline import LOOPBACK, TRANSFER, chain_option
from tests.support.redis_server import running_redis
from tests.support.transfers import canonical_transfers
from tests.support.waiting import eventually

CHAIN = 1360
FINALIZED_DISTANCE = 6
BLOCK_SECONDS = 1.0
SERVICES = ("message_processor", "webhook_delivery", "event_ingestor")
MAX_STARTS = 5
PLACEHOLDER = "http://127.0.0.1:9/"
"""The receiver needs the secret before it has a port."""
SUBSCRIPTIONS = [
    {"chain_id": CHAIN, "event": TRANSFER, "notify": ["emitted", "removed", "finalized"]},
    {"chain_id": CHAIN, "kind": "transfer"},
]


@dataclass
class Farm:
    """A farm on one Redis that watches one devchain; the registry has one endpoint at a time."""

    redis_url: str
    chain: RunningDevchain

    def command(self, *arguments: str) -> str:
        return done(run(self.redis_url, *arguments))

    def replace_endpoints(self, folder: Path) -> tuple[str, str]:
        """Leave one endpoint in the registry, with both subscriptions; return its id and its secret."""
        file = folder / "endpoints.json"
        file.write_text(json.dumps({"endpoints": [{"url": PLACEHOLDER, "subscriptions": SUBSCRIPTIONS}]}))
        changes = json.loads(self.command("apply", str(file), "--yes", "--json"))["changes"]
        [added] = [change for change in changes if change["action"] == "add"]
        return added["id"], added["secret"]

    def attempts(self, webhook_id: str) -> list[Any]:
        found: list[Any] = json.loads(self.command("deliveries", "show", webhook_id, "--json"))["attempts"]
        return found

    def canonical(self, after: int) -> Counter[str]:
        """The positions of logs and transfers in the canonical blocks after this number."""
        logs = [
            f"{log['blockHash']}:{int(log['logIndex'], 16)}"
            for log in self.chain.canonical_logs()
            if int(log["blockNumber"], 16) > after
        ]
        transfers = [
            f"{each['block_hash']}:t{each['transaction_index']}"
            for each in canonical_transfers(self.chain)
            if each["block_number"] > after
        ]
        return Counter(logs + transfers)


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    """A service that misses the 10 s of a start on a slow machine gets another start."""
    distances: dict[str, Any] = {"safe_distance": FINALIZED_DISTANCE - 1, "finalized_distance": FINALIZED_DISTANCE}
    with (
        running_redis() as server,
        running_devchain(chain_id=CHAIN, logs_per_block=3, transfers_per_block=2, **distances) as chain,
        started_farms() as start,
    ):
        options = (*chain_option(CHAIN, chain.ws_url), "--workers", "4")
        for _ in range(MAX_STARTS):
            started = start(*SERVICES, *options, redis_url=server.url, HOOKFARM_ALLOW_PRIVATE=LOOPBACK)
            if not started.missed_readiness():
                break
        started.wait_ready()
        yield Farm(server.url, chain)


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


def await_finality(program: Program, chain: RunningDevchain) -> None:
    """A node is asked for its final block along with a new block, so blocks are mined meanwhile."""
    chain.mine(FINALIZED_DISTANCE)
    due = time.monotonic() + BLOCK_SECONDS

    def is_final() -> bool:
        nonlocal due
        if time.monotonic() > due:
            chain.mine(1)
            due = time.monotonic() + BLOCK_SECONDS
        return any(line.startswith("finalized ") for line in program.lines)

    eventually(is_final, what="a final log")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_receiver_ends_with_the_canonical_chain(language: str, farm: Farm, tmp_path: Path) -> None:
    command, chain = LANGUAGES[language](tmp_path), farm.chain
    endpoint, secret = farm.replace_endpoints(tmp_path)
    with running(command, tmp_path, WEBHOOK_SECRET=secret, DATABASE=str(tmp_path / "receiver.db")) as program:
        farm.command("endpoints", "update", endpoint, "--url", program.url)
        before = chain.head().number

        def agrees() -> bool:
            return standing(program) == farm.canonical(before)

        chain.mine(5)
        eventually(agrees, what="the receiver knowing the logs and transfers of five blocks")
        chain.reorg(3)
        chain.mine(1)
        eventually(agrees, what="the receiver knowing exactly the canonical chain")
        assert any(line.startswith("reversed ") for line in program.lines)
        await_finality(program, chain)
        eventually(agrees, what="the receiver knowing exactly the canonical chain")
        webhook_id = program.lines[0].split()[1]
        farm.command("deliveries", "redeliver", webhook_id)
        eventually(lambda: len(farm.attempts(webhook_id)) == 2, what="the second attempt")
        assert {attempt["status"] for attempt in farm.attempts(webhook_id)} == {204}
        assert [line for line in program.lines if line.startswith(f"applied {webhook_id} ")] == [program.lines[0]]
