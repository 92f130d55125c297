"""History of transfers: found as the ingestor finds them, and taken back with their blocks."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.records import Endpoint, parse_subscription
from hookfarm.store import keys
from tests.support.backfill import (
    TRANSFER,
    deliver_everything,
    jobs_of,
    live_jobs,
    process_stream,
    run_backfill,
    subscribed,
)
from tests.support.delivery import add_endpoint
from tests.support.ingestor import CHAIN, Published, canonical, running_ingestor
from tests.support.redis_server import RedisServer
from tests.support.transfers import canonical_transfers

BLOCKS = 60


@pytest.fixture
def devchain() -> Iterator[RunningDevchain]:
    with running_devchain(chain_id=CHAIN, logs_per_block=2, transfers_per_block=3) as chain:
        chain.mine(BLOCKS)
        yield chain


@pytest.fixture(autouse=True)
def published(devchain: RunningDevchain, redis_server: RedisServer) -> Iterator[Published]:
    """The chain has been watched from its middle on, when nobody wanted transfers; the stream is empty again."""
    found = Published(redis_server)
    with running_ingestor(CHAIN, devchain.http_url, redis_server.url, from_block=BLOCKS // 2):
        found.wait_for(devchain)
    found.client.delete(keys.events(CHAIN))
    yield found
    found.client.close()


def wants_both(client: Any) -> Endpoint:
    wanted = ({"chain_id": CHAIN, "kind": "transfer"}, {"chain_id": CHAIN, "event": TRANSFER})
    return add_endpoint(client, "http://127.0.0.1:9/", subscriptions=tuple(map(parse_subscription, wanted)))


def test_each_transfer_becomes_the_job_that_live_delivery_would_make(
    client: Any, redis_url: str, devchain: RunningDevchain
) -> None:
    endpoint = wants_both(client)
    expected = canonical_transfers(devchain) + canonical(devchain)
    progress = run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS)
    assert (progress.delivered_new, progress.already_delivered) == (len(expected), 0)
    assert jobs_of(client) == live_jobs(endpoint, expected)
    assert len(canonical_transfers(devchain)) > 2 * BLOCKS


@pytest.mark.parametrize("forgery", ["omitted_transaction", "other_value", "other_data"])
def test_with_receipts_root_nothing_that_a_node_forges_becomes_a_job(
    client: Any, redis_url: str, devchain: RunningDevchain, forgery: str
) -> None:
    endpoint = wants_both(client)
    with devchain.peer() as liar:
        liar.set_fault("forged_blocks", forgery=forgery, header="true")
        urls = (liar.http_url, devchain.http_url)
        run_backfill(client, redis_url, endpoint, urls, BLOCKS, verify="receipts-root")
    assert jobs_of(client) == live_jobs(endpoint, canonical_transfers(devchain) + canonical(devchain))


def test_only_the_transfers_that_are_wanted(client: Any, redis_url: str, devchain: RunningDevchain) -> None:
    sender = canonical_transfers(devchain, above=20)[0]["from"]
    endpoint = subscribed(client, event=None, kind="transfer", **{"from": [sender]})
    run_backfill(client, redis_url, endpoint, (devchain.http_url,), 50, from_block=5)
    expected = [each for each in canonical_transfers(devchain) if 5 <= each["block_number"] <= 50]
    assert 0 < len(jobs_of(client)) < len(expected)
    assert jobs_of(client) == live_jobs(endpoint, expected)


def test_without_a_subscription_to_transfers_no_whole_blocks_are_asked_for(
    client: Any, redis_url: str, devchain: RunningDevchain
) -> None:
    endpoint = subscribed(client)
    run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS)
    assert jobs_of(client) == live_jobs(endpoint, canonical(devchain))
    assert "eth_getBlockReceipts" not in devchain.stats()["methods"]
    run_backfill(client, redis_url, wants_both(client), (devchain.http_url,), BLOCKS)
    assert "eth_getBlockReceipts" in devchain.stats()["methods"]


@pytest.mark.parametrize("kind", ["transfer", "both"])
def test_a_reorg_takes_back_transfers_of_blocks_that_were_published_without_them(
    client: Any, redis_url: str, devchain: RunningDevchain, published: Published, kind: str
) -> None:
    """And of blocks below them, that never were."""
    endpoint = wants_both(client) if kind == "both" else subscribed(client, event=None, kind="transfer")
    run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS)
    sent = set(deliver_everything(client, redis_url))
    above = BLOCKS - 40
    orphaned = canonical_transfers(devchain, above) + (canonical(devchain, above) if kind == "both" else [])
    gone = live_jobs(endpoint, orphaned)
    assert gone.keys() <= sent
    devchain.reorg(40)
    devchain.mine(1)
    with running_ingestor(CHAIN, devchain.http_url, redis_url):
        published.wait_for(devchain)
    process_stream(client, redis_url, endpoint)
    bodies = [orjson.loads(body) for body in jobs_of(client).values()]
    originals = [body["original"] for body in bodies if body["type"].endswith(".removed")]
    assert sorted(originals) == sorted(gone)
    new = canonical_transfers(devchain, above) + (canonical(devchain, above) if kind == "both" else [])
    assert live_jobs(endpoint, new).keys() == {
        job for job, body in jobs_of(client).items() if b'.emitted"' in body
    }


def test_a_transfer_that_is_still_in_the_stream_is_not_told_a_second_time(
    client: Any, redis_url: str, devchain: RunningDevchain, published: Published
) -> None:
    endpoint = wants_both(client)
    with running_ingestor(CHAIN, devchain.http_url, redis_url):
        devchain.mine(10)
        published.wait_for(devchain)
    run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS + 10)
    expected = canonical_transfers(devchain) + canonical(devchain)
    assert len(deliver_everything(client, redis_url)) == len(expected)
    assert process_stream(client, redis_url, endpoint) == 0
