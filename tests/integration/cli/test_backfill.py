"""`hookfarm backfill` as a user runs it: what it refuses, prints, and leaves when it is stopped or killed."""

import json
import random
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hookfarm.backfill import state
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.event_stream import Checkpoint
from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from tests.support.backfill import jobs_of, live_jobs, subscribed
from tests.support.commands import RunningCommand, running_command
from tests.support.delivery import undelivered
from tests.support.finished_command import Finished, done, refused, run
from tests.support.ingestor import CHAIN, Published, canonical, running_ingestor
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

BLOCKS = 300


@pytest.fixture
def devchain() -> Iterator[RunningDevchain]:
    with running_devchain(chain_id=CHAIN, logs_per_block=3) as chain:
        chain.mine(BLOCKS)
        yield chain


@pytest.fixture
def watched(devchain: RunningDevchain, redis_server: RedisServer) -> RunningDevchain:
    """A chain that has been watched, up to its head."""
    with running_ingestor(CHAIN, devchain.http_url, redis_server.url):
        published = Published(redis_server)
        published.wait_for(devchain)
        # Without it nothing of the chain is final, and all of it has to be remembered first.
        eventually(lambda: "finalized" in published.heads(), 20, "the chain's word of what is final")
        published.client.close()
    return devchain


@pytest.fixture
def endpoint(client: Any) -> Endpoint:
    return subscribed(client)


def nodes(chain: RunningDevchain) -> tuple[str, str]:
    return ("--chain", f"{CHAIN}={chain.http_url}")


def backfill(redis_url: str, endpoint: str, *options: str, **how: str) -> Finished:
    return run(redis_url, "backfill", endpoint, *options, **how)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--chain", "5", "--from-block", "1"), "--chain: chain 5 has no configured node; give --chain 5=URL"),
        (("--chain", "x", "--from-block", "1"), "--chain: 'x' is not a chain id; give a number such as 1"),
        (("--from-block", "1"), "--chain: is missing; give the id of the chain"),
        (("--chain", "5=http://127.0.0.1:9"), "--from-block: is missing; give the first block"),
        (
            ("--chain", "5=ftp://x", "--from-block", "1"),
            "--chain: 'ftp://x' is not a node's URL; it must begin with",
        ),
        (
            ("--chain", "5=http://127.0.0.1:9", "--from-block", "-1"),
            "--from-block: -1 is out of range; allowed are",
        ),
        (("--chain", "5=http://127.0.0.1:9", "--from-block", "1"), "--chain: ep_… has no subscription to chain 5"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(
    redis_url: str, endpoint: Endpoint, options: tuple[str, ...], line: str
) -> None:
    said = refused(backfill(redis_url, endpoint.id, *options, "--yes"), 2)
    assert said.replace(endpoint.id, "ep_…").startswith(f"hookfarm: {line}")


def test_what_is_not_published_yet_is_refused(
    client: Any, redis_url: str, endpoint: Endpoint, watched: RunningDevchain
) -> None:
    def said(code: int, *options: str, endpoint_id: str = endpoint.id) -> str:
        return refused(backfill(redis_url, endpoint_id, *nodes(watched), *options), code)

    above = said(2, "--from-block", "1", "--to-block", "301")
    assert above == "hookfarm: --to-block: 301 is above the checkpoint 300; later blocks are delivered live"
    assert said(2, "--from-block", "9", "--to-block", "8") == "hookfarm: --from-block: 9 is above --to-block 8"
    assert said(2, "--from-block", "301") == "hookfarm: --from-block: 301 is above the checkpoint 300"
    assert "is not a subscription to chain" in said(2, "--from-block", "1", "--subscription", "sub_x")
    assert said(1, "--from-block", "1", endpoint_id="ep_x") == "hookfarm: endpoint 'ep_x' not found"
    assert "give --yes" in said(1, "--from-block", "1")
    Registry(client).disable(endpoint.id, "a test")
    assert "is disabled" in said(2, "--from-block", "1")
    assert client.zcard(keys.BACKFILLS) == 0


def test_a_chain_that_no_farm_has_watched_is_refused(
    redis_url: str, endpoint: Endpoint, devchain: RunningDevchain
) -> None:
    said = refused(backfill(redis_url, endpoint.id, *nodes(devchain), "--from-block", "1", "--yes"), 1)
    assert "has no checkpoint yet" in said


def test_it_asks_first_and_is_done_once(
    client: Any, redis_url: str, endpoint: Endpoint, watched: RunningDevchain
) -> None:
    options = ("--from-block", "101", "--to-block", "200")
    chains = {"HOOKFARM_CHAINS": f"{CHAIN}={watched.http_url}"}
    no = backfill(redis_url, endpoint.id, "--chain", str(CHAIN), *options, answer="n\n", **chains)
    assert no.returncode == 1
    assert not undelivered(client)
    yes = backfill(redis_url, endpoint.id, "--chain", str(CHAIN), *options, answer="y\n", **chains)
    assert yes.returncode == 0, yes.stderr
    assert "100 blocks of chain" in yes.stderr
    assert yes.stdout.startswith("blocks 101 to 200: 300 matches queued; ")
    again = done(backfill(redis_url, endpoint.id, *nodes(watched), *options))
    assert again == "already done up to block 200; --restart reads the blocks again\n"
    anew = backfill(redis_url, endpoint.id, *nodes(watched), *options, "--restart", "--yes")
    assert "0 matches queued, 300 skipped" in anew.stdout
    assert len(jobs_of(client)) == 300


def test_programs_read_its_progress_as_lines_of_json(
    redis_url: str, endpoint: Endpoint, watched: RunningDevchain
) -> None:
    said = done(backfill(redis_url, endpoint.id, *nodes(watched), "--from-block", "1", "--yes", "--json"))
    *_, last = map(json.loads, said.splitlines())
    assert (last["state"], last["blocks"], last["total"], last["delivered_new"]) == ("done", 300, 300, 900)
    once_more = done(backfill(redis_url, endpoint.id, *nodes(watched), "--from-block", "1", "--json"))
    assert json.loads(once_more)["state"] == "done"


def slow(chain: RunningDevchain) -> None:
    """So that all blocks take it some seconds."""
    chain.set_fault("refused_ranges", blocks=4)
    chain.set_fault("latency", method="eth_getLogs", milliseconds=100)


def hold_back(chain: RunningDevchain) -> None:
    """The next range is not answered while the test asks about the backfill."""
    chain.clear_faults()
    chain.set_fault("latency", method="eth_getLogs", milliseconds=60_000)


def at(client: Any) -> int:
    """The block where the only backfill stands."""
    names: Any = client.zrange(keys.BACKFILLS, 0, -1)
    stored = client.hget(keys.BACKFILL_STATE + names[0].decode(), "at") if names else None
    return Checkpoint.decode(stored).number if stored else 0


def wait_for_block(client: Any, command: RunningCommand, block: int) -> None:
    def is_there() -> bool:
        assert command.process.poll() is None, f"it ended: {command.stderr}"
        return at(client) >= block

    eventually(is_there, within=40, what=f"the backfill reaching block {block}")


def test_interrupted_it_prints_how_to_continue(
    client: Any, redis_url: str, endpoint: Endpoint, watched: RunningDevchain
) -> None:
    slow(watched)
    command = ("backfill", endpoint.id, *nodes(watched), "--from-block", "1", "--yes", "--redis-url", redis_url)
    with running_command(*command) as running:
        wait_for_block(client, running, 20)
        hold_back(watched)
        found = json.loads(done(run(redis_url, "status", "--json")))
        [shown] = found["backfills"]
        assert (shown["endpoint"], shown["running"], shown["done"]) == (endpoint.id, True, False)
        assert shown["to_block"] == BLOCKS
        assert found["queue"]["backfill"] > 0
        assert f"backfill {endpoint.id}  chain {CHAIN}  blocks 1 to 300  at block " in done(
            run(redis_url, "status")
        )
        running.interrupt()
        assert running.wait() == 1
        assert "stopped; run the same command to continue" in running.stderr
        assert "matches" in running.stderr
    stopped_at = at(client)
    watched.clear_faults()
    with running_ingestor(CHAIN, watched.http_url, redis_url):
        watched.mine(5)
        head = Checkpoint(305, watched.head().hash).encode().encode()
        eventually(lambda: client.get(keys.checkpoint(CHAIN)) == head, 20, "the checkpoint moving on")
    finished = backfill(redis_url, endpoint.id, *nodes(watched), "--from-block", "1")
    assert finished.returncode == 0
    assert f"continuing after block {stopped_at}" in finished.stderr
    expected = [event for event in canonical(watched) if event["block_number"] <= BLOCKS]
    assert jobs_of(client) == live_jobs(endpoint, expected)


def test_killed_at_random_blocks_it_goes_on_and_makes_each_job_once(
    client: Any, redis_url: str, endpoint: Endpoint, watched: RunningDevchain
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    blocks = sorted(random.Random(seed).sample(range(1, 150), 5))
    slow(watched)
    command = ("backfill", endpoint.id, *nodes(watched), "--from-block", "1", "--yes", "--redis-url", redis_url)
    for block in blocks:
        with running_command(*command) as running:
            wait_for_block(client, running, block)
            running.process.send_signal(signal.SIGKILL)
            assert running.wait() == -signal.SIGKILL
    watched.clear_faults()
    finished = backfill(redis_url, endpoint.id, *nodes(watched), "--from-block", "1")
    assert finished.returncode == 0, finished.stderr
    assert "900 matches queued" in finished.stdout
    assert jobs_of(client) == live_jobs(endpoint, canonical(watched))


def test_an_endpoint_removed_meanwhile_ends_its_backfill(
    client: Any, redis_url: str, endpoint: Endpoint, watched: RunningDevchain
) -> None:
    slow(watched)
    command = ("backfill", endpoint.id, *nodes(watched), "--from-block", "1", "--yes", "--redis-url", redis_url)
    with running_command(*command) as running:
        wait_for_block(client, running, 20)
        Registry(client).remove(endpoint.id)
        assert running.wait() == 1
        assert f"endpoint '{endpoint.id}' has been removed" in running.stderr
    assert client.hlen(keys.BACKFILL_JOBS) == 0
    assert client.zcard(keys.BACKFILLS) == 0


def test_an_endpoint_disabled_meanwhile_keeps_its_backfill_queue(
    client: Any, redis_url: str, endpoint: Endpoint, watched: RunningDevchain
) -> None:
    slow(watched)
    command = ("backfill", endpoint.id, *nodes(watched), "--from-block", "1", "--yes", "--redis-url", redis_url)
    with running_command(*command) as running:
        wait_for_block(client, running, 20)
        Registry(client).edit(endpoint.id, lambda known: replace(known, enabled=False))
        watched.clear_faults()
        assert running.wait() == 0
    assert len(jobs_of(client)) == 3 * BLOCKS


def test_backfills_of_an_ordered_endpoint_go_one_after_the_other(
    client: Any, redis_url: str, endpoint: Endpoint, watched: RunningDevchain
) -> None:
    Registry(client).edit(endpoint.id, lambda known: replace(known, ordered=True))
    slow(watched)
    command = ("backfill", endpoint.id, *nodes(watched), "--from-block", "1", "--yes", "--redis-url", redis_url)
    with running_command(*command) as running:
        wait_for_block(client, running, 20)
        watched.go_down()
        second = backfill(redis_url, endpoint.id, *nodes(watched), "--from-block", "100", "--yes")
        said = refused(second, 1)
        assert f"{endpoint.id}:{CHAIN}:1:: is running" in said
        assert len(state.unfinished(client)) == 1
        watched.clear_faults()
        watched.come_up()
        assert running.wait() == 0, running.stderr
    again = backfill(redis_url, endpoint.id, *nodes(watched), "--from-block", "100", "--yes")
    assert again.returncode == 0, again.stderr
    assert jobs_of(client) == live_jobs(endpoint, canonical(watched))
    queued = [job.decode() for job in client.zrange(keys.BACKFILL_QUEUE + endpoint.id, 0, -1)]
    expected = list(live_jobs(endpoint, canonical(watched)))
    assert queued == [job for job in expected if job in set(queued)]


def test_a_node_with_another_genesis_block_than_the_watched_chain_is_refused(
    watched: RunningDevchain, redis_url: str, endpoint: Endpoint, client: Any
) -> None:
    with running_devchain(chain_id=CHAIN, seed=2) as other:
        other.mine(BLOCKS)
        found = backfill(redis_url, endpoint.id, *nodes(other), "--from-block", "1", "--yes")
    assert f"chain {CHAIN}: {other.http_url} has genesis 0x" in refused(found, 1)
    assert undelivered(client) == 0
