"""`hookfarm chains accept`, and what `chains`, `status` and the API show of doubtful and accepted blocks."""

import contextlib
import getpass
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.event_ingestor.telemetry import report
from hookfarm.status import readiness
from hookfarm.store import keys
from tests.support.api_process import Api, running_api
from tests.support.farm_processes import hookfarm
from tests.support.ingestor import CHAIN, EVENTS, Published, RunningIngestor, canonical, running_ingestor
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


class Stalled:
    """A chain that waits at block 2, of which the node omits a log."""

    def __init__(self, devchain: RunningDevchain, ingestor: RunningIngestor, published: Published) -> None:
        self.devchain = devchain
        self.published = published
        self._ingestor = ingestor
        devchain.set_fault("omitted_logs", logs=1)
        devchain.set_fault("error", method="eth_getBlockReceipts", message="the method does not exist")
        devchain.set_fault("nulls", method="eth_getTransactionReceipt")
        [mined] = devchain.mine(1)
        self.block_hash = mined.hash
        eventually(lambda: published.client.exists(keys.doubtful_blocks(CHAIN)), what="the block being doubtful")
        self.report()

    def report(self) -> None:
        """Publish the ingestor's status, as the keeper does."""
        readiness.publish(self.published.client, keys.EVENT_INGESTOR, dict(report([self._ingestor.slot])))

    def wait_until_passed(self) -> None:
        self.published.wait_for(self.devchain)
        assert self.published.entries() == canonical(self.devchain)[: 2 * EVENTS - 1]
        self.report()


@pytest.fixture
def stalled(redis_server: RedisServer) -> Iterator[Stalled]:
    with contextlib.ExitStack() as stack:
        devchain = stack.enter_context(running_devchain(chain_id=CHAIN, logs_per_block=EVENTS))
        published = Published(redis_server)
        stack.callback(published.client.close)
        ingestor = stack.enter_context(running_ingestor(CHAIN, devchain.ws_url, redis_server.url, from_block=1))
        devchain.mine(1)
        published.wait_for(devchain)
        yield Stalled(devchain, ingestor, published)


def said(redis_url: str, *arguments: str) -> str:
    done = hookfarm(*arguments, "--redis-url", redis_url)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def refused(redis_url: str, code: int, *arguments: str) -> str:
    done = hookfarm(*arguments, "--redis-url", redis_url)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr.strip()


def test_the_operator_sees_the_doubt_accepts_the_block_and_sees_who_did(stalled: Stalled, redis_url: str) -> None:
    doubt = f"chain {CHAIN}: block 2 is doubtful (to accept it: hookfarm chains accept {CHAIN} 2)"
    assert doubt in said(redis_url, "chains")
    assert doubt in said(redis_url, "status")
    shown = said(redis_url, "chains", "accept", str(CHAIN), "2", "--yes")
    assert f"chain {CHAIN}, block 2 {stalled.block_hash}" in shown
    assert "2 logs do not make the header's bloom: some are missing" in shown
    assert "the node gives 2 logs, without a proof" in shown
    assert "accepted; block 2 is published at the next try" in shown
    stalled.wait_until_passed()
    chains = said(redis_url, "chains")
    assert f"block 2 accepted without a proof by {getpass.getuser()}@{socket.gethostname()} at 20" in chains
    assert "doubtful" not in chains
    [chain] = json.loads(said(redis_url, "chains", "--json"))
    assert chain["doubtful_blocks"] == []
    assert [block["block_hash"] for block in chain["accepted_blocks"]] == [stalled.block_hash]


def test_what_cannot_be_accepted_is_an_error_of_one_line(stalled: Stalled, redis_url: str) -> None:
    def error(code: int, chain: str, block: str) -> str:
        return refused(redis_url, code, "chains", "accept", chain, block, "--yes")

    chain = str(CHAIN)
    assert error(2, "main", "2").startswith("hookfarm: CHAIN: 'main' is not a chain id; allowed is")
    assert error(2, chain, "0x2").startswith("hookfarm: BLOCK: '0x2' is not a block number; allowed is")
    assert "chain 5: unknown" in error(1, "5", "2")
    assert "block 1: already passed; the checkpoint is block 1" in error(1, chain, "1")
    assert "block 3: not doubtful; the chain waits for a proof of 2" in error(1, chain, "3")
    misplaced = hookfarm("chains", "--redis-url", redis_url, "accept", chain, "2", "--yes")
    assert misplaced.returncode == 2
    assert "options belong after the subcommand: chains accept" in misplaced.stderr
    without_terminal = hookfarm("chains", "accept", chain, "2", "--redis-url", redis_url)
    assert without_terminal.returncode == 1
    assert "Without a terminal, give --yes" in without_terminal.stderr
    assert not stalled.published.client.exists(keys.accepted_blocks(CHAIN))


@pytest.fixture
def api(redis_url: str) -> Iterator[Api]:
    """A running API, forked before the threads of the other fixtures begin."""
    with running_api(redis_url) as running:
        yield running


def test_the_api_shows_and_accepts_the_block(api: Api, stalled: Stalled) -> None:
    def accept(body: Any, chain: int = CHAIN) -> tuple[int, Any]:
        reply = api.ask("POST", f"/v1/chains/{chain}/accept", body)
        return reply.status, reply.json

    [block] = chain_of(api)["doubtful_blocks"]
    assert (block["block_number"], block["block_hash"], block["accepted"]) == (2, stalled.block_hash, False)
    assert accept({})[0] == 422
    assert accept({"block_number": 2, "by": "me"})[1]["field"] == "by"
    assert accept({"block_number": 2, "block_hash": "0x1"})[1]["field"] == "block_hash"
    assert accept({"block_number": 2}, chain=5)[0] == 404
    assert accept({"block_number": 2, "block_hash": "0x" + "00" * 32})[0] == 409
    status, accepted = accept({"block_number": 2, "block_hash": stalled.block_hash})
    assert (status, accepted["accepted_by"], accepted["logs"]) == (200, "api", EVENTS - 1)
    stalled.wait_until_passed()
    shown = chain_of(api)
    assert (shown["doubtful_blocks"], shown["accepted_blocks"]) == ([], [accepted])
    assert accept({"block_number": 2})[0] == 409


def chain_of(api: Api) -> Any:
    reply = api.ask("GET", f"/v1/chains/{CHAIN}")
    assert reply.status == 200
    return reply.json
