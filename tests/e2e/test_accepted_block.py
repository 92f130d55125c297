"""From a block that no node proves to its webhooks: seen and accepted from the shell, delivered and reported."""

import json
from collections import Counter

from hookfarm.devchain.embedded import running_devchain
from hookfarm.records import parse_subscription
from hookfarm.records.operational import CHAIN_BLOCK_ACCEPTED
from hookfarm.store.clients import command_client
from tests.support.delivery import add_endpoint
from tests.support.farm_processes import hookfarm
from tests.support.pipeline import Pipeline
from tests.support.waiting import eventually

CHAIN = 1337
LOGS = 4


def test_an_accepted_block_is_delivered_and_the_operators_are_notified(pipeline: Pipeline) -> None:
    def received() -> Counter[str]:
        assert all(each.signature_valid for each in pipeline.receiver.received)
        return Counter(json.loads(each.body)["type"] for each in pipeline.receiver.received)

    def shown(command: str) -> str:
        return hookfarm(command, "--redis-url", pipeline.redis_url).stdout

    with (
        command_client(pipeline.redis_url) as client,
        running_devchain(chain_id=CHAIN, logs_per_block=LOGS) as chain,
    ):
        pipeline.start("--workers", "3", "--chain", f"{CHAIN}={chain.ws_url}")
        any_log = parse_subscription({"chain_id": CHAIN})
        wanted = parse_subscription({"kind": "operational", "events": [CHAIN_BLOCK_ACCEPTED]})
        for subscription in (any_log, wanted):
            endpoint = add_endpoint(client, pipeline.receiver.url, subscriptions=(subscription,))
            pipeline.receiver.trust(endpoint.secrets[0][0])
        chain.mine(1)
        eventually(lambda: received() == {"log.emitted": LOGS}, what="the logs of a proven block")
        chain.set_fault("wrong_log_indices", shown="repeated")
        chain.set_fault("wrong_blooms")
        [mined] = chain.mine(1)
        doubt = f"to accept it: hookfarm chains accept {CHAIN} {mined.number}"
        eventually(lambda: doubt in shown("status"), what="the block being shown as doubtful")
        done = hookfarm(
            "chains", "accept", str(CHAIN), str(mined.number), "--yes", "--redis-url", pipeline.redis_url
        )
        assert done.returncode == 0, done.stderr
        expected = {"log.emitted": 2 * LOGS, CHAIN_BLOCK_ACCEPTED: 1}
        eventually(
            lambda: received() == expected, within=60, what="the accepted block's logs and the notification"
        )
    identities = {
        (data["block_hash"], data["log_index"])
        for data in (json.loads(each.body)["data"] for each in pipeline.receiver.received)
        if "log_index" in data
    }
    assert len(identities) == 2 * LOGS
