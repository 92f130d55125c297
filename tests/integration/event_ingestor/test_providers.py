"""Several providers of one chain, and providers of another one."""

from hookfarm import keys
from hookfarm.chain.timing import Limits
from hookfarm.devchain.library import RunningDevchain, running_devchain
from hookfarm.errors import WrongChain
from hookfarm.farm.board import TEXT_BYTES
from tests.support.ingestor import CHAIN, EVENTS, Published, canonical, running_ingestor
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
    patient = Limits(boot_seconds=600)
    with running_ingestor(1, f"{devchain.ws_url}/v3/canary", redis_url, limits=patient, wait=False) as ingestor:
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
        for part in (other.ws_url, keys.identity(CHAIN), keys.checkpoint(CHAIN)):
            assert part in str(ingestor.error)
        assert len(str(ingestor.error)) <= TEXT_BYTES, "the slot would cut it off"


def test_another_chain_that_takes_the_place_of_the_node_stalls_it(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        devchain.go_down()
        with running_devchain(chain_id=5, port=devchain.port):
            eventually(lambda: "serves chain 5" in ingestor.slot.reason, within=15, what="the refusal")
            assert ingestor.stalled
        devchain.come_up()
        eventually(lambda: ingestor.up, within=15, what="the ingestor being up again")
