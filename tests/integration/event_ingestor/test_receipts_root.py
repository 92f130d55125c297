"""`verify=receipts-root`: a node that lies in all its answers, consistently, gets nothing published."""

from collections.abc import Iterator

import pytest

from hookfarm.devchain.block import FORGERIES
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.event_ingestor import telemetry
from hookfarm.records import parse_endpoint
from hookfarm.registry.store import Registry
from tests.support.ingestor import CHAIN, EVENTS, TRANSPORTS, Published, canonical, running_ingestor, url_of
from tests.support.transfers import canonical_transfers
from tests.support.waiting import eventually

ROOTS = "receipts-root"
RECEIPTS = "eth_getBlockReceipts"
OF_LOGS = [name for name in FORGERIES if name != "other_value"]
SHOWN_BY = {
    "true": "receipts do not make its receiptsRoot",
    "roots": "its fields do not make its hash",
}


@pytest.fixture
def paying() -> Iterator[RunningDevchain]:
    with running_devchain(chain_id=CHAIN, logs_per_block=EVENTS, transfers_per_block=4) as devchain:
        yield devchain


def subscribe_to_transfers(published: Published) -> None:
    raw = {"url": "https://example.com/", "subscriptions": [{"chain_id": CHAIN, "kind": "transfer"}]}
    Registry(published.client).add(parse_endpoint(raw, str))


def assert_whole(published: Published, devchain: RunningDevchain) -> None:
    events = published.events()
    assert [each for each in events if "kind" in each] == canonical_transfers(devchain)
    assert [each for each in events if "kind" not in each] == canonical(devchain)


@pytest.mark.parametrize("forgery", ["omitted_log", "other_data", "swapped_data"])
def test_a_bloom_does_not_show_these_forgeries(
    devchain: RunningDevchain, redis_url: str, published: Published, forgery: str
) -> None:
    devchain.set_fault("forged_blocks", forgery=forgery)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1, verify="receipts"):
        devchain.mine(3)
        published.wait_for(devchain)
    assert published.entries() != canonical(devchain)


@pytest.mark.parametrize("header", SHOWN_BY)
@pytest.mark.parametrize("forgery", OF_LOGS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nothing_of_a_forged_block_is_published_and_the_reason_is_said(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str, forgery: str, header: str
) -> None:
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url, from_block=1, verify=ROOTS) as ingestor:
        devchain.mine(2)
        published.wait_for(devchain)
        devchain.set_fault("forged_blocks", forgery=forgery, header=header)
        devchain.mine(2)
        eventually(lambda: ingestor.stalled, what="the block being refused")
        assert "block 3: " in ingestor.slot.reason
        assert ingestor.slot.reason.endswith(SHOWN_BY[header])
        assert published.entries() == [each for each in canonical(devchain) if each["block_number"] < 3]
        devchain.clear_faults()
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up again")
    assert published.entries() == canonical(devchain)


@pytest.mark.parametrize("header", SHOWN_BY)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_the_next_node_is_asked(
    paying: RunningDevchain, published: Published, redis_url: str, forgery: str, header: str
) -> None:
    subscribe_to_transfers(published)
    with paying.peer() as liar:
        urls = [liar.ws_url, paying.ws_url]
        with running_ingestor(CHAIN, urls, redis_url, from_block=1, verify=ROOTS):
            paying.mine(2)
            published.wait_for(paying)
            liar.set_fault("forged_blocks", forgery=forgery, header=header)
            for _ in range(3):
                paying.mine(1)
                published.wait_for(paying)
        assert paying.stats()["methods"][RECEIPTS] > 0
    assert_whole(published, paying)


def test_far_behind_the_tip_a_forged_block_is_not_published_either(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.mine(100)
    with devchain.peer() as liar:
        liar.set_fault("forged_blocks", forgery="other_data")
        urls = [liar.http_url, devchain.http_url]
        with running_ingestor(CHAIN, urls, redis_url, from_block=1, verify=ROOTS):
            published.wait_for(devchain)
    assert published.entries() == canonical(devchain)


@pytest.mark.parametrize("transfers", [True, False])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_reorgs_restarts_and_catch_ups_are_followed_at_one_request_for_a_block_at_the_tip(
    paying: RunningDevchain, redis_url: str, published: Published, transport: str, transfers: bool
) -> None:
    if transfers:
        subscribe_to_transfers(published)
    paying.mine(60)
    url = url_of(paying, transport)
    with running_ingestor(CHAIN, url, redis_url, from_block=1, verify=ROOTS) as ingestor:
        published.wait_for(paying)
        before = ingestor.slot.counter(telemetry.RPC_REQUESTS)
        for _ in range(10):
            paying.mine(1)
            published.wait_for(paying)
        requests = ingestor.slot.counter(telemetry.RPC_REQUESTS) - before
        paying.reorg(3, length=4)
        published.wait_for(paying)
        assert ingestor.up
    paying.mine(50)
    with running_ingestor(CHAIN, url, redis_url, verify=ROOTS):
        published.wait_for(paying)
    assert paying.stats()["methods"].get("eth_getLogs", 0) == 0
    assert [each for each in published.events() if "kind" not in each] == canonical(paying)
    assert [each for each in published.events() if "kind" in each] == (
        canonical_transfers(paying) if transfers else []
    )
    if transport == "ws":
        assert requests <= 20


def test_of_blocks_without_receipts_none_are_requested_in_a_catch_up(redis_url: str, published: Published) -> None:
    with running_devchain(chain_id=CHAIN, logs_per_block=0) as empty:
        empty.mine(100)
        with running_ingestor(CHAIN, empty.ws_url, redis_url, from_block=1, verify=ROOTS):
            published.wait_for(empty)
        assert empty.stats()["methods"].get(RECEIPTS, 0) <= 1


def test_receipts_are_requested_one_by_one_where_the_node_has_no_others(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.set_fault("error", method=RECEIPTS, code=-32601, message="the method does not exist")
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1, verify=ROOTS):
        devchain.mine(3)
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain)


def test_a_chain_with_an_unknown_header_field_is_followed_and_that_is_said_once(
    devchain: RunningDevchain, redis_url: str, published: Published, caplog: pytest.LogCaptureFixture
) -> None:
    devchain.set_fault("unknown_header_field")
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1, verify=ROOTS) as ingestor:
        devchain.mine(3)
        published.wait_for(devchain)
        devchain.set_fault("forged_blocks", forgery="other_data")
        devchain.mine(1)
        eventually(lambda: ingestor.stalled, what="the block being refused")
        devchain.clear_faults("forged_blocks")
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain)
    assert sum(record.message == "block hash not recomputed" for record in caplog.records) == 1


@pytest.mark.parametrize("header", ["bloom", "roots"])
def test_the_first_block_of_a_session_is_not_believed_either(
    devchain: RunningDevchain, redis_url: str, published: Published, header: str
) -> None:
    devchain.set_fault("forged_blocks", forgery="omitted_log", header=header)
    devchain.mine(2)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1, verify=ROOTS) as ingestor:
        eventually(lambda: ingestor.stalled, what="the block being refused")
        assert published.entries() == []
        devchain.clear_faults()
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain)
