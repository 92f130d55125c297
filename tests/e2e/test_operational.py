"""A running farm tells what happens in it."""

import json
from collections.abc import Iterator

from hookfarm.devchain.embedded import running_devchain
from hookfarm.records import parse_subscription
from hookfarm.records.operational import EVENTS
from hookfarm.registry.store import Registry
from hookfarm.store.clients import command_client
from tests.support.delivery import add_endpoint
from tests.support.pipeline import Pipeline
from tests.support.waiting import eventually

CHAIN = 1337


def kinds(pipeline: Pipeline) -> Iterator[tuple[str, bool]]:
    """What has arrived, and whether its signature was valid."""
    for received in pipeline.receiver.received:
        yield json.loads(received.body)["type"], received.signature_valid


def test_a_disabled_endpoint_and_a_chain_without_nodes_are_told(pipeline: Pipeline) -> None:
    with command_client(pipeline.redis_url) as client:
        with running_devchain(chain_id=CHAIN) as chain:
            pipeline.start("--workers", "3", "--chain", f"{CHAIN}={chain.ws_url}")
            wanted = parse_subscription({"kind": "operational", "events": list(EVENTS)})
            operator = add_endpoint(client, pipeline.receiver.url, subscriptions=(wanted,))
            pipeline.receiver.trust(operator.secrets[0][0])
            other = add_endpoint(client, "http://127.0.0.1:9/")
            Registry(client).disable(other.id, "by hand")
            disabled = ("hookfarm.endpoint.disabled", True)
            eventually(lambda: list(kinds(pipeline)) == [disabled], what="the disabled endpoint being told")
        stalled = ("hookfarm.chain.stalled", True)
        eventually(lambda: list(kinds(pipeline)) == [disabled, stalled], within=60, what="the chain being told of")
