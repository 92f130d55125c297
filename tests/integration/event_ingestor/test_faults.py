"""Nodes with faults: nothing missed, nothing invented, and the reason said while it lasts."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.devchain.rpc_errors import PROVIDER_ERRORS
from hookfarm.devchain.transaction import Log
from hookfarm.event_ingestor import telemetry
from tests.support.ingestor import (
    CHAIN,
    EVENTS,
    QUICK,
    TRANSPORTS,
    Published,
    canonical,
    running_ingestor,
    url_of,
)
from tests.support.waiting import eventually

Fault = Callable[[RunningDevchain], None]


def fault(kind: str, count: int | None = None, **parameters: str | int | None) -> Fault:
    return lambda devchain: devchain.set_fault(kind, count, **parameters)


def errors(devchain: RunningDevchain) -> None:
    for method in ("eth_getLogs", "eth_getBlockByNumber"):
        devchain.set_fault("error", count=3, method=method)


AT_THE_TIP: dict[str, Fault] = {
    "errors": errors,
    "null blocks": fault("nulls", 3),
    "null logs": fault("nulls", 3, method="eth_getLogs"),
    "all logs left out": fault("omitted_logs", 3, logs=EVENTS),
    "the last log left out": fault("omitted_logs", 3, logs=1),
    "the first log left out": fault("omitted_logs", 3, logs=1, where="first"),
    "heads dropped": fault("dropped_heads", 4),
    "heads announced twice": fault("duplicated_heads"),
    "heads out of order": fault("swapped_heads", 3),
    "a lag": fault("lag", 5, blocks=2),
    "a lagging node behind a balancer": fault("lag", 10, blocks=2, one_in=2),
    "connections cut": fault("cut", 3),
    "answers broken off": fault("half_frame", 3),
    "slow answers": fault("latency", 5, method="eth_getLogs", milliseconds=50),
    "batches refused": fault("refused_batches", 50),
    "no tags": fault("unsupported_tags"),
    "too many requests": fault("http_status", 2, status=429, retry_after=0),
    "a rate limit in JSON": fault("error", 2, method="eth_getLogs", code=429, message="Too Many Requests"),
    "bare logs": fault("bare_logs"),
    "timestamps of zero in logs": fault("bare_logs", shown="zero"),
}

FAR_BEHIND: dict[str, Fault] = {
    **{f"ranges refused by {name}": fault("refused_ranges", blocks=7, provider=name) for name in PROVIDER_ERRORS},
    **{f"results refused by {name}": fault("refused_results", logs=50, provider=name) for name in PROVIDER_ERRORS},
    "ranges refused altogether": fault("error", 12, method="eth_getLogs", code=-32000, message="query timed out"),
    "one block at most": fault("refused_ranges", blocks=1),
    "a lagging node behind a balancer": fault("lag", 20, blocks=250, one_in=3),
    "ranges answered as far as the node got": fault("clamped_ranges"),
    "logs left out": fault("omitted_logs", 5, logs=2),
    "null headers": fault("nulls", 4),
    "batches refused": fault("refused_batches", 50, calls=3),
    "connections cut": fault("cut", 2),
    "answers broken off": fault("half_frame", 4),
    "too many requests": fault("http_status", 3, status=429, retry_after=0),
}


@pytest.mark.parametrize("name", AT_THE_TIP)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nothing_is_missed_or_doubled_at_the_tip_of_a_node_with(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str, name: str
) -> None:
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url, from_block=1) as ingestor:
        devchain.mine(3)
        published.wait_for(devchain)
        AT_THE_TIP[name](devchain)
        for _ in range(5):
            devchain.mine(1)
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up again")
    assert published.entries() == canonical(devchain)


@pytest.mark.parametrize("name", FAR_BEHIND)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nothing_is_missed_or_doubled_far_behind_the_tip_of_a_node_with(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str, name: str
) -> None:
    url = url_of(devchain, transport)
    with running_ingestor(CHAIN, url, redis_url, from_block=1):
        pass
    devchain.mine(300)
    FAR_BEHIND[name](devchain)
    with running_ingestor(CHAIN, url, redis_url, wait=False) as ingestor:
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up")
    assert ingestor.error is None
    assert published.entries() == canonical(devchain)


BATCHES: dict[str, Fault] = {
    "an error": fault("refused_batches"),
    "an error above three calls": fault("refused_batches", calls=3),
    "HTTP 413": fault("refused_batches", how="http_413"),
    "HTTP 429": fault("refused_batches", how="http_429"),
    "a rate limit above three calls": fault("refused_batches", calls=3, code=429, message="too many requests"),
    "HTTP 500": fault("refused_batches", how="http_500"),
    "an empty body": fault("refused_batches", how="empty"),
    "a closed connection": fault("refused_batches", how="closed"),
    "no response": fault("refused_batches", how="silence"),
    "the first three responses": fault("shortened_batches"),
}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_only_node_may_answer_batches_with(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str, name: str
) -> None:
    url, timeouts = url_of(devchain, transport), replace(QUICK, request_seconds=1.0)
    with running_ingestor(CHAIN, url, redis_url, from_block=1):
        pass
    devchain.mine(150)
    BATCHES[name](devchain)
    with running_ingestor(CHAIN, url, redis_url, timeouts=timeouts, wait=False) as ingestor:
        published.wait_for(devchain, within=60)
        for _ in range(3):
            devchain.mine(1)
            published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up")
    assert ingestor.error is None
    assert published.entries() == canonical(devchain)


@pytest.mark.parametrize("verify", ["bloom", "contiguous"])
@pytest.mark.parametrize("provider", ["infura", "alchemy"])
def test_logs_of_a_block_beyond_the_cap_of_the_only_node_come_from_its_receipts(
    devchain: RunningDevchain, redis_url: str, published: Published, provider: str, verify: str
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1, verify=verify):
        devchain.set_fault("refused_results", logs=10_000, provider=provider)
        devchain.mine_logs([Log(b"\x01" * 20, (), b"")] * 10_001)
        devchain.mine(1)
        published.wait_for(devchain)
    devchain.mine_logs([Log(b"\x02" * 20, (), b"")] * 10_001)
    devchain.mine(60)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, verify=verify):
        published.wait_for(devchain, within=60)
    assert published.entries() == canonical(devchain)


def test_answers_cut_off_at_a_round_number_are_noticed_where_no_bloom_tells(
    redis_url: str, published: Published
) -> None:
    with running_devchain(chain_id=CHAIN, logs_per_block=40) as devchain:
        with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1, verify="contiguous"):
            pass
        devchain.mine(100)
        devchain.set_fault("capped_results", logs=1000)
        with running_ingestor(CHAIN, devchain.ws_url, redis_url, verify="contiguous"):
            published.wait_for(devchain)
        assert published.entries() == canonical(devchain)


@pytest.mark.parametrize("shown", ["zeros", "null"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_chain_without_blooms_is_followed(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str, shown: str
) -> None:
    devchain.set_fault("hidden_blooms", shown=shown)
    devchain.mine(100)
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url, from_block=1):
        devchain.set_fault("omitted_logs", 3, where="first")
        for _ in range(5):
            devchain.mine(1)
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain)


def test_logs_counted_per_transaction_get_their_place_in_the_block(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.set_fault("local_log_indices")
    devchain.mine(60)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
        devchain.mine(2)
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain)


def test_with_receipts_as_the_source_no_logs_are_asked_for(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.mine(60)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1, verify="receipts"):
        devchain.mine(2)
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain)
    assert devchain.stats()["methods"].get("eth_getLogs", 0) == 0


def test_a_block_that_nobody_proves_is_not_passed_and_the_reason_is_said(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1) as ingestor:
        devchain.mine(2)
        published.wait_for(devchain)
        devchain.set_fault("omitted_logs", logs=1)
        devchain.set_fault("omitted_receipt_logs", logs=1)
        devchain.mine(3)
        eventually(lambda: ingestor.stalled, what="the ingestor saying that it is stalled")
        assert "block 3: 2 logs do not make the header's bloom" in ingestor.slot.reason
        checkpoint = published.checkpoint()
        assert checkpoint is not None
        assert checkpoint.number == 2
        devchain.clear_faults("omitted_receipt_logs")
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up again")
        assert ingestor.slot.counter(telemetry.BLOCKS_REPAIRED) == 3
    assert published.entries() == canonical(devchain)


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
        eventually(lambda: ingestor.up, what="the ingestor being up again")
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain)


def test_a_silent_node_stalls_it_until_it_answers(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        devchain.set_fault("silence")
        devchain.mine(2)
        eventually(lambda: ingestor.stalled, what="the silence being noticed")
        assert "silent" in ingestor.slot.reason
        devchain.clear_faults()
        eventually(lambda: ingestor.up, what="the ingestor being up again")
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain)


def test_a_node_that_never_gives_a_block_stalls_it(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        for method in ("eth_getLogs", "eth_getBlockReceipts", "eth_getTransactionReceipt"):
            devchain.set_fault("error", method=method, message="pruned")
        devchain.mine(1)
        eventually(lambda: ingestor.stalled, what="the ingestor saying that it is stalled")
        eventually(lambda: "pruned" in ingestor.slot.reason, what="the reason")
        devchain.clear_faults()
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up again")
    assert published.entries() == canonical(devchain)


def test_a_chain_that_stands_still_is_neither_reconnected_to_nor_taken_for_a_reorg(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        devchain.mine(2)
        published.wait_for(devchain)
        probes = devchain.stats()["methods"].get("eth_blockNumber", 0)
        asked = eventually(
            lambda: devchain.stats()["methods"].get("eth_blockNumber", 0) >= probes + 2,
            what="two looks at the silent node",
        )
        assert asked
        assert ingestor.up
        assert devchain.stats()["methods"]["eth_chainId"] == 1, "connected once"
    assert published.removed() == 0
