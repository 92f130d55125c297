"""Reorgs: what is orphaned is taken back, once, newest first, before the new branch."""

import asyncio
import signal

import orjson
import pytest

from hookfarm import event_stream
from hookfarm.delivery_queue import operational
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.devchain.transaction import Log
from hookfarm.event_ingestor import telemetry
from hookfarm.records import Subscription
from hookfarm.store import keys
from hookfarm.store.clients import async_client
from tests.integration.event_ingestor.test_process import forked
from tests.support.delivery import add_endpoint
from tests.support.ingestor import CHAIN, EVENTS, TRANSPORTS, Published, canonical, running_ingestor, url_of
from tests.support.waiting import eventually

SOME_LOGS = [Log(b"\x0a" * 20, (b"\x0b" * 32,), b"\x0c"), Log(b"\x0d" * 20, (), b"")]


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
    assert published.events() == canonical(devchain)
    assert published.removed() == depth * EVENTS


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_branch_no_longer_than_the_old_one_is_followed_before_its_next_block(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str
) -> None:
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url, from_block=1):
        devchain.mine(10)
        published.wait_for(devchain)
        devchain.reorg(4, logs=[SOME_LOGS] * 4)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


@pytest.mark.parametrize("shown", ["none", "block_1", "latest", "pruned"])
@pytest.mark.parametrize("depth", [65, 66, 68])
def test_a_reorg_almost_down_to_block_0_is_followed_without_it(
    redis_url: str, published: Published, depth: int, shown: str
) -> None:
    with running_devchain(chain_id=CHAIN, logs_per_block=EVENTS, finalized_distance=100) as devchain:
        if shown != "none":
            devchain.set_fault("no_block_0", shown=shown)
        devchain.mine(70)
        with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
            published.wait_for(devchain)
            devchain.reorg(depth, length=depth + 1)
            published.wait_for(devchain)
        assert published.events() == canonical(devchain)
        assert published.removed() == depth * EVENTS


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
    assert published.events() == canonical(devchain)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_chain_that_returns_to_the_branch_it_left_emits_its_events_again(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str
) -> None:
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url, from_block=1):
        devchain.mine(10)
        published.wait_for(devchain)
        left = devchain.head().hash
        for _ in range(2):
            other = devchain.reorg(3, length=4).added[-1].hash
            published.wait_for(devchain)
            devchain.switch_to(left)
            published.wait_for(devchain)
            devchain.switch_to(other)
            published.wait_for(devchain)
            left = other
    assert published.events() == canonical(devchain)
    assert published.removed() == 2 * (3 + 4 + 3) * EVENTS


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("method", ["eth_getLogs", "eth_getBlockByNumber"])
def test_reorgs_during_a_catch_up_end_on_the_canonical_branch(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str, back: bool, method: str
) -> None:
    url = url_of(devchain, transport)
    with running_ingestor(CHAIN, url, redis_url, from_block=1):
        devchain.mine(5)
        published.wait_for(devchain)
    devchain.mine(300)
    with running_ingestor(CHAIN, url, redis_url):
        for depth in (250, 40, 3, 1):
            devchain.set_fault("reorg_on_call", 1, method=method, depth=depth, more=1)
        if back:
            devchain.set_fault("return_on_call", 2, method=method)
        devchain.mine(1)
        eventually(lambda: devchain.stats()["faults"] == [], what="the reorgs having happened")
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_a_withdrawal_cut_short_by_a_crash_is_finished_by_the_next_life(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
        devchain.mine(20)
        published.wait_for(devchain)
    devchain.reorg(10, length=12)

    async def one_step() -> None:
        async with async_client(redis_url) as client:
            [entries] = await event_stream.removal_entries(client, CHAIN, [20])
            newest, below = await event_stream.read_remembered(client, CHAIN, [20, 19])
            assert newest
            assert below
            assert await event_stream.rollback(client, CHAIN, newest.point, below.point, entries or [])

    asyncio.run(one_step())
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)
    assert published.removed() == 10 * EVENTS


def test_a_reorg_with_thousands_of_events_is_taken_back_in_steps(redis_url: str, published: Published) -> None:
    with running_devchain(chain_id=CHAIN, logs_per_block=700) as devchain:
        with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
            devchain.mine(8)
            published.wait_for(devchain)
            devchain.reorg(8, length=9)
            published.wait_for(devchain)
        assert published.events() == canonical(devchain)
        assert published.removed() == 8 * 700


@pytest.mark.parametrize("has_finality", [True, False])
@pytest.mark.parametrize("depth", [300, 1000])
def test_a_deep_reorg_is_followed_exactly(
    devchain: RunningDevchain, redis_url: str, published: Published, depth: int, has_finality: bool
) -> None:
    """Without finality from the kept events; with it, those of final blocks are known from the stream."""
    if not has_finality:
        devchain.set_fault("unsupported_tags")
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1) as ingestor:
        devchain.mine(depth + 20)
        published.wait_for(devchain)
        devchain.mine(1)
        published.wait_for(devchain)
        devchain.reorg(depth, length=depth + 1)
        published.wait_for(devchain)
        assert ingestor.slot.counter(telemetry.DEEP_REORGS) == 0
        assert ingestor.slot.counter(telemetry.EVENTS_NOT_WITHDRAWN) == 0
    assert published.events() == canonical(devchain)
    assert published.removed() == depth * EVENTS


def test_a_deep_reorg_survives_kills_of_the_ingestor(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with forked(devchain.ws_url, redis_url) as ingestor:
        ingestor.wait_until_up()
        devchain.mine(600)
        published.wait_for(devchain)
        devchain.reorg(590, length=591)
        await_rollback(published, below=600)
        ingestor.signal(signal.SIGKILL)
        assert ingestor.exit_code() == -signal.SIGKILL
    reached = published.checkpoint()
    assert reached is not None
    with forked(devchain.ws_url, redis_url) as ingestor:
        await_rollback(published, below=reached.number + 1)
        ingestor.signal(signal.SIGKILL)
        ingestor.exit_code()
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)
    assert published.removed() >= 590 * EVENTS, "the new branch may be withdrawn in part and published again"


def await_rollback(published: Published, below: int) -> None:
    def is_below() -> bool:
        checkpoint = published.checkpoint()
        return checkpoint is not None and checkpoint.number < below

    eventually(is_below, what=f"the checkpoint being below {below}")


def test_a_reorg_deeper_than_the_remembered_blocks_goes_back_to_an_anchor(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    """Events of forgotten blocks are withdrawn if they were replaced; all others are published again."""
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1, reorg_window=0.0) as ingestor:
        devchain.mine(400)
        published.wait_for(devchain)
        devchain.mine(200)
        published.wait_for(devchain)
        devchain.reorg(310, length=311)
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up")
        eventually(lambda: ingestor.slot.counter(telemetry.DEEP_REORGS) == 1, what="the reorg being counted")
        assert ingestor.slot.counter(telemetry.EVENTS_NOT_WITHDRAWN) == 0
    known: dict[tuple[str, int], int] = {}
    for entry in published.entries():
        identity = (entry["block_hash"], entry["log_index"])
        known[identity] = 0 if entry["removed"] else known.get(identity, 0) + 1
    present = {identity for identity, times in known.items() if times}
    events = canonical(devchain)
    assert present == {(event["block_hash"], event["log_index"]) for event in events}
    again = {event["block_number"] for event in events if known[event["block_hash"], event["log_index"]] > 1}
    assert again == set(range(257, 291)), "between the anchor and the fork point"
    assert published.removed() == 310 * EVENTS


def test_events_whose_jobs_and_histories_are_gone_are_told_as_not_withdrawn(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    operator = Subscription("sub_op", 0, kind="operational", events=("hookfarm.chain.reorg_incomplete",))
    with published.client as client:
        operator_endpoint = add_endpoint(client, "http://127.0.0.1:9/", subscriptions=(operator,))
        receiver = add_endpoint(client, "http://127.0.0.1:9/")
        with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1, reorg_bytes=0) as ingestor:
            devchain.mine(400)
            published.wait_for(devchain)
            orphaned = canonical(devchain)[(20 - 1) * EVENTS]
            client.xtrim(keys.events(CHAIN), maxlen=0, approximate=False)
            history = f"1-1 + 0 {receiver.id}:sub_1"
            name = f"{keys.HISTORY}{CHAIN}:{orphaned['block_hash']}"
            client.hset(name, orphaned["log_index"], history)
            client.hset(name, orphaned["log_index"] + 1, "1-1 + 0 ep_removed:sub_1")
            devchain.reorg(390, length=391)
            published.wait_for(devchain)
            assert ingestor.slot.counter(telemetry.EVENTS_NOT_WITHDRAWN) == 1
        [event] = client.lrange(keys.OPERATIONAL_EVENTS, 0, -1)
        lost = {"from_block": 20, "to_block": 20, "block_hash": orphaned["block_hash"], "events": 1}
        assert {**orjson.loads(event), "at": ""} == {
            "type": "hookfarm.chain.reorg_incomplete",
            "at": "",
            "chain_id": CHAIN,
            "fork_point": 10,
            "events_not_withdrawn": 1,
            "blocks": [lost],
        }
        assert operational.deliver_events(client) == 1
        [job] = [orjson.loads(stored) for stored in client.hvals(keys.JOBS)]
        assert (job["endpoint"], job["payload"]["data"]["blocks"]) == (operator_endpoint.id, [lost])
    assert published.removed() == 256 * EVENTS, "the events that were kept"


def test_a_reorg_of_the_very_first_block_seen_is_followed(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.mine(5)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        devchain.reorg(3, length=4)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain, above=4)
