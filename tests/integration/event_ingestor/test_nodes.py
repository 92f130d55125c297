"""Several nodes of one chain, and nodes of another one."""

import time

import pytest

from hookfarm import timestamps
from hookfarm.chain.timing import NodeTimeouts
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.errors import WrongChain
from hookfarm.event_ingestor import telemetry
from hookfarm.event_ingestor.node_telemetry import NodeStatus
from hookfarm.farm.scoreboard import REASON_BYTES
from hookfarm.store import keys
from tests.support.ingestor import (
    CHAIN,
    EVENTS,
    TRANSPORTS,
    Published,
    RunningIngestor,
    canonical,
    running_ingestor,
    url_of,
)
from tests.support.waiting import eventually


def test_when_one_node_dies_the_next_one_is_used(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_devchain(chain_id=CHAIN, logs_per_block=EVENTS) as twin:
        urls = [devchain.ws_url, twin.http_url]
        with running_ingestor(CHAIN, urls, redis_url) as ingestor:
            devchain.go_down()
            twin.mine(2)
            published.wait_for(twin)
            eventually(lambda: ingestor.up, what="the ingestor being up")
        assert published.events() == canonical(twin)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_preferred_node_is_returned_to_once_it_has_recovered(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str
) -> None:
    with devchain.peer() as second:
        urls = [second.ws_url, url_of(devchain, transport)]
        with running_ingestor(CHAIN, urls, redis_url) as ingestor:
            second.go_down()
            devchain.mine(2)
            published.wait_for(devchain)
            second.come_up()
            eventually(lambda: recovered(devchain, second), what="the preferred node being used again")
            devchain.mine(2)
            published.wait_for(devchain)
            eventually(lambda: ingestor.up, what="the ingestor being up")
        assert published.entries() == canonical(devchain)


def test_each_node_says_what_it_does_and_why(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with devchain.peer() as busy, running_devchain(chain_id=5) as foreign:
        urls = [busy.http_url, f"{foreign.ws_url}/v3/canary", devchain.ws_url]
        with running_ingestor(CHAIN, urls, redis_url) as ingestor:
            assert states(ingestor) == ["active", "standby", "standby"]
            busy.set_fault("http_status", status=429, retry_after=600)
            devchain.mine(2)
            published.wait_for(devchain)
            eventually(lambda: ingestor.up, what="the ingestor being up")
            first, second, third = told(ingestor)
            assert states(ingestor) == ["cooldown", "wrong_chain", "active"]
            assert (first["last_error"], first["kind"]) == ("HTTP 429", "http")
            assert 500 < timestamps.parse(first["cooldown_until"] or "") - time.time() < 601
            assert first["errors"]["rate_limited"] > 0
            assert second["last_error"] == "serves chain 5"
            assert (third["kind"], third["last_error"]) == ("ws", "")
            eventually(lambda: sums_up(ingestor), what="the nodes' requests being those of the chain")
            assert "canary" not in str(told(ingestor))


def told(ingestor: RunningIngestor) -> list[NodeStatus]:
    return telemetry.report([ingestor.slot])["chains"][0]["nodes"]


def states(ingestor: RunningIngestor) -> list[str]:
    return [one["state"] for one in told(ingestor)]


def sums_up(ingestor: RunningIngestor) -> bool:
    [chain] = telemetry.report([ingestor.slot])["chains"]
    return bool(chain["rpc_requests"] == sum(one["requests"] for one in chain["nodes"]))


def test_a_node_that_is_gone_over_to_and_back_is_in_use_meanwhile(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with (
        devchain.peer() as preferred,
        running_ingestor(CHAIN, [preferred.ws_url, devchain.ws_url], redis_url) as ingestor,
    ):
        preferred.go_down()
        devchain.mine(1)
        published.wait_for(devchain)
        eventually(lambda: told(ingestor)[1]["state"] == "active", what="the second node active")
        assert told(ingestor)[0]["last_error"]
        preferred.come_up()
        eventually(lambda: used_again(devchain, ingestor), what="the preferred node in use again")
        assert told(ingestor)[1]["state"] == "standby"


def used_again(devchain: RunningDevchain, ingestor: RunningIngestor) -> bool:
    devchain.mine(1)
    return bool(told(ingestor)[0]["state"] == "active")


def recovered(devchain: RunningDevchain, preferred: RunningDevchain) -> bool:
    """Mines, since a better node is gone over to with the next head."""
    devchain.mine(1)
    return bool(preferred.stats()["methods"].get("eth_getLogs", 0))


def test_a_node_that_leaves_logs_out_is_left_for_another_one(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with devchain.peer() as liar:
        for fault in ("omitted_logs", "omitted_receipt_logs"):
            liar.set_fault(fault, logs=1)
        with running_ingestor(CHAIN, [liar.ws_url, devchain.ws_url], redis_url) as ingestor:
            devchain.mine(3)
            published.wait_for(devchain)
            eventually(lambda: ingestor.up, what="the ingestor being up")
        assert published.entries() == canonical(devchain)


def test_where_no_node_proves_a_block_it_is_not_passed_and_the_reason_is_said(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with devchain.peer() as second:
        for node in (devchain, second):
            for fault in ("omitted_logs", "omitted_receipt_logs"):
                node.set_fault(fault, logs=1)
        with running_ingestor(CHAIN, [second.ws_url, devchain.ws_url], redis_url, from_block=1) as ingestor:
            devchain.mine(2)
            eventually(lambda: ingestor.stalled, what="the ingestor saying that it is stalled")
            assert "do not make the header's bloom" in ingestor.slot.reason
            assert published.entries() == []
            devchain.clear_faults()
            published.wait_for(devchain)
            eventually(lambda: ingestor.up, what="the ingestor being up")
        assert published.entries() == canonical(devchain)


@pytest.mark.parametrize("method", ["eth_getBlockByNumber", "eth_getLogs"])
def test_a_node_that_answers_null_is_left_for_another_one(
    devchain: RunningDevchain, redis_url: str, published: Published, method: str
) -> None:
    with devchain.peer() as forgetful:
        with running_ingestor(CHAIN, [forgetful.ws_url, devchain.http_url], redis_url) as ingestor:
            forgetful.set_fault("nulls", method=method)
            devchain.mine(3)
            published.wait_for(devchain)
            eventually(lambda: ingestor.up, what="the ingestor being up")
        assert published.entries() == canonical(devchain)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_node_at_its_limit_is_left_alone_for_as_long_as_it_says(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str
) -> None:
    with devchain.peer() as busy:
        with running_ingestor(CHAIN, [busy.http_url, url_of(devchain, transport)], redis_url) as ingestor:
            busy.set_fault("http_status", status=429, retry_after=600)
            devchain.mine(1)
            published.wait_for(devchain)
            asked = busy.stats()["requests"]["http"]
            for _ in range(5):
                devchain.mine(1)
                published.wait_for(devchain)
            assert busy.stats()["requests"]["http"] == asked
            eventually(lambda: ingestor.up, what="the ingestor being up")
        assert published.entries() == canonical(devchain)


def test_a_node_that_stands_still_while_another_goes_on_is_left(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with devchain.peer() as stuck:
        with running_ingestor(CHAIN, [stuck.ws_url, devchain.http_url], redis_url):
            devchain.mine(5)
            published.wait_for(devchain)
            stuck.set_fault("dropped_heads")
            stuck.set_fault("lag", blocks=5)
            devchain.mine(5)
            published.wait_for(devchain)
        assert published.entries() == canonical(devchain)


def test_a_second_node_of_another_chain_is_passed_over(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_devchain(chain_id=CHAIN, seed=2) as other:
        with running_ingestor(CHAIN, [devchain.ws_url, other.ws_url], redis_url) as ingestor:
            devchain.drop_connections()
            other.mine(3)
            devchain.mine(1)
            published.wait_for(devchain)
            eventually(lambda: ingestor.up, what="the ingestor being up")
        assert published.entries() == canonical(devchain)


def test_a_rate_limit_of_ours_is_kept_to(devchain: RunningDevchain, redis_url: str, published: Published) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1, requests_per_second=20):
        before = devchain.stats()["requests"]["websocket"]
        began = time.monotonic()
        for _ in range(30):
            devchain.mine(1)
        published.wait_for(devchain)
        asked = devchain.stats()["requests"]["websocket"] - before
        assert asked <= 20 * (time.monotonic() - began) + 20
    assert published.entries() == canonical(devchain)


def test_a_dead_preferred_node_does_not_keep_it_from_booting(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_devchain() as dead:
        dead.go_down()
        with running_ingestor(CHAIN, [dead.ws_url, devchain.ws_url], redis_url):
            devchain.mine(1)
            published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_another_chain_id_is_refused_at_once_and_named(devchain: RunningDevchain, redis_url: str) -> None:
    patient = NodeTimeouts(boot_seconds=600)
    with running_ingestor(1, f"{devchain.ws_url}/v3/canary", redis_url, timeouts=patient, wait=False) as ingestor:
        ingestor.join()
    assert isinstance(ingestor.error, WrongChain)
    assert str(ingestor.error) == f"chain 1: {devchain.ws_url} serves chain {CHAIN}"
    assert not ingestor.up


def test_another_genesis_is_refused_and_named(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        pass
    with running_devchain(chain_id=CHAIN, seed=2) as other:
        with running_ingestor(CHAIN, other.ws_url, redis_url, wait=False) as ingestor:
            ingestor.join()
        assert isinstance(ingestor.error, WrongChain)
        for part in (other.ws_url, keys.genesis(CHAIN), keys.checkpoint(CHAIN)):
            assert part in str(ingestor.error)
        assert len(str(ingestor.error)) <= REASON_BYTES, "the slot would cut it off"


def test_another_chain_that_takes_the_place_of_the_node_stalls_it(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        devchain.go_down()
        with running_devchain(chain_id=5, port=devchain.port):
            eventually(lambda: "serves chain 5" in ingestor.slot.reason, what="the refusal")
            eventually(lambda: ingestor.stalled, what="the ingestor being stalled")
        devchain.come_up()
        eventually(lambda: ingestor.up, what="the ingestor being up again")
