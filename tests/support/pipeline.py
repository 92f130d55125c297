"""A whole farm like a user's, with a receiver and checks of the result."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hookfarm.devchain.embedded import RunningDevchain
from hookfarm.store import keys
from hookfarm.store.clients import command_client
from tests.support.delivery import undelivered
from tests.support.farm_processes import FarmProcess, StartFarm, hookfarm
from tests.support.ledger import assert_ledger_invariant
from tests.support.receivers import Received, Receiver
from tests.support.waiting import PATIENCE_SECONDS, eventually

LOOPBACK = "127.0.0.0/8"
MAX_STARTS = 3
TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"


@dataclass
class Pipeline:
    """Farms on one Redis, and the receiver of their endpoint."""

    start_farm: StartFarm
    redis_url: str
    receiver: Receiver

    def start(self, *arguments: str) -> FarmProcess:
        """Start a farm on this Redis and wait until it is ready.

        If a service is not ready within 10 s, which other tests cover, the farm is started again.
        """
        for _ in range(MAX_STARTS):
            farm = self.start_farm(
                *arguments, "--api", "127.0.0.1:0", redis_url=self.redis_url, HOOKFARM_ALLOW_PRIVATE=LOOPBACK
            )
            if not farm.missed_readiness():
                break
        return farm.wait_ready()

    def add_endpoint(self, chain_id: int, *options: str, event: str | None = TRANSFER) -> dict[str, Any]:
        """Add an endpoint by command; the receiver then trusts its secret."""
        said = hookfarm(
            *("endpoints", "add", self.receiver.url, "--json", "--redis-url", self.redis_url),
            *("--chain", str(chain_id), *(("--event", event) if event else ()), *options),
            HOOKFARM_ALLOW_PRIVATE=LOOPBACK,
        )
        assert said.returncode == 0, said.stderr
        endpoint: dict[str, Any] = json.loads(said.stdout)
        self.receiver.trust(endpoint["secret"])
        return endpoint


def body(received: Received) -> Any:
    return json.loads(received.body)


def chain_option(chain_id: int, url: str) -> tuple[str, str]:
    return ("--chain", f"{chain_id}={url}")


def assert_drained(redis_url: str, chain_id: int) -> None:
    """Assert that both hops are empty and the ledger is valid."""
    with command_client(redis_url) as client:
        eventually(lambda: not undelivered(client), what="the ledger drained")
        assert client.llen(keys.DELIVERY_QUEUE) == 0
        assert client.xlen(keys.events(chain_id)) == 0
        assert client.xpending(keys.events(chain_id), keys.PROCESSOR_GROUP)["pending"] == 0
        assert_ledger_invariant(client)


Log = tuple[str, int]
"""Block hash and log index."""


def current_logs(received: list[Received]) -> Counter[Log]:
    """Return the emitted logs that were not removed, with counts: a restored log may be emitted again before its
    removal. Asserts that each removal follows its original."""
    sent: dict[str, Log] = {}
    removed: set[str] = set()
    for message in received:
        content = body(message)
        log = (content["data"]["block_hash"], content["data"]["log_index"])
        if content["type"] == "log.emitted":
            sent[message.id] = log
        else:
            assert content["type"] == "log.removed"
            assert sent[content["original"]] == log, "a removal without a preceding original"
            removed.add(content["original"])
    return Counter(log for webhook_id, log in sent.items() if webhook_id not in removed)


def canonical_logs(chain: RunningDevchain) -> Counter[Log]:
    return Counter((log["blockHash"], int(log["logIndex"], 16)) for log in chain.canonical_logs())


def await_agreement(pipeline: Pipeline, chain: RunningDevchain, within: float = PATIENCE_SECONDS) -> None:
    def agrees() -> bool:
        return current_logs(pipeline.receiver.received) == canonical_logs(chain)

    eventually(agrees, within, "the receiver having exactly the canonical logs")


NOTIFY_ALL = ("--notify", "emitted,removed,finalized")
TRANSFER_KIND = ("--kind", "transfer")
TransferId = tuple[str, str]
"""Block hash, and index in the block."""


def transfer_id(data: dict[str, Any]) -> TransferId:
    if "log_index" in data:
        return (data["block_hash"], str(data["log_index"]))
    return (data["block_hash"], f"t{data['transaction_index']}")


def backfill_arguments(
    pipeline: Pipeline, endpoint: str, chain: RunningDevchain, *options: str
) -> tuple[str, ...]:
    nodes = f"{chain.chain_id}={chain.http_url}"
    return ("backfill", endpoint, "--chain", nodes, "--yes", "--redis-url", pipeline.redis_url, *options)
