"""The ingestor and a Redis that is away, full, flushed, rolled back, or shared."""

from hookfarm.devchain.embedded import RunningDevchain
from hookfarm.store import keys
from tests.support.ingestor import CHAIN, Published, canonical, running_ingestor
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


def test_a_redis_that_is_away_stalls_it_and_loses_nothing(
    devchain: RunningDevchain, redis_server: RedisServer, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_server.url) as ingestor:
        devchain.mine(2)
        published.wait_for(devchain)
        redis_server.kill(synced=True)
        devchain.mine(2)
        eventually(lambda: ingestor.stalled, what="the ingestor saying that it is stalled")
        assert "Redis" in ingestor.slot.reason
        redis_server.start()
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up again")
    assert published.events() == canonical(devchain)


def test_a_full_redis_holds_it_back_until_there_is_room(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        published.client.config_set("maxmemory-policy", "noeviction")
        published.client.config_set("maxmemory", "1")
        devchain.mine(2)
        eventually(lambda: ingestor.stalled, what="the ingestor saying that it is stalled")
        assert published.events() == []
        published.client.config_set("maxmemory", "0")
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_two_ingestors_of_one_chain_publish_every_log_once(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with (
        running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1),
        running_ingestor(CHAIN, devchain.http_url, redis_url, from_block=1),
    ):
        for _ in range(20):
            devchain.mine(3)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_a_flushed_redis_gets_the_checkpoint_again(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        devchain.mine(3)
        published.wait_for(devchain)
        published.client.flushall()
        devchain.mine(2)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain, above=3)


def test_a_checkpoint_that_was_rolled_back_is_gone_back_to(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        devchain.mine(2)
        published.wait_for(devchain)
        before = published.client.get(keys.checkpoint(CHAIN))
        assert before is not None
        devchain.mine(2)
        published.wait_for(devchain)
        published.client.set(keys.checkpoint(CHAIN), before)
        published.client.xtrim(keys.events(CHAIN), maxlen=0)
        devchain.mine(1)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain, above=2)
