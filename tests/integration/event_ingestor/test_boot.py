"""How long the ingestor tries to start, and what it says when it cannot."""

from hookfarm.chain.timing import NodeTimeouts
from hookfarm.devchain.embedded import RunningDevchain
from hookfarm.errors import CouldNotBoot
from tests.support.ingestor import CHAIN, Published, running_ingestor


def test_a_node_that_does_not_answer_within_the_boot_is_named_by_its_origin(
    devchain: RunningDevchain, redis_url: str
) -> None:
    devchain.go_down()
    address = f"{devchain.ws_url}/v3/canary?key=canary"
    with running_ingestor(
        CHAIN, address, redis_url, timeouts=NodeTimeouts(boot_seconds=0.3), wait=False
    ) as ingestor:
        ingestor.join()
    assert isinstance(ingestor.error, CouldNotBoot)
    assert str(ingestor.error).startswith(f"chain {CHAIN}: {devchain.ws_url}: ")
    assert "\n" not in str(ingestor.error)
    assert "canary" not in str(ingestor.error)


def test_a_silent_node_does_not_hold_the_boot_longer_than_it_may_take(
    devchain: RunningDevchain, redis_url: str
) -> None:
    devchain.set_fault("silence")
    timeouts = NodeTimeouts(boot_seconds=0.3, connect_seconds=0.1, request_seconds=60)
    with running_ingestor(CHAIN, devchain.http_url, redis_url, timeouts=timeouts, wait=False) as ingestor:
        ingestor.join()
    assert isinstance(ingestor.error, CouldNotBoot)
    assert f"chain {CHAIN}" in str(ingestor.error)
    devchain.clear_faults()


def test_a_node_that_comes_up_during_the_boot_is_used(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.go_down()
    with running_ingestor(
        CHAIN, devchain.ws_url, redis_url, timeouts=NodeTimeouts(boot_seconds=10), wait=False
    ) as ingestor:
        devchain.come_up()
        ingestor.wait_until_up()
        devchain.mine(1)
        published.wait_for(devchain)
