"""The boot of an ingestor whose node does not answer, or not yet."""

from dataclasses import replace

from hookfarm.devchain.embedded import RunningDevchain
from tests.support.ingestor import CHAIN, QUICK, Published, running_ingestor
from tests.support.waiting import eventually


def test_a_dead_node_is_named_by_its_origin_until_it_answers(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.go_down()
    address = f"{devchain.ws_url}/v3/canary?key=canary"
    with running_ingestor(CHAIN, address, redis_url, wait=False) as ingestor:
        eventually(lambda: ingestor.stalled, what="the ingestor being stalled")
        assert ingestor.slot.reason.startswith(f"chain {CHAIN}: {devchain.ws_url}: ")
        assert "canary" not in ingestor.slot.reason
        devchain.come_up()
        ingestor.wait_until_up()
        devchain.mine(1)
        published.wait_for(devchain)
    assert ingestor.error is None


def test_a_silent_node_is_named_before_its_request_times_out(devchain: RunningDevchain, redis_url: str) -> None:
    devchain.set_fault("silence")
    patient = replace(QUICK, request_seconds=600)
    with running_ingestor(CHAIN, devchain.http_url, redis_url, timeouts=patient, wait=False) as ingestor:
        eventually(lambda: ingestor.stalled, what="the ingestor being stalled")
        assert ingestor.slot.reason == f"chain {CHAIN}: {devchain.http_url}: no answer yet"
    devchain.clear_faults()


def test_a_node_that_fails_in_the_middle_of_the_boot_is_tried_again(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.mine(3)
    devchain.set_fault("error", 6, method="eth_getBlockByNumber")
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=2):
        published.wait_for(devchain)
