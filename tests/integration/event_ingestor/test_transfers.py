"""Transfers of a local chain on their way into the stream: when somebody wants them, all of them, and no other."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.devchain.transaction import account, native_transfer
from hookfarm.event_ingestor import telemetry
from hookfarm.records import parse_chain_event, parse_endpoint
from hookfarm.registry.store import Registry
from tests.support.ingestor import CHAIN, TRANSPORTS, Published, canonical, running_ingestor, url_of
from tests.support.redis_server import RedisServer
from tests.support.transfers import canonical_transfers
from tests.support.waiting import eventually

WANTED = {"chain_id": CHAIN, "kind": "transfer"}
RECEIPTS = "eth_getBlockReceipts"


@pytest.fixture
def devchain() -> Iterator[RunningDevchain]:
    with running_devchain(chain_id=CHAIN, logs_per_block=2, transfers_per_block=4) as devchain:
        yield devchain


@pytest.fixture
def registry(published: Published) -> Registry:
    return Registry(published.client)


def subscribe(registry: Registry, *subscriptions: dict[str, Any]) -> str:
    raw = {"url": "https://example.com/", "subscriptions": list(subscriptions or [WANTED])}
    return registry.add(parse_endpoint(raw, str)).id


def transfers(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for entry in entries if "kind" in entry]


def logs(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for entry in entries if "kind" not in entry]


def assert_whole(published: Published, devchain: RunningDevchain, above: int = 0) -> None:
    """Every log, and every transfer of the blocks above, stand in the stream as they stand on the chain."""
    standing = published.events()
    assert transfers(standing) == canonical_transfers(devchain, above)
    assert logs(standing) == canonical(devchain)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_transfer_is_published_once_before_the_logs_of_its_block(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain, transport: str
) -> None:
    subscribe(registry)
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_server.url):
        for _ in range(12):
            devchain.mine(1)
            published.wait_for(devchain)
    assert_whole(published, devchain)
    entries = published.entries()
    assert 0 < len(transfers(entries)) < 48, "some fail"
    assert all(parse_chain_event(entry) == entry for entry in transfers(entries))
    for _, of_block in groupby(entries, key=lambda entry: entry["block_number"]):
        kinds = ["kind" in entry for entry in of_block]
        assert kinds == sorted(kinds, reverse=True)


def test_failures_and_creations_are_told_apart(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain
) -> None:
    subscribe(registry)
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url):
        calls = [native_transfer(account(1), account(2), 5, fails=True), native_transfer(account(1), b"", 2**255)]
        devchain.mine_calls([*calls, native_transfer(account(1), account(2), 0)])
        published.wait_for(devchain)
    [created] = published.entries()
    [truth] = devchain.canonical_transfers()
    assert (created["transaction_index"], created["value"]) == (1, str(2**255))
    assert created["to"] == truth["to"] != "0x" + account(2).hex()


def test_who_wants_no_transfers_pays_for_none(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain
) -> None:
    subscribe(registry, {"chain_id": CHAIN}, {"chain_id": CHAIN + 1, "kind": "transfer"})
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url):
        devchain.mine(3)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)
    assert devchain.stats()["methods"].get(RECEIPTS, 0) == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_at_the_tip_a_block_takes_three_requests_at_most(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain, transport: str
) -> None:
    subscribe(registry)
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_server.url) as ingestor:
        devchain.mine(1)
        published.wait_for(devchain)
        before, counted = devchain.stats()["methods"], ingestor.slot.counter(telemetry.RPC_REQUESTS)
        for _ in range(10):
            devchain.mine(1)
            published.wait_for(devchain)
        after, requests = devchain.stats()["methods"], ingestor.slot.counter(telemetry.RPC_REQUESTS) - counted
    assert after[RECEIPTS] - before[RECEIPTS] == 10
    assert after.get("eth_getLogs", 0) == before.get("eth_getLogs", 0)
    if transport == "ws":
        assert requests <= 30


def test_a_subscription_made_while_running_holds_from_the_next_block_on(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url):
        devchain.mine(3)
        published.wait_for(devchain)
        subscribe(registry)
        devchain.mine(3)
        published.wait_for(devchain)
        assert_whole(published, devchain, above=3)
        assert canonical_transfers(devchain, above=3)


def test_nothing_is_fetched_any_more_once_the_last_subscription_is_gone(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain
) -> None:
    first, second = subscribe(registry), subscribe(registry)
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url):
        devchain.mine(1)
        published.wait_for(devchain)
        registry.remove(first)
        devchain.mine(1)
        published.wait_for(devchain)
        assert_whole(published, devchain)
        registry.disable(second, "no longer wanted")
        devchain.mine(1)
        published.wait_for(devchain)
        asked = devchain.stats()["methods"][RECEIPTS]
        devchain.mine(3)
        published.wait_for(devchain)
        assert devchain.stats()["methods"][RECEIPTS] == asked
        assert transfers([e for e in published.entries() if e["block_number"] > 3]) == []
        registry.edit(second, lambda endpoint: parse_endpoint({"enabled": True}, str, endpoint))
        devchain.mine(2)
        published.wait_for(devchain)
        again = [entry for entry in published.events() if entry["block_number"] > 6]
        assert transfers(again) == canonical_transfers(devchain, above=6) != []


def test_a_restarted_ingestor_knows_that_transfers_are_wanted(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain
) -> None:
    subscribe(registry)
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url):
        devchain.mine(2)
        published.wait_for(devchain)
    devchain.mine(3)
    before = devchain.stats()["methods"].get("eth_getLogs", 0)
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url):
        published.wait_for(devchain)
    assert_whole(published, devchain)
    assert devchain.stats()["methods"].get("eth_getLogs", 0) == before


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_catching_up_over_ranges_has_every_transfer(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain, transport: str
) -> None:
    subscribe(registry)
    devchain.mine(120)
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_server.url, from_block=1):
        published.wait_for(devchain)
    assert_whole(published, devchain)


def test_what_was_fetched_before_transfers_were_wanted_is_fetched_again_with_them(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url):
        devchain.mine(1)
        published.wait_for(devchain)
        devchain.set_fault("latency", method="eth_getLogs", milliseconds=500)
        asked = devchain.stats()["methods"]["eth_getLogs"]
        devchain.mine(150)
        eventually(lambda: devchain.stats()["methods"]["eth_getLogs"] > asked, what="logs being on their way")
        subscribe(registry)
        checkpoint = published.checkpoint()
        published.wait_for(devchain)
    assert checkpoint is not None
    assert logs(published.events()) == canonical(devchain)
    found = [each for each in transfers(published.events()) if each["block_number"] > checkpoint.number]
    assert found == canonical_transfers(devchain, above=checkpoint.number)


def test_a_reorg_takes_transfers_back_the_last_one_first(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain
) -> None:
    subscribe(registry)
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url):
        devchain.mine(5)
        published.wait_for(devchain)
        orphaned = [each for each in published.events() if each["block_number"] > 2]
        devchain.reorg(3)
        devchain.mine(1)
        published.wait_for(devchain)
    assert_whole(published, devchain)
    removed = [entry for entry in published.entries() if entry["removed"]]
    assert removed == [{**entry, "removed": True} for entry in reversed(orphaned)]


def test_a_reorg_takes_back_what_was_published_even_when_nobody_wants_it_any_more(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain
) -> None:
    only = subscribe(registry)
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url):
        devchain.mine(3)
        published.wait_for(devchain)
        registry.remove(only)
        devchain.mine(1)
        published.wait_for(devchain)
        devchain.reorg(4)
        devchain.mine(1)
        published.wait_for(devchain)
    assert transfers(published.events()) == []
    assert logs(published.events()) == canonical(devchain)


@pytest.mark.parametrize("fault", ["omitted_receipts", "omitted_receipt_logs"])
def test_what_the_receipts_of_a_block_leave_out_comes_by_another_call(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain, fault: str
) -> None:
    subscribe(registry)
    devchain.set_fault(fault)
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url):
        devchain.mine(3)
        published.wait_for(devchain)
    assert_whole(published, devchain)


def test_what_one_provider_leaves_out_comes_from_another(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain
) -> None:
    subscribe(registry)
    devchain.set_fault("omitted_transactions")
    with devchain.peer() as other:
        with running_ingestor(CHAIN, [devchain.ws_url, other.ws_url], redis_server.url):
            devchain.mine(3)
            published.wait_for(devchain)
        assert_whole(published, devchain)
        assert other.stats()["methods"][RECEIPTS] >= 1


def test_nothing_is_published_of_a_block_until_it_is_proven(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain
) -> None:
    subscribe(registry)
    devchain.set_fault("omitted_transactions", 3)
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url):
        devchain.mine(1)
        published.wait_for(devchain)
    assert_whole(published, devchain)
    assert devchain.stats()["methods"][RECEIPTS] >= 4


def test_a_node_without_receipts_of_whole_blocks_is_asked_for_each(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain
) -> None:
    subscribe(registry)
    devchain.set_fault("error", method=RECEIPTS, code=-32601, message="the method does not exist")
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url):
        devchain.mine(2)
        published.wait_for(devchain)
    assert_whole(published, devchain)


@pytest.mark.parametrize("verify", ["bloom", "contiguous", "receipts", "none"])
def test_transfers_come_whatever_proof_the_logs_need(
    redis_server: RedisServer, published: Published, registry: Registry, devchain: RunningDevchain, verify: str
) -> None:
    subscribe(registry)
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url, verify=verify):
        devchain.mine(3)
        published.wait_for(devchain)
    assert_whole(published, devchain)
