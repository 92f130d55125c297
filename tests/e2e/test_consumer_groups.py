"""What the consumer group of the processors promises, seen from Redis."""

import signal

import orjson

from hookfarm.devchain.embedded import running_devchain
from hookfarm.store import keys
from hookfarm.store.clients import command_client
from tests.support.delivery import undelivered
from tests.support.pipeline import Pipeline
from tests.support.waiting import eventually

CHAIN_ID = 7001


def event(log_index: int) -> bytes:
    """An event that anybody may have added to the stream."""
    return orjson.dumps(
        {
            "chain_id": CHAIN_ID,
            "block_number": 5,
            "block_hash": f"0x{'ab' * 32}",
            "block_timestamp": 1_795_372_794,
            "transaction_hash": f"0x{'cd' * 32}",
            "transaction_index": 0,
            "log_index": log_index,
            "address": f"0x{'11' * 20}",
            "topics": [
                "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
                f"0x{'00' * 12}{'aa' * 20}",
                f"0x{'00' * 12}{'bb' * 20}",
            ],
            "data": f"0x{log_index:064x}",
            "removed": False,
        }
    )


def test_consumer_group_acknowledgment(pipeline: Pipeline) -> None:
    pipeline.start("message_processor", "webhook_delivery")
    pipeline.add_endpoint(CHAIN_ID)
    with command_client(pipeline.redis_url) as client:
        for index in range(100):
            client.xadd(keys.events(CHAIN_ID), {keys.EVENT_FIELD: event(index)})
        pipeline.receiver.wait_for(100)
        [group] = client.xinfo_groups(keys.events(CHAIN_ID))
        assert group["name"] == keys.PROCESSOR_GROUP.encode()
        eventually(
            lambda: client.xpending(keys.events(CHAIN_ID), keys.PROCESSOR_GROUP)["pending"] == 0,
            what="every entry acknowledged",
        )
        assert client.xlen(keys.events(CHAIN_ID)) == 0
        assert len({r.id for r in pipeline.receiver.received}) == len(pipeline.receiver.received) == 100


def test_service_recovery_with_consumer_groups(pipeline: Pipeline) -> None:
    """A processor is killed with entries pending in its name and in a stranger's; its successor does them all."""
    processor = pipeline.start("message_processor")
    pipeline.add_endpoint(CHAIN_ID)
    with command_client(pipeline.redis_url) as client:
        stream = keys.events(CHAIN_ID)
        eventually(lambda: client.exists(stream), what="the processor following the chain")
        processor.signal(signal.SIGSTOP)
        for child in processor.children().values():
            child.suspend()
        for index in range(60):
            client.xadd(stream, {keys.EVENT_FIELD: event(index)})
        own = client.xinfo_consumers(stream, keys.PROCESSOR_GROUP)[0]["name"]
        # What was blocked in XREADGROUP has been handed entries that the stopped process cannot look at.
        eventually(
            lambda: client.xpending(stream, keys.PROCESSOR_GROUP)["pending"] > 0, what="entries pending for it"
        )
        client.xreadgroup(keys.PROCESSOR_GROUP, own, {stream: ">"}, count=20)
        client.xreadgroup(keys.PROCESSOR_GROUP, "a-stranger", {stream: ">"}, count=20)
        processor.signal(signal.SIGKILL)
        processor.wait()
        pending = client.xpending(stream, keys.PROCESSOR_GROUP)["pending"]
        assert 40 < pending <= 60

        pipeline.start("message_processor", "webhook_delivery")
        pipeline.receiver.wait_for(60)
        eventually(
            lambda: client.xpending(stream, keys.PROCESSOR_GROUP)["pending"] == 0,
            what="every entry acknowledged",
        )
        assert len({r.id for r in pipeline.receiver.received}) == len(pipeline.receiver.received) == 60


def test_a_killed_processor_is_replaced_and_nothing_is_lost_or_doubled(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=10) as chain:
        farm = pipeline.start("--chain", f"{CHAIN_ID}={chain.ws_url}")
        pipeline.add_endpoint(CHAIN_ID)
        name = f"{keys.MESSAGE_PROCESSOR} 0"
        for block in range(30):
            chain.mine(1)
            if block % 10 == 5:
                eventually(lambda: farm.children().get(name), what="a processor to kill").kill()
        pipeline.receiver.wait_for(300)
        with command_client(pipeline.redis_url) as client:
            eventually(lambda: not undelivered(client), what="the ledger drained")
        assert len({r.id for r in pipeline.receiver.received}) == len(pipeline.receiver.received) == 300


def test_an_endpoint_added_while_running_hears_of_the_next_event(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=1) as chain:
        pipeline.start("--chain", f"{CHAIN_ID}={chain.ws_url}")
        chain.mine(3)
        with command_client(pipeline.redis_url) as client:
            eventually(lambda: client.xlen(keys.events(CHAIN_ID)) == 0, what="the first events being handled")
        pipeline.add_endpoint(CHAIN_ID)
        chain.mine(1)
        [received] = pipeline.receiver.wait_for(1)
        assert received.signature_valid
