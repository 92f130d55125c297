"""Chains whose blocks do not fit the usual proof: nothing lost, nothing stalled, and what is weaker is said."""

from typing import Any

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.devchain.transaction import Call, Log, account, call_of_logs, native_transfer
from hookfarm.event_ingestor.telemetry import report
from hookfarm.event_stream import KEPT_BLOCKS
from hookfarm.records import parse_endpoint
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from hookfarm.store.scripts import ANCHOR_BLOCKS
from tests.support.ingestor import CHAIN, EVENTS, TRANSPORTS, Published, canonical, running_ingestor, url_of
from tests.support.transfers import canonical_transfers
from tests.support.waiting import eventually

RECEIPTS = "eth_getBlockReceipts"


def test_an_announced_bloom_of_zeros_hides_no_logs_while_the_index_of_the_node_lags(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.set_fault("announced_heads", shown="zero_bloom")
    devchain.set_fault("omitted_logs", logs=EVENTS)
    devchain.set_fault("error", method=RECEIPTS, message="the method does not exist")
    devchain.set_fault("nulls", method="eth_getTransactionReceipt")
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1) as ingestor:
        devchain.mine(5)
        eventually(lambda: ingestor.stalled, what="the block being doubted")
        assert published.entries() == []
        devchain.clear_faults("omitted_logs")
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain)


@pytest.mark.parametrize("shown", ["zero_bloom", "other_hash", "zero_parent"])
def test_of_an_announced_head_only_the_number_is_trusted(
    devchain: RunningDevchain, redis_url: str, published: Published, shown: str
) -> None:
    devchain.set_fault("announced_heads", shown=shown)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        for _ in range(5):
            devchain.mine(1)
            published.wait_for(devchain)
        devchain.reorg(2, length=3)
        published.wait_for(devchain)
        [chain] = report([ingestor.slot])["chains"]
        assert chain["nodes"][0]["last_error"] == ""
    assert published.events() == canonical(devchain)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("shown", ["ones", "some"])
def test_a_chain_whose_bloom_never_changes_is_followed(
    devchain: RunningDevchain,
    redis_url: str,
    published: Published,
    caplog: pytest.LogCaptureFixture,
    transport: str,
    shown: str,
) -> None:
    devchain.set_fault("constant_blooms", shown=shown)
    devchain.mine(100)
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url, from_block=1) as ingestor:
        published.wait_for(devchain)
        asked = devchain.stats()["methods"][RECEIPTS]
        assert report([ingestor.slot])["chains"][0]["verify"] == "bloom"
        eventually(lambda: report([ingestor.slot])["chains"][0]["blooms"] == "constant", what="it being shown")
        devchain.mine(5)
        published.wait_for(devchain)
        assert devchain.stats()["methods"][RECEIPTS] == asked <= 4, "once for each piece that is read at once"
    assert published.entries() == canonical(devchain)
    assert sum(record.message == "constant bloom" for record in caplog.records) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_logs_that_the_bloom_omits_are_published_counted_and_said_once(
    devchain: RunningDevchain,
    redis_url: str,
    published: Published,
    caplog: pytest.LogCaptureFixture,
    transport: str,
) -> None:
    devchain.set_fault("blooms_without_system_logs")
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url, from_block=1) as ingestor:
        devchain.mine(60)
        published.wait_for(devchain)
        eventually(lambda: report([ingestor.slot])["chains"][0]["blocks_beyond_bloom"] == 60, what="all counted")
        [chain] = report([ingestor.slot])["chains"]
        assert chain["blocks_repaired"] == 0
    assert published.entries() == canonical(devchain)
    assert sum(record.message == "logs beyond the bloom" for record in caplog.records) == 1


def test_a_thousand_logs_without_bloom_and_block_receipts_do_not_stall(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.set_fault("hidden_blooms")
    devchain.set_fault("error", method=RECEIPTS, code=-32601, message="the method does not exist")
    logs = [Log(i.to_bytes(20, "big"), (), b"") for i in range(1_000)]
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        devchain.mine_logs(logs, per_transaction=20)
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain)


@pytest.mark.parametrize("receipts", ["of blocks", "one by one"])
def test_a_node_that_refuses_all_logs_is_asked_for_receipts(
    devchain: RunningDevchain, redis_url: str, published: Published, receipts: str
) -> None:
    devchain.set_fault("error", method="eth_getLogs", code=-32005, message="limit exceeded")
    if receipts == "one by one":
        devchain.set_fault("error", method=RECEIPTS, code=-32601, message="the method does not exist")
    devchain.mine(100)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
        devchain.mine(2)
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain)


def subscribe_to_transfers(published: Published) -> None:
    raw = {"url": "https://example.com/", "subscriptions": [{"chain_id": CHAIN, "kind": "transfer"}]}
    Registry(published.client).add(parse_endpoint(raw, str))


def calls(number: int) -> list[Call]:
    """Native transfers, one without a value, and as the last one a transaction of the system with two logs."""
    logs = [Log(number.to_bytes(20, "big"), (), b"1"), Log(number.to_bytes(20, "big"), (), b"2")]
    natives = [native_transfer(account(1), account(2), value) for value in (5, 0, 7)]
    return [*natives, call_of_logs(logs, account(3))]


def without_hashes(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**event, "transaction_hash": None} for event in events]


@pytest.mark.parametrize("shown", ["listed", "unlisted"])
@pytest.mark.parametrize("transfers", [True, False])
def test_system_transactions_without_receipts_stall_neither_transfers_nor_logs(
    redis_url: str, published: Published, shown: str, transfers: bool
) -> None:
    if transfers:
        subscribe_to_transfers(published)
    with running_devchain(chain_id=CHAIN) as devchain:
        devchain.set_fault("system_transactions", shown=shown)
        with running_ingestor(CHAIN, devchain.ws_url, redis_url):
            for number in range(1, 4):
                devchain.mine_calls(calls(number))
            published.wait_for(devchain)
        events = published.events()
        assert [each for each in events if "kind" in each] == (canonical_transfers(devchain) if transfers else [])
        logs = [each for each in events if "kind" not in each]
        assert without_hashes(logs) == without_hashes(canonical(devchain))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("transfers", [True, False])
def test_null_rounds_are_passed_over_in_reorgs_and_catch_ups_too(
    redis_url: str, published: Published, transport: str, transfers: bool
) -> None:
    if transfers:
        subscribe_to_transfers(published)
    with running_devchain(
        chain_id=CHAIN, logs_per_block=EVENTS, null_round_every=3, transfers_per_block=1
    ) as devchain:
        devchain.set_fault("constant_blooms")
        devchain.mine(60)
        url = url_of(devchain, transport)
        for from_block in (1, None):
            with running_ingestor(CHAIN, url, redis_url, from_block=from_block):
                for depth, more in ((1, 0), (3, 1), (2, 2), (12, 1)):
                    devchain.mine(2)
                    published.wait_for(devchain)
                    devchain.reorg(depth, length=depth + more)
                    published.wait_for(devchain)
            devchain.mine(60)
        with running_ingestor(CHAIN, url, redis_url):
            published.wait_for(devchain)
        events = published.events()
        assert [each for each in events if "kind" not in each] == canonical(devchain)
        assert [each for each in events if "kind" in each] == (canonical_transfers(devchain) if transfers else [])


def test_a_reorg_over_null_rounds_in_several_steps_takes_back_every_event(
    redis_url: str, published: Published
) -> None:
    with running_devchain(chain_id=CHAIN, logs_per_block=1, null_round_every=2) as devchain:
        devchain.set_fault("constant_blooms")
        with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
            devchain.mine(110)
            published.wait_for(devchain)
            devchain.reorg(90, length=91)
            published.wait_for(devchain)
        assert published.events() == canonical(devchain)
        assert published.removed() == 90


def test_rows_of_blocks_before_null_rounds_are_forgotten(redis_url: str, published: Published) -> None:
    with running_devchain(chain_id=CHAIN, logs_per_block=1, null_round_every=2) as devchain:
        with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1, reorg_window=0.0):
            for _ in range(4):
                devchain.mine(50)
                published.wait_for(devchain)
        numbers = [int(name) for name in published.client.hkeys(keys.blocks(CHAIN)) if name.isdigit()]
        forgotten = [number for number in numbers if number <= devchain.head().number - KEPT_BLOCKS]
        assert all(number % ANCHOR_BLOCKS == 0 for number in forgotten)
