"""The ingestor as the master has it: a forked process with a slot, told by signals."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator

import pytest

from hookfarm.config import ChainConfig
from hookfarm.errors import HookfarmError
from hookfarm.event_ingestor import process, telemetry
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard, Slot, State
from hookfarm.store import keys
from hookfarm.store.keys import EVENT_INGESTOR
from tests.support.anvil import Anvil, deploy_emitter, emit_transfer, running_anvil
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

CHAIN = 31337
RECIPIENT = "0x" + "ab" * 20
REFUSED = 3


def _be_a_child(scoreboard: Scoreboard, chain: ChainConfig, redis_url: str) -> None:
    child = Child(EVENT_INGESTOR, 0, scoreboard)
    child.handle_signals()
    try:
        process.prepare()
        process.run(child, [chain], redis_url, None)
    except HookfarmError as error:
        child.slot.reason = str(error)
        os._exit(REFUSED)


class Forked:
    def __init__(self, chain: ChainConfig, redis_url: str) -> None:
        scoreboard = Scoreboard({EVENT_INGESTOR: 1})
        self.slot: Slot = scoreboard.slots(EVENT_INGESTOR)[0]
        self.slot.state = State.BOOTING
        context = multiprocessing.get_context("fork")
        self.process = context.Process(target=_be_a_child, args=(scoreboard, chain, redis_url))

    def wait_until_up(self) -> None:
        eventually(lambda: self.slot.state == State.UP, what="the ingestor coming up")

    def signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def exit_code(self) -> int | None:
        self.process.join(15)
        return self.process.exitcode


@contextlib.contextmanager
def forked(url: str, redis_url: str, chain_id: int = CHAIN) -> Iterator[Forked]:
    child = Forked(ChainConfig(chain_id, (url,)), redis_url)
    child.process.start()
    try:
        yield child
    finally:
        child.process.kill()
        child.process.join()
        child.process.close()


@pytest.fixture
def node() -> Iterator[Anvil]:
    with running_anvil() as node:
        yield node


def stream_length(server: RedisServer) -> int:
    with server.client() as client:
        length = client.xlen(keys.events(CHAIN))
    assert isinstance(length, int)
    return length


def test_it_is_up_with_a_checkpoint_stored_and_ends_on_sigterm(node: Anvil, redis_server: RedisServer) -> None:
    with forked(node.ws_url, redis_server.url) as child:
        child.wait_until_up()
        with redis_server.client() as client:
            assert client.exists(keys.checkpoint(CHAIN), keys.genesis(CHAIN)) == 2
        child.signal(signal.SIGTERM)
        assert child.exit_code() == 0


def test_it_ends_on_sigterm_while_it_looks_for_its_node(node: Anvil, redis_server: RedisServer) -> None:
    node.kill()
    with forked(node.ws_url, redis_server.url) as child:
        eventually(lambda: child.slot.counter(telemetry.CHAIN_ID) == CHAIN, what="the ingestor running")
        child.signal(signal.SIGTERM)
        assert child.exit_code() == 0
        assert child.slot.state == State.QUIET


def test_it_keeps_its_promise_while_there_is_nothing_to_do(node: Anvil, redis_server: RedisServer) -> None:
    with forked(node.ws_url, redis_server.url) as child:
        child.wait_until_up()
        first = child.slot.seconds_late(0)
        eventually(lambda: child.slot.seconds_late(0) < first, what="the next heartbeat")
        assert child.slot.seconds_late() < 0


def test_a_killed_one_is_continued_without_a_gap_or_a_duplicate(node: Anvil, redis_server: RedisServer) -> None:
    contract = deploy_emitter(node)
    for round_ in range(3):
        with forked(node.ws_url, redis_server.url) as child:
            child.wait_until_up()
            emit_transfer(node, contract, RECIPIENT, round_)
            child.signal(signal.SIGKILL)
            child.exit_code()
        emit_transfer(node, contract, RECIPIENT, round_)
    with forked(node.ws_url, redis_server.url) as child:
        child.wait_until_up()
        head = int(node.call("eth_blockNumber"), 16)
        eventually(lambda: child.slot.counter(telemetry.CHECKPOINT) == head, what="the ingestor having caught up")
    assert stream_length(redis_server) == 6


def test_it_refuses_another_chain_with_its_reason_and_never_was_up(node: Anvil, redis_server: RedisServer) -> None:
    with forked(node.ws_url, redis_server.url, chain_id=1) as child:
        assert child.exit_code() == REFUSED
        assert child.slot.reason == f"chain 1: {node.ws_url} serves chain {CHAIN}"
        assert child.slot.state == State.BOOTING
