"""The ingestor between a devchain and a real Redis: every log once and in order."""

from typing import Any

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.devchain.transaction import Log
from hookfarm.event_ingestor import telemetry
from hookfarm.event_ingestor.telemetry import report
from hookfarm.event_stream import Checkpoint
from tests.support.ingestor import CHAIN, EVENTS, TRANSPORTS, Published, canonical, running_ingestor, url_of
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


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
        eventually(lambda: ingestor.slot.counter(telemetry.HEAD) == 3, what="the head being seen")
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


def test_the_slot_shows_what_it_has_done(devchain: RunningDevchain, redis_url: str, published: Published) -> None:
    devchain.mine(2)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1) as ingestor:
        devchain.mine(2)
        published.wait_for(devchain)
        eventually(lambda: ingestor.slot.counter(telemetry.CHECKPOINT) == 4, what="the counters being written")
        shown = ingestor.slot.counter
        assert (shown(telemetry.CHAIN_ID), shown(telemetry.HEAD)) == (CHAIN, 4)
        assert shown(telemetry.EVENTS_PUBLISHED) == 4 * EVENTS
        assert shown(telemetry.BLOCK_TIMESTAMP) == devchain.head().header.timestamp
        assert 0 < shown(telemetry.RPC_REQUESTS) < 50
        assert ingestor.slot.seconds_late() < 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_at_the_tip_a_block_costs_at_most_three_requests(
    redis_url: str, published: Published, transport: str
) -> None:
    with (
        running_devchain(chain_id=CHAIN, logs_per_block=EVENTS, block_time=0.5) as devchain,
        running_ingestor(CHAIN, url_of(devchain, transport), redis_url) as ingestor,
    ):
        eventually(lambda: ingestor.slot.counter(telemetry.CHECKPOINT) >= 10, what="ten blocks")
        asked = ingestor.slot.counter(telemetry.REQUESTS_PER_BLOCK)
    assert 100 <= asked <= (150 if transport == "ws" else 300)


def test_safe_and_finalized_blocks_are_told_with_the_checkpoint(redis_url: str, published: Published) -> None:
    with (
        running_devchain(chain_id=CHAIN, safe_distance=2, finalized_distance=5) as devchain,
        running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1),
    ):
        devchain.mine(20)
        published.wait_for(devchain)
        devchain.mine(1)
        told = {"latest": 21, "safe": 19, "finalized": 16}
        eventually(lambda: published.heads() == told, what="the heads being told")
        devchain.reorg(3, length=4)
        later = {"latest": 22, "safe": 20, "finalized": 17}
        eventually(lambda: published.heads() == later, what="the heads after the reorg being told")


def test_safe_and_finalized_blocks_move_while_the_chain_is_caught_up_with(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.mine(600)
    devchain.set_fault("refused_ranges", blocks=8)
    devchain.set_fault("latency", method="eth_getLogs", milliseconds=400)

    def told_on_the_way() -> bool:
        heads = published.heads()
        assert heads.get("latest", 0) < 500, f"nearly there, and told {heads}"
        return {"safe", "finalized"} <= heads.keys()

    with running_ingestor(CHAIN, devchain.http_url, redis_url, from_block=1):
        eventually(told_on_the_way, what="the tagged heads being told")
        heads = published.heads()
        assert heads["finalized"] <= heads["safe"] <= heads["latest"]
        devchain.clear_faults()
        published.wait_for(devchain)
        expected = {"latest": 600, "safe": 568, "finalized": 536}
        eventually(lambda: published.heads() == expected, what="the tagged heads at the tip")


def test_a_chain_without_safe_and_finalized_blocks_tells_none_and_goes_on(
    devchain: RunningDevchain, redis_url: str, published: Published, caplog: pytest.LogCaptureFixture
) -> None:
    devchain.set_fault("unsupported_tags")
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        for number in range(1, 8):
            devchain.mine(1)
            eventually(lambda at=number: published.heads()["latest"] == at, what="the head being told")  # type: ignore[misc]
        none = {"latest": 7, "no_safe": 1, "no_finalized": 1}
        eventually(lambda: published.heads() == none, what="it being told that there are none")
    said = [record for record in caplog.records if record.message == "tag not supported"]
    assert len(said) == 2, "once for each tag"


def test_a_tag_that_never_has_a_block_on_a_known_chain_is_given_up_at_once(
    redis_server: RedisServer, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    polygon = 137
    published = Published(redis_server, polygon)
    with running_devchain(chain_id=polygon) as devchain:
        devchain.set_fault("unsupported_tags", shown="null")
        with running_ingestor(polygon, devchain.ws_url, redis_url):
            devchain.mine(1)
            none = {"latest": 1, "no_safe": 1}
            eventually(lambda: published.heads() == none, what="no safe block, while finalized may still come")
    [said] = [record for record in caplog.records if record.message == "tag not supported"]
    assert vars(said)["fields"]["confirmations"] == 32


NOT_FOUND = {"code": -39001, "message": "finalized block not found"}


@pytest.mark.parametrize("answer", [{"shown": "null"}, NOT_FOUND], ids=["null", "not found"])
def test_tags_that_have_no_block_while_the_head_advances_are_given_up_until_they_have_one(
    devchain: RunningDevchain,
    redis_url: str,
    published: Published,
    caplog: pytest.LogCaptureFixture,
    answer: dict[str, Any],
) -> None:
    devchain.set_fault("unsupported_tags", **answer)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        devchain.mine(200)
        published.wait_for(devchain)
        assert published.heads() == {"latest": 200}
        devchain.mine(57)
        none = {"latest": 257, "no_safe": 1, "no_finalized": 1}
        eventually(lambda: published.heads() == none, what="it being told that there are none")
    said = [record for record in caplog.records if record.message == "tag not supported"]
    assert len(said) == 2, "once for each tag"
    devchain.clear_faults()
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        devchain.mine(1)
        some = {"latest": 258, "safe": 226, "finalized": 194}
        eventually(lambda: published.heads() == some, what="the blocks that there are now")


def test_catching_up_is_shown_until_it_is_over(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
        pass
    devchain.mine(500)
    devchain.set_fault("refused_ranges", blocks=5)
    devchain.set_fault("latency", method="eth_getLogs", milliseconds=20)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        shown = eventually(lambda: report([ingestor.slot])["chains"][0]["catch_up"], what="it being shown")
        assert set(shown or ()) == {"blocks_per_second", "remaining_ms"}
        devchain.clear_faults()
        published.wait_for(devchain)
        eventually(lambda: report([ingestor.slot])["chains"][0]["catch_up"] is None, what="it being over")
