"""From a log on a chain to a verified webhook, with everything real in between."""

from hookfarm.devchain.embedded import running_devchain
from tests.support.anvil import deploy_emitter, emit_transfer, running_anvil
from tests.support.pipeline import Pipeline, assert_drained, body, chain_option

BOB = "0x00000000000000000000000000000000000b0b00"


def test_full_pipeline_with_mock_ethereum(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=1337, logs_per_block=7) as chain:
        pipeline.start(*chain_option(1337, chain.ws_url))
        endpoint = pipeline.add_endpoint(1337)
        chain.mine(10)
        pipeline.receiver.wait_for(70)
        logs = {(log["blockHash"], int(log["logIndex"], 16)): log for log in chain.canonical_logs()}

        assert_drained(pipeline.redis_url, 1337)
        received = pipeline.receiver.received
        assert all(r.signature_valid and r.attempt == 1 for r in received)
        assert len({r.id for r in received}) == len(received) == 70
        for message in map(body, received):
            data = message["data"]
            log = logs.pop((data["block_hash"], data["log_index"]))
            assert message["type"] == "log.emitted"
            assert data["chain_id"] == 1337
            assert data["block_number"] == int(log["blockNumber"], 16)
            assert data["block_timestamp"] == int(log["blockTimestamp"], 16)
            assert data["transaction_hash"] == log["transactionHash"]
            assert (data["address"], data["topics"], data["data"]) == (log["address"], log["topics"], log["data"])
            assert data["removed"] is False
            assert data["event"]["name"] == "Transfer"
            assert data["event"]["args"]["from"] == f"0x{log['topics'][1][-40:]}"
            assert int(data["event"]["args"]["value"]) == int(log["data"], 16)
            assert data["subscription"] == endpoint["subscriptions"][0]["id"]
        assert not logs, "logs that nobody was told of"


def test_full_pipeline_over_plain_http(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=1338, logs_per_block=3) as chain:
        pipeline.start(*chain_option(1338, chain.http_url))
        pipeline.add_endpoint(1338)
        chain.mine(2)
        assert all(r.signature_valid for r in pipeline.receiver.wait_for(6))


def test_full_pipeline_with_anvil(pipeline: Pipeline) -> None:
    with running_anvil() as node:
        token = deploy_emitter(node)
        pipeline.start(*chain_option(31337, node.ws_url))
        pipeline.add_endpoint(31337, "--address", token)
        transactions = [emit_transfer(node, token, BOB, value) for value in (1, 2**53, 10**24)]
        received = pipeline.receiver.wait_for(3)

        assert all(r.signature_valid for r in received)
        by_transaction = {message["data"]["transaction_hash"]: message["data"] for message in map(body, received)}
        args = [by_transaction[t]["event"]["args"] for t in transactions]
        assert [a["value"] for a in args] == [1, 2**53, str(10**24)]
        assert {a["to"] for a in args} == {BOB}
        assert_drained(pipeline.redis_url, 31337)


def test_an_endpoint_hears_only_of_what_it_subscribed_to(pipeline: Pipeline) -> None:
    with running_anvil() as node:
        wanted, other = deploy_emitter(node), deploy_emitter(node)
        pipeline.start(*chain_option(31337, node.ws_url))
        pipeline.add_endpoint(31337, "--address", wanted)
        emit_transfer(node, other, BOB, 1)
        emit_transfer(node, wanted, BOB, 2)
        [received] = pipeline.receiver.wait_for(1)
        assert body(received)["data"]["address"] == wanted
        assert_drained(pipeline.redis_url, 31337)
        assert len(pipeline.receiver.received) == 1


def test_what_happened_while_the_farm_was_down_is_delivered_after(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=1339, logs_per_block=4) as chain:
        farm = pipeline.start(*chain_option(1339, chain.ws_url))
        pipeline.add_endpoint(1339)
        chain.mine(1)
        pipeline.receiver.wait_for(4)
        assert farm.stop() == 0
        chain.mine(25)
        pipeline.start(*chain_option(1339, chain.ws_url))
        pipeline.receiver.wait_for(104)
        assert_drained(pipeline.redis_url, 1339)
        assert len({r.id for r in pipeline.receiver.received}) == len(pipeline.receiver.received) == 104


def test_a_failed_delivery_is_tried_again_with_the_same_id(pipeline: Pipeline) -> None:
    pipeline.receiver.reply_with(500)
    with running_devchain(chain_id=1340, logs_per_block=1) as chain:
        farm = pipeline.start_farm(
            *chain_option(1340, chain.ws_url),
            redis_url=pipeline.redis_url,
            HOOKFARM_API="127.0.0.1:0",
            HOOKFARM_ALLOW_PRIVATE="127.0.0.0/8",
            HOOKFARM_RETRY_SCHEDULE="100ms",
        )
        farm.wait_ready()
        pipeline.add_endpoint(1340)
        chain.mine(1)
        first, second = pipeline.receiver.wait_for(2)
        assert (first.attempt, second.attempt) == (1, 2)
        assert first.id == second.id
        assert first.body == second.body
        assert second.signature_valid
        assert_drained(pipeline.redis_url, 1340)
