"""A backfill between a devchain and a real Redis: each matching log is one job, whatever happens on the way."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hookfarm.backfill.state import Progress
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.errors import ChainUnavailable, Conflict, WrongChain
from hookfarm.event_stream import accept_block, doubtful_block
from hookfarm.store import keys
from tests.support.backfill import deliver_everything, jobs_of, live_jobs, process_stream, run_backfill, subscribed
from tests.support.backfill_queue import queued_ids
from tests.support.ingestor import CHAIN, Published, canonical, running_ingestor
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

BLOCKS = 400


@pytest.fixture
def devchain() -> Iterator[RunningDevchain]:
    with running_devchain(chain_id=CHAIN, logs_per_block=3) as chain:
        chain.mine(BLOCKS)
        yield chain


@pytest.fixture(autouse=True)
def published(devchain: RunningDevchain, redis_server: RedisServer) -> Iterator[Published]:
    """The chain has been watched, up to its head."""
    found = Published(redis_server)
    with running_ingestor(CHAIN, devchain.http_url, redis_server.url):
        found.wait_for(devchain)
    yield found
    found.client.close()


def test_each_log_becomes_the_job_that_live_delivery_would_make(
    client: Any, redis_url: str, devchain: RunningDevchain
) -> None:
    endpoint = subscribed(client)
    progress = run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS)
    assert (progress.blocks, progress.delivered_new, progress.already_delivered) == (BLOCKS, 3 * BLOCKS, 0)
    assert jobs_of(client) == live_jobs(endpoint, canonical(devchain))


def test_only_the_blocks_asked_for_and_what_the_subscription_wants(
    client: Any, redis_url: str, devchain: RunningDevchain
) -> None:
    wanted = canonical(devchain)[100]["address"]
    endpoint = subscribed(client, addresses=[wanted], where="value >= 500")
    run_backfill(client, redis_url, endpoint, (devchain.ws_url,), 200, from_block=50)
    expected = [event for event in canonical(devchain) if 50 <= event["block_number"] <= 200]
    assert 0 < len(jobs_of(client)) < len(expected)
    assert jobs_of(client) == live_jobs(endpoint, expected)


def test_a_block_without_a_proof_is_taken_once_it_is_accepted(
    client: Any, redis_url: str, devchain: RunningDevchain
) -> None:
    devchain.set_fault("wrong_log_indices", shown="repeated")
    devchain.set_fault("wrong_blooms")
    seen: list[str] = []

    def accept(_task: "asyncio.Task[None]", progress: Progress) -> None:
        if progress.reason and not seen:
            seen.append(progress.reason)
            accept_block(client, CHAIN, doubtful_block(client, CHAIN, 7), "operator@host")

    endpoint = subscribed(client)
    progress = run_backfill(client, redis_url, endpoint, (devchain.http_url,), 7, from_block=7, watch=accept)
    assert "log indices are not 0 to 2" in seen[0]
    assert (progress.blocks, progress.delivered_new) == (1, 3)
    assert jobs_of(client) == live_jobs(endpoint, [e for e in canonical(devchain) if e["block_number"] == 7])
    assert not client.exists(keys.doubtful_blocks(CHAIN)), "forgotten with the block"


def test_what_waits_for_confirmations_live_waits_for_them_in_a_backfill(
    client: Any, redis_url: str, devchain: RunningDevchain
) -> None:
    endpoint = subscribed(client, confirmations=100)
    run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS)
    line = f"{keys.UNCONFIRMED_BY_BLOCK}{CHAIN}:blocks"
    assert client.zcount(line, "-inf", BLOCKS) == 0
    assert client.zcard(line) == client.hlen(keys.UNCONFIRMED) == 3 * 100
    assert len(jobs_of(client)) == 3 * (BLOCKS - 100)


def test_what_is_still_in_the_stream_is_not_told_a_second_time(
    client: Any, redis_url: str, devchain: RunningDevchain, published: Published
) -> None:
    """Of blocks, too, that are final."""
    endpoint = subscribed(client)
    with running_ingestor(CHAIN, devchain.http_url, redis_url):
        devchain.mine(100)
        published.wait_for(devchain)
        final = BLOCKS + 100 - 64
        eventually(lambda: published.heads().get("finalized") == final, what="the finalized block being told")
    run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS + 100)
    delivered = deliver_everything(client, redis_url)
    assert len(delivered) == 3 * (BLOCKS + 100)
    assert process_stream(client, redis_url, endpoint) == 0


def test_stopped_at_random_moments_it_goes_on_and_makes_each_job_once(
    client: Any, redis_url: str, devchain: RunningDevchain
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    endpoint = subscribed(client)
    devchain.set_fault("refused_ranges", blocks=8)
    for _ in range(12):
        left = chance.randint(1, 12)

        def stop(work: "asyncio.Task[None]", _progress: Progress) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                work.cancel()

        run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS, stop)
    progress = run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS)
    assert progress.delivered_new + progress.already_delivered == 3 * BLOCKS
    assert jobs_of(client) == live_jobs(endpoint, canonical(devchain))


@pytest.mark.parametrize(
    ("fault", "parameters"),
    [
        ("omitted_logs", {"count": 10}),
        ("capped_results", {"count": 3, "logs": 100}),
        ("refused_ranges", {"blocks": 5}),
        ("refused_batches", {"calls": 3}),
        ("nulls", {"count": 4, "method": "eth_getBlockByNumber"}),
        ("http_status", {"count": 3, "status": 429, "retry_after": 0}),
        ("http_status", {"count": 3, "status": 500}),
        ("cut", {"count": 3}),
        ("half_frame", {"count": 2}),
        ("lag", {"count": 20, "blocks": 100, "one_in": 2}),
    ],
)
def test_no_fault_of_a_provider_costs_a_log(
    client: Any, redis_url: str, devchain: RunningDevchain, fault: str, parameters: dict[str, Any]
) -> None:
    endpoint, began = subscribed(client), False

    def break_it(_work: "asyncio.Task[None]", _progress: Progress) -> None:
        nonlocal began
        if not began:
            began = True
            devchain.set_fault(fault, **parameters)

    run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS, break_it)
    assert began
    assert jobs_of(client) == live_jobs(endpoint, canonical(devchain))


def test_when_a_provider_fails_another_one_goes_on(client: Any, redis_url: str, devchain: RunningDevchain) -> None:
    endpoint = subscribed(client)
    devchain.set_fault("refused_ranges", blocks=8)
    with devchain.peer() as other:

        def lose_it(_work: "asyncio.Task[None]", progress: Progress) -> None:
            if progress.blocks >= 100:
                devchain.set_fault("http_status", status=503, retry_after=0)

        run_backfill(client, redis_url, endpoint, (devchain.http_url, other.http_url), BLOCKS, lose_it)
    assert jobs_of(client) == live_jobs(endpoint, canonical(devchain))


def test_it_reads_no_more_while_enough_is_waiting(client: Any, redis_url: str, devchain: RunningDevchain) -> None:
    endpoint = subscribed(client)
    devchain.set_fault("refused_ranges", blocks=4)
    deepest = paused = 0

    def take_some(_work: "asyncio.Task[None]", progress: Progress) -> None:
        nonlocal deepest, paused
        waiting = queued_ids(client, endpoint.id)
        deepest = max(deepest, len(waiting))
        if "waiting for the farm" in progress.reason:
            paused += 1
            gone = waiting[:100]
            client.zrem(keys.BACKFILL_QUEUE + endpoint.id, *gone)
            client.hdel(keys.BACKFILL_JOBS, *gone)

    progress = run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS, take_some, max_queued=60)
    assert progress.blocks == BLOCKS
    assert paused >= 3
    assert deepest < 60 + 3 * 256, "more than one batch beyond what may wait"


def test_a_node_of_another_chain_is_refused(client: Any, redis_url: str) -> None:
    with running_devchain(chain_id=99) as other, pytest.raises(WrongChain, match="serves chain 99"):
        run_backfill(client, redis_url, subscribed(client), (other.http_url,), 10)


def test_without_a_node_it_says_so(client: Any, redis_url: str, devchain: RunningDevchain) -> None:
    devchain.go_down()
    with pytest.raises(ChainUnavailable, match=f"chain {CHAIN}"):
        run_backfill(client, redis_url, subscribed(client), (devchain.http_url,), 10)
    devchain.come_up()


def test_while_another_one_holds_an_endpoint_with_an_order_nothing_is_read(client: Any, redis_url: str) -> None:
    endpoint = replace(subscribed(client), ordered=True)
    client.set(keys.BACKFILL_LOCK + endpoint.id, "another", px=60_000)
    with pytest.raises(Conflict, match="another is running"):
        run_backfill(client, redis_url, endpoint, ("http://127.0.0.1:9",), 10)


def test_a_redis_that_loses_its_newest_writes_costs_nothing(
    client: Any, redis_server: RedisServer, devchain: RunningDevchain
) -> None:
    """Everything goes back to one moment, as it does where they were not in the file yet when it died."""
    endpoint = subscribed(client)
    devchain.set_fault("refused_ranges", blocks=8)
    saved: dict[bytes, bytes] = {}
    lost = 0

    def lose(_work: "asyncio.Task[None]", progress: Progress) -> None:
        nonlocal lost
        if not saved and progress.blocks >= 60:
            saved.update({key: client.dump(key) for key in client.scan_iter()})
        if not lost and progress.blocks >= 150:
            lost = progress.blocks
            client.flushall()
            for key, value in saved.items():
                client.restore(key, 0, value)

    done = run_backfill(client, redis_server.url, endpoint, (devchain.http_url,), BLOCKS, lose)
    assert lost
    expected = live_jobs(endpoint, canonical(devchain))
    assert jobs_of(client) == expected
    assert (done.blocks, done.delivered_new) == (BLOCKS, len(expected))


def test_a_redis_that_goes_away_for_a_while_costs_nothing(
    client: Any, redis_server: RedisServer, devchain: RunningDevchain
) -> None:
    endpoint = subscribed(client)
    devchain.set_fault("refused_ranges", blocks=8)
    killed = False

    def kill(_work: "asyncio.Task[None]", progress: Progress) -> None:
        nonlocal killed
        if not killed and progress.blocks >= 100:
            killed = True
            redis_server.kill()
            redis_server.start()

    run_backfill(client, redis_server.url, endpoint, (devchain.http_url,), BLOCKS, kill)
    assert killed
    assert jobs_of(client) == live_jobs(endpoint, canonical(devchain))
