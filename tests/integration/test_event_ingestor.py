"""The ingestor between a devchain and a real Redis."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hookfarm import event_stream, keys
from hookfarm.chain.timing import Limits
from hookfarm.devchain.library import RunningDevchain, running_devchain
from hookfarm.devchain.transaction import Log
from hookfarm.errors import CouldNotBoot, WrongChain
from hookfarm.event_ingestor import gauges
from hookfarm.event_stream import Checkpoint
from hookfarm.farm.board import TEXT_BYTES
from tests.support.ingestor import running_ingestor
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

CHAIN = 31337
EVENTS = 3
"""Per block."""
TRANSPORTS = ["ws", "http"]
SOME_LOGS = [Log(b"\x0a" * 20, (b"\x0b" * 32,), b"\x0c"), Log(b"\x0d" * 20, (), b"")]


@pytest.fixture
def devchain() -> Iterator[RunningDevchain]:
    with running_devchain(chain_id=CHAIN, logs_per_block=EVENTS) as devchain:
        yield devchain


class Published:
    """What stands in the stream and the checkpoint."""

    def __init__(self, server: RedisServer) -> None:
        self.client = server.client()

    def events(self) -> list[dict[str, Any]]:
        entries: Any = self.client.xrange(keys.events(CHAIN))
        return [json.loads(fields[keys.EVENT_FIELD.encode()]) for _, fields in entries]

    def checkpoint(self) -> Checkpoint | None:
        stored = self.client.get(keys.checkpoint(CHAIN))
        return Checkpoint.decode(stored) if stored else None

    def wait_for(self, devchain: RunningDevchain) -> None:
        """Until the checkpoint is the devchain's head."""
        head = devchain.head()
        eventually(
            lambda: self.checkpoint() == Checkpoint(head.number, head.hash),
            within=20,
            what=f"the checkpoint reaching block {head.number}",
        )


@pytest.fixture
def published(redis_server: RedisServer) -> Iterator[Published]:
    found = Published(redis_server)
    yield found
    found.client.close()


def url_of(devchain: RunningDevchain, transport: str) -> str:
    return devchain.ws_url if transport == "ws" else devchain.http_url


def as_events(logs: list[Any]) -> list[dict[str, Any]]:
    """Logs in the form of JSON-RPC -> what ought to be in the stream."""
    return [
        {
            "chain_id": CHAIN,
            "block_number": int(log["blockNumber"], 16),
            "block_hash": log["blockHash"],
            "block_timestamp": int(log["blockTimestamp"], 16),
            "transaction_hash": log["transactionHash"],
            "transaction_index": int(log["transactionIndex"], 16),
            "log_index": int(log["logIndex"], 16),
            "address": log["address"],
            "topics": log["topics"],
            "data": log["data"],
            "removed": False,
        }
        for log in logs
    ]


def canonical(devchain: RunningDevchain, above: int = 0) -> list[dict[str, Any]]:
    """The events of all canonical blocks with a number above `above`."""
    return [event for event in as_events(devchain.canonical_logs()) if event["block_number"] > above]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_log_is_in_the_stream_once_and_in_order(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str
) -> None:
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url):
        for blocks in (1, 1, 3, 20, 1):
            devchain.mine(blocks)
            published.wait_for(devchain)
    assert published.events() == canonical(devchain)
    assert len(published.events()) == 26 * EVENTS


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_chain_seen_for_the_first_time_starts_behind_its_head(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str
) -> None:
    devchain.mine(5)
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url):
        assert published.checkpoint() == Checkpoint(5, devchain.head().hash)
        devchain.mine(2)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain, above=5)


@pytest.mark.parametrize(("from_block", "above"), [(0, 0), (1, 0), (3, 2), (6, 5)])
def test_from_block_is_the_first_one_whose_logs_are_published(
    devchain: RunningDevchain, redis_url: str, published: Published, from_block: int, above: int
) -> None:
    devchain.mine(5)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=from_block):
        devchain.mine(1)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain, above=above)


def test_a_from_block_still_to_come_is_waited_for(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.mine(2)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=5) as ingestor:
        devchain.mine(1)
        eventually(lambda: ingestor.slot.counter(gauges.HEAD) == 3, what="the head being seen")
        assert published.checkpoint() is None
        devchain.mine(3)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain, above=4)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_after_downtime_it_goes_on_from_the_checkpoint(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str
) -> None:
    url = url_of(devchain, transport)
    with running_ingestor(CHAIN, url, redis_url):
        devchain.mine(2)
        published.wait_for(devchain)
    devchain.mine(300)
    with running_ingestor(CHAIN, url, redis_url, from_block=1):
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_blocks_with_more_events_than_a_batch_are_published_whole(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    logs = [Log(i.to_bytes(20, "big"), (), i.to_bytes(4, "big")) for i in range(5_000)]
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        devchain.mine_logs(logs, per_transaction=50)
        devchain.mine(2)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def canonical_part(published: Published, devchain: RunningDevchain) -> list[dict[str, Any]]:
    """The published events whose block is canonical now, in the order of the stream."""
    hashes = {log["blockHash"] for log in devchain.canonical_logs()}
    return [event for event in published.events() if event["block_hash"] in hashes]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("depth", "length"), [(1, 1), (1, 2), (3, 3), (3, 5), (5, 5), (30, 40)])
def test_a_reorg_is_followed_on_the_canonical_branch(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str, depth: int, length: int
) -> None:
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url, from_block=1):
        devchain.mine(32)
        published.wait_for(devchain)
        devchain.reorg(depth, length=length, logs=[SOME_LOGS] * length)
        devchain.mine(depth)
        published.wait_for(devchain)
    assert canonical_part(published, devchain) == canonical(devchain)
    assert len(published.events()) == len(canonical(devchain)) + depth * EVENTS


def test_a_branch_no_longer_than_the_old_one_is_followed_before_its_next_block(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
        devchain.mine(10)
        published.wait_for(devchain)
        devchain.reorg(4, logs=[SOME_LOGS] * 4)
        published.wait_for(devchain)
    assert canonical_part(published, devchain) == canonical(devchain)


def test_reorgs_back_and_forth_and_while_down_end_on_the_canonical_branch(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
        devchain.mine(10)
        for depth in (1, 4, 2, 6, 1):
            devchain.reorg(depth, length=depth + 1)
        published.wait_for(devchain)
    devchain.reorg(8, length=20)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        published.wait_for(devchain)
    assert canonical_part(published, devchain) == canonical(devchain)


def test_a_reorg_deeper_than_what_is_remembered_goes_back_to_the_deepest_known_block(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    kept = event_stream.KEPT_BLOCKS
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1) as ingestor:
        devchain.mine(kept + 40)
        published.wait_for(devchain)
        devchain.reorg(kept + 20, length=kept + 21)
        published.wait_for(devchain)
        assert ingestor.up
    above = 40
    assert [event for event in canonical_part(published, devchain) if event["block_number"] > above] == (
        canonical(devchain, above=above)
    )


def test_a_reorg_of_the_very_first_block_seen_is_followed(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.mine(5)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        devchain.reorg(3, length=4)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain, above=4)


def set_errors(devchain: RunningDevchain) -> None:
    for method in ("eth_getLogs", "eth_getBlockByNumber"):
        devchain.set_fault("error", count=3, method=method)


FAULTS: dict[str, Callable[[RunningDevchain], None]] = {
    "errors": set_errors,
    "null blocks": lambda devchain: devchain.set_fault("nulls", count=3),
    "all logs left out": lambda devchain: devchain.set_fault("omitted_logs", count=3, logs=EVENTS),
    "heads dropped": lambda devchain: devchain.set_fault("dropped_heads", count=4),
    "heads announced twice": lambda devchain: devchain.set_fault("duplicated_heads"),
    "a lagging node": lambda devchain: devchain.set_fault("lag", count=5, blocks=2),
    "connections cut": lambda devchain: devchain.set_fault("cut", count=3),
    "slow answers": lambda devchain: devchain.set_fault("latency", count=5, method="eth_getLogs", milliseconds=50),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nothing_is_missed_or_doubled_by_a_node_with(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str, fault: str
) -> None:
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url, from_block=1) as ingestor:
        devchain.mine(3)
        published.wait_for(devchain)
        FAULTS[fault](devchain)
        for _ in range(5):
            devchain.mine(1)
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up again")
    assert published.events() == canonical(devchain)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_node_that_went_down_stalls_it_until_it_is_back(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str
) -> None:
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url) as ingestor:
        devchain.mine(1)
        published.wait_for(devchain)
        devchain.go_down()
        eventually(lambda: ingestor.stalled, what="the ingestor saying that it is stalled")
        assert f"chain {CHAIN}: {url_of(devchain, transport)}" in ingestor.slot.reason
        devchain.mine(4)
        devchain.come_up()
        eventually(lambda: ingestor.up, within=15, what="the ingestor being up again")
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_a_silent_node_stalls_it_until_it_answers(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        devchain.set_fault("silence")
        devchain.mine(2)
        eventually(lambda: ingestor.stalled, within=10, what="the silence being noticed")
        assert "silent" in ingestor.slot.reason
        devchain.clear_faults()
        eventually(lambda: ingestor.up, within=20, what="the ingestor being up again")
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_a_node_that_never_gives_a_block_stalls_it(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        devchain.set_fault("error", method="eth_getLogs", message="pruned")
        devchain.mine(1)
        eventually(lambda: ingestor.stalled, within=15, what="the ingestor saying that it is stalled")
        assert "pruned" in ingestor.slot.reason
        devchain.clear_faults()
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up again")
    assert published.events() == canonical(devchain)


def test_when_one_node_dies_the_next_one_is_used(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_devchain(chain_id=CHAIN, logs_per_block=EVENTS) as twin:
        urls = [devchain.ws_url, twin.http_url]
        with running_ingestor(CHAIN, urls, redis_url) as ingestor:
            devchain.go_down()
            twin.mine(2)
            published.wait_for(twin)
            eventually(lambda: ingestor.up, what="the ingestor being up")
        assert published.events() == canonical(twin)


def test_a_dead_preferred_node_does_not_keep_it_from_booting(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_devchain() as dead:
        dead.go_down()
        with running_ingestor(CHAIN, [dead.ws_url, devchain.ws_url], redis_url):
            devchain.mine(1)
            published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_another_chain_id_is_refused_at_once_and_named(devchain: RunningDevchain, redis_url: str) -> None:
    patient = Limits(boot_seconds=600)
    with running_ingestor(1, f"{devchain.ws_url}/v3/canary", redis_url, limits=patient, wait=False) as ingestor:
        ingestor.join()
    assert isinstance(ingestor.error, WrongChain)
    assert str(ingestor.error) == f"chain 1: {devchain.ws_url} serves chain {CHAIN}"
    assert not ingestor.up


def test_another_genesis_is_refused_and_named(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        pass
    with running_devchain(chain_id=CHAIN, seed=2) as other:
        with running_ingestor(CHAIN, other.ws_url, redis_url, wait=False) as ingestor:
            ingestor.join()
        assert isinstance(ingestor.error, WrongChain)
        for part in (other.ws_url, keys.identity(CHAIN), keys.checkpoint(CHAIN)):
            assert part in str(ingestor.error)
        assert len(str(ingestor.error)) <= TEXT_BYTES, "the slot would cut it off"


def test_another_chain_that_takes_the_place_of_the_node_stalls_it(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        devchain.go_down()
        with running_devchain(chain_id=5, port=devchain.port):
            eventually(lambda: "serves chain 5" in ingestor.slot.reason, within=15, what="the refusal")
            assert ingestor.stalled
        devchain.come_up()
        eventually(lambda: ingestor.up, within=15, what="the ingestor being up again")


def test_a_node_that_does_not_answer_within_the_boot_is_named_by_its_origin(
    devchain: RunningDevchain, redis_url: str
) -> None:
    devchain.go_down()
    address = f"{devchain.ws_url}/v3/canary?key=canary"
    with running_ingestor(CHAIN, address, redis_url, limits=Limits(boot_seconds=0.3), wait=False) as ingestor:
        ingestor.join()
    assert isinstance(ingestor.error, CouldNotBoot)
    assert str(ingestor.error).startswith(f"chain {CHAIN}: {devchain.ws_url}: ")
    assert "\n" not in str(ingestor.error)
    assert "canary" not in str(ingestor.error)


def test_a_silent_node_does_not_hold_the_boot_longer_than_it_may_take(
    devchain: RunningDevchain, redis_url: str
) -> None:
    devchain.set_fault("silence")
    limits = Limits(boot_seconds=0.3, connect_seconds=0.1, request_seconds=60)
    with running_ingestor(CHAIN, devchain.http_url, redis_url, limits=limits, wait=False) as ingestor:
        ingestor.join()
    assert isinstance(ingestor.error, CouldNotBoot)
    assert f"chain {CHAIN}" in str(ingestor.error)
    devchain.clear_faults()


def test_a_node_that_comes_up_during_the_boot_is_used(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.go_down()
    with running_ingestor(
        CHAIN, devchain.ws_url, redis_url, limits=Limits(boot_seconds=10), wait=False
    ) as ingestor:
        devchain.come_up()
        ingestor.wait_until_up()
        devchain.mine(1)
        published.wait_for(devchain)


def test_a_redis_that_is_away_stalls_it_and_loses_nothing(
    devchain: RunningDevchain, redis_server: RedisServer, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url) as ingestor:
        devchain.mine(2)
        published.wait_for(devchain)
        redis_server.kill()
        devchain.mine(2)
        eventually(lambda: ingestor.stalled, what="the ingestor saying that it is stalled")
        assert "Redis" in ingestor.slot.reason
        redis_server.start()
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up again")
    assert canonical_part(published, devchain) == canonical(devchain)


def test_a_full_redis_holds_it_back_until_there_is_room(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        published.client.config_set("maxmemory-policy", "noeviction")
        published.client.config_set("maxmemory", "1")
        devchain.mine(2)
        eventually(lambda: ingestor.stalled, what="the ingestor saying that it is stalled")
        assert published.events() == []
        published.client.config_set("maxmemory", "0")
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_two_ingestors_of_one_chain_publish_every_log_once(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with (
        running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1),
        running_ingestor(CHAIN, devchain.http_url, redis_url, from_block=1),
    ):
        for _ in range(20):
            devchain.mine(3)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_a_flushed_redis_gets_the_checkpoint_again(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        devchain.mine(3)
        published.wait_for(devchain)
        published.client.flushall()
        devchain.mine(2)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain, above=3)


def test_a_checkpoint_that_was_rolled_back_is_gone_back_to(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        devchain.mine(2)
        published.wait_for(devchain)
        before = published.client.get(keys.checkpoint(CHAIN))
        assert before is not None
        devchain.mine(2)
        published.wait_for(devchain)
        published.client.set(keys.checkpoint(CHAIN), before)
        published.client.xtrim(keys.events(CHAIN), maxlen=0)
        devchain.mine(1)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain, above=2)


def test_the_slot_shows_what_it_has_done(devchain: RunningDevchain, redis_url: str, published: Published) -> None:
    devchain.mine(2)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1) as ingestor:
        devchain.mine(2)
        published.wait_for(devchain)
        eventually(lambda: ingestor.slot.counter(gauges.CHECKPOINT) == 4, what="the counters being written")
        shown = ingestor.slot.counter
        assert (shown(gauges.CHAIN_ID), shown(gauges.HEAD)) == (CHAIN, 4)
        assert shown(gauges.EVENTS_PUBLISHED) == 4 * EVENTS
        assert shown(gauges.BLOCK_TIMESTAMP) == devchain.head().header.timestamp
        assert 0 < shown(gauges.RPC_REQUESTS) < 50
        assert ingestor.slot.seconds_late() < 0
