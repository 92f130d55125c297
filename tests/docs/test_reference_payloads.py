"""docs/reference/schemas/: JSON Schemas that the bodies of real webhooks fulfil."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from generators import payloads
from jsonschema import Draft202012Validator

from hookfarm import delivery_queue
from hookfarm.abi import signature
from hookfarm.delivery_queue import HealthSignal, operational
from hookfarm.event_ingestor.published_events import LostEvents
from hookfarm.event_ingestor.reorg import incomplete_event
from hookfarm.event_stream import DoubtfulBlock, accept_block
from hookfarm.matching import payload
from hookfarm.records import Subscription, parse_subscription
from hookfarm.records.operational import EVENTS
from hookfarm.registry.store import Registry
from hookfarm.sample_webhooks import events
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support.delivery import add_endpoint, delivered, enqueue, job
from tests.support.events import EVENT
from tests.support.farm_processes import CHECKOUT
from tests.support.ledger import assert_ledger_invariant
from tests.support.processed_chain import ALL, CHAIN, ENDPOINT, FinalChain, log
from tests.support.processors import TRANSFER
from tests.support.queue import pop, settle
from tests.support.transfers import transfer

SCHEMAS = CHECKOUT / "docs" / "reference" / "schemas"
URL = "http://127.0.0.1:9/"
SIGNATURES = (
    TRANSFER,
    "E(uint8 small, int256 large, bool flag, address owner, bytes4 code, bytes data, string text, function f)",
    "E(uint256[] list, uint8[2][] nested, (address maker, uint256 amount) order, (bool, int8) pair)",
    "E(string indexed text, bytes indexed data, uint8[] indexed list, (bool a) order)",
    "E((bool a) indexed order, uint8 indexed, int8 indexed, bool indexed) anonymous",
    "E(uint256, uint256, address indexed)",
    "E()",
)


def problems(body: Any) -> list[str]:
    """What the schema of the body's type has against it."""
    schema = json.loads((SCHEMAS / f"{body['type']}.json").read_text())
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(body)]


@pytest.mark.parametrize("path", sorted(SCHEMAS.iterdir()), ids=lambda path: path.stem)
def test_each_file_is_a_schema(path: Any) -> None:
    Draft202012Validator.check_schema(json.loads(path.read_text()))


@pytest.mark.parametrize("kind", payloads.TYPES)
def test_each_example_fulfils_its_schema(kind: str) -> None:
    assert problems(payloads.example(kind)) == []


@pytest.mark.parametrize("event", SIGNATURES)
def test_samples_of_all_types_fulfil_it(event: str) -> None:
    canonical = Subscription("sub_1", 1, event=event)
    assert problems(json.loads(events.body(canonical))) == []
    assert signature.parse(event).parameters == () or json.loads(events.body(canonical))["data"]["event"]["args"]


def test_samples_without_an_event_fulfil_it() -> None:
    others: tuple[Subscription | None, ...] = (
        None,
        Subscription("sub_1", 1, confirmations="safe"),
        Subscription("sub_1", 1, topics=(None, ("0x" + "11" * 32,))),
        Subscription("sub_1", 1, kind="transfer", confirmations=12),
        *(parse_subscription({"kind": "operational", "events": [event]}) for event in EVENTS),
    )
    assert [problems(json.loads(events.body(each))) for each in others] == [[]] * len(others)


def test_numbers_beyond_doubles_fulfil_it() -> None:
    large: Any = {**EVENT, "chain_id": 2**64 - 1, "block_number": 2**53, "transaction_index": 2**53 + 1}
    body = json.loads(payload.emitted_body(large, None, "sub_1"))
    assert isinstance(body["data"]["transaction_index"], str)
    assert problems(body) == []


@pytest.fixture
def chain(client: Any, redis_url: str) -> Iterator[FinalChain]:
    made = FinalChain(client, redis_url)
    yield made
    made.connection.close()


def test_what_a_processor_enqueues_fulfils_it(chain: FinalChain) -> None:
    kinds: list[str] = []

    def deliver() -> None:
        while chain.owed:
            claimed = chain.pop()
            chain.settle(delivered(claimed))
            body = json.loads(claimed.body)
            assert problems(body) == []
            kinds.append(body["type"])

    chain.index.put(
        replace(
            ENDPOINT,
            subscriptions=(
                Subscription("sub_l", CHAIN, notify=ALL),
                Subscription("sub_t", CHAIN, kind="transfer", notify=ALL),
            ),
        )
    )
    moved = transfer(chain_id=CHAIN, block_number=10, block_hash=log(10)["block_hash"])
    chain.feed(log(10), moved)
    deliver()
    chain.feed({**log(10), "removed": True}, {**moved, "removed": True})
    deliver()
    chain.feed(log(11), transfer(chain_id=CHAIN, block_number=11, block_hash=log(11)["block_hash"]))
    deliver()
    chain.final(11)
    deliver()
    assert set(kinds) == {kind for kind in payloads.TYPES if kind not in EVENTS}


def test_operational_events_fulfil_it(client: Any, redis_url: str) -> None:
    connection = PipelinedConnection(redis_url, delivery_queue.BLOCK_SECONDS)
    wanted = parse_subscription({"id": "sub_op", "kind": "operational", "events": list(EVENTS)})
    operator = add_endpoint(client, URL, subscriptions=(wanted,))
    failing = add_endpoint(client, URL)
    for attempt in range(6):
        enqueue(redis_url, job(failing, f"msg_{attempt}"))
    for attempt in range(5):
        claimed = pop(connection)
        changes = {"reason": "exhausted"} if attempt == 0 else {}
        outcome = {"at": 1_800_000_000.5, "duration_ms": 7, "status": 500, "detail": "busy"}
        stored = claimed.with_outcome(outcome, **changes)
        retry = None if attempt == 0 else 60.0
        settle(connection, delivery_queue.failed(claimed, stored, retry, HealthSignal.UNHEALTHY))
    operational.record_stalled_chain(client, 1, "chain 1: no node answers")
    client.rpush(keys.OPERATIONAL_EVENTS, incomplete_event(1, 7, [LostEvents(8, 9, None, 2)]))
    doubtful = DoubtfulBlock(7, "0x" + "5e" * 32, 2, "log indices are not 0 to 1", "event_ingestor")
    client.hset(keys.doubtful_blocks(1), "7", doubtful.encode())
    accept_block(client, 1, doubtful, "operator@host")
    Registry(client).update(replace(failing, description="mended"))
    Registry(client).disable(failing.id, "by hand")
    while operational.deliver_events(client):
        pass
    stored_jobs = [json.loads(stored) for stored in client.hvals(keys.JOBS)]
    bodies = [each["payload"] for each in stored_jobs if each["endpoint"] == operator.id]
    assert {body["type"] for body in bodies} == set(EVENTS)
    assert [problems(body) for body in bodies] == [[]] * len(bodies)
    connection.close()
    assert_ledger_invariant(client)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.pop("timestamp"),
        lambda body: body.update(type="log.removed"),
        lambda body: body["data"].update(removed=True),
        lambda body: body["data"].update(block_hash="0x00"),
        lambda body: body["data"].update(block_number="7"),
        lambda body: body["data"].update(more=1),
        lambda body: body["data"].pop("subscription"),
    ],
)
def test_another_body_does_not(change: Any) -> None:
    body = payloads.example("log.emitted")
    change(body)
    assert problems(body) != []
