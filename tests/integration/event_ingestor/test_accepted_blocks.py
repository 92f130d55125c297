"""One block that stays unproven: shown, accepted by an operator, and published exactly once."""

from typing import Any

import pytest
import redis

from hookfarm.delivery_queue import operational
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.devchain.transaction import Log, account, call_of_logs, native_transfer
from hookfarm.errors import Conflict, NotFound
from hookfarm.event_stream import DoubtfulBlock, accept_block, doubtful_block
from hookfarm.records import parse_endpoint
from hookfarm.records.operational import CHAIN_BLOCK_ACCEPTED
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from tests.support.ingestor import CHAIN, EVENTS, Published, canonical, running_ingestor
from tests.support.transfers import canonical_transfers
from tests.support.waiting import eventually


def shorten(devchain: RunningDevchain) -> None:
    """Let the node omit the last log of each block, and have no receipts."""
    devchain.set_fault("omitted_logs", logs=1)
    devchain.set_fault("error", method="eth_getBlockReceipts", message="the method does not exist")
    devchain.set_fault("nulls", method="eth_getTransactionReceipt")


def subscribe(published: Published, subscription: dict[str, Any]) -> None:
    endpoint = {"url": "https://a.example", "subscriptions": [subscription]}
    Registry(published.client).add(parse_endpoint(endpoint, str))


def the_doubt(published: Published, number: int) -> DoubtfulBlock:
    """Wait until the block is stored as doubtful; return it."""

    def stored() -> DoubtfulBlock | None:
        try:
            return doubtful_block(published.client, CHAIN, number)
        except (Conflict, NotFound):
            return None

    found = eventually(stored, what=f"block {number} being doubtful")
    assert found is not None
    return found


def test_a_doubtful_block_is_published_once_it_is_accepted_and_logged_with_who_accepted_it(
    devchain: RunningDevchain, redis_url: str, published: Published, caplog: pytest.LogCaptureFixture
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1) as ingestor:
        devchain.mine(2)
        published.wait_for(devchain)
        shorten(devchain)
        [mined] = devchain.mine(1)
        block = the_doubt(published, 3)
        assert (block.block_hash, block.logs, block.found_by) == (mined.hash, EVENTS - 1, "event_ingestor")
        assert "some are missing" in block.reason
        accept_block(published.client, CHAIN, block, "operator@host")
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the chain being followed again")
        devchain.clear_faults()
        devchain.mine(1)
        published.wait_for(devchain)
    expected = canonical(devchain)
    assert published.entries() == [*expected[: 3 * EVENTS - 1], *expected[3 * EVENTS :]], "one is missing"
    [record] = [record for record in caplog.records if record.message == "accepted block"]
    fields: dict[str, Any] = vars(record)["fields"]
    assert (fields["block"], fields["accepted_by"]) == (3, "operator@host")
    with pytest.raises(Conflict, match="block 3: already passed; the checkpoint is block 4"):
        doubtful_block(published.client, CHAIN, 3)


def test_another_block_of_the_same_number_needs_another_acceptance(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.mine(2)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        shorten(devchain)
        devchain.mine(1)
        first = the_doubt(published, 3)
        devchain.pause()
        devchain.set_fault("silence")
        accept_block(published.client, CHAIN, first, "operator@host")
        devchain.reorg(1)
        devchain.clear_faults("silence")
        devchain.resume()
        eventually(
            lambda: published.client.hget(keys.doubtful_blocks(CHAIN), "3") not in (None, first.encode().encode()),
            what="the other block being doubtful",
        )
        assert ingestor.stalled
        assert published.entries() == []
        with pytest.raises(Conflict, match="block 3: no longer doubtful, or another block by now"):
            accept_block(published.client, CHAIN, first, "operator@host")
        accept_block(published.client, CHAIN, the_doubt(published, 3), "operator@host")
        published.wait_for(devchain)


def test_repeated_log_indices_are_published_with_an_identity_each(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.http_url, redis_url):
        devchain.set_fault("wrong_log_indices", shown="repeated")
        devchain.set_fault("wrong_blooms")
        devchain.mine(1)
        block = the_doubt(published, 1)
        assert "log indices are not 0 to 2" in block.reason
        accept_block(published.client, CHAIN, block, "operator@host")
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain), "renumbered by position, which is right here"


def test_a_node_that_gives_fewer_logs_than_were_accepted_is_not_believed(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        shorten(devchain)
        devchain.mine(1)
        block = the_doubt(published, 1)
        devchain.clear_faults("omitted_logs")
        devchain.set_fault("omitted_logs", logs=2)
        eventually(lambda: the_doubt(published, 1).logs == EVENTS - 2, what="the node giving fewer")
        accept_block(published.client, CHAIN, block, "operator@host")
        eventually(
            lambda: "accepted with 2 logs, and the node gives fewer" in the_doubt(published, 1).reason,
            what="the acceptance being refused",
        )
        assert published.entries() == []
        devchain.clear_faults("omitted_logs")
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain), "the proof came back"


def test_a_block_is_accepted_with_the_transfers_that_receipts_show(redis_url: str, published: Published) -> None:
    subscribe(published, {"kind": "transfer", "chain_id": CHAIN})
    with running_devchain(chain_id=CHAIN) as devchain:
        with running_ingestor(CHAIN, devchain.ws_url, redis_url):
            devchain.set_fault("omitted_transactions", transactions=1)
            log = Log(account(9), (), b"")
            mined = devchain.mine_calls(
                [
                    native_transfer(account(1), account(2), 5),
                    call_of_logs([log], account(1)),
                    call_of_logs([log], account(1)),
                ]
            )
            block = the_doubt(published, 1)
            assert (block.block_hash, block.logs) == (mined.hash, 2)
            assert "3 receipts are not those of its 2 transactions" in block.reason
            accept_block(published.client, CHAIN, block, "operator@host")
            published.wait_for(devchain)
            devchain.clear_faults()
            devchain.set_fault("wrong_log_indices", shown="repeated")
            devchain.set_fault("wrong_blooms")
            two = call_of_logs([log, Log(account(9), (), b"other")], account(1))
            devchain.mine_calls([native_transfer(account(1), account(2), 6), two])
            accept_block(published.client, CHAIN, the_doubt(published, 2), "operator@host")
            published.wait_for(devchain)
        entries = published.entries()
        assert [entry for entry in entries if "log_index" not in entry] == canonical_transfers(devchain)
        assert [entry["log_index"] for entry in entries if "log_index" in entry] == [0, 1, 0, 1]


def test_what_cannot_be_accepted_is_refused_in_one_line(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with pytest.raises(NotFound, match=r"^chain 31337: unknown; no farm on this Redis has followed it$"):
        doubtful_block(published.client, CHAIN, 1)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
        devchain.mine(1)
        published.wait_for(devchain)
        with pytest.raises(Conflict, match=r"^block 9: not doubtful; the chain has no doubtful block$"):
            doubtful_block(published.client, CHAIN, 9)
        shorten(devchain)
        devchain.mine(1)
        the_doubt(published, 2)
        with pytest.raises(Conflict, match=r"^block 9: not doubtful; the chain waits for a proof of 2$"):
            doubtful_block(published.client, CHAIN, 9)
        devchain.set_fault("error", method="eth_getLogs", message="the logs are pruned")
        eventually(lambda: no_logs(published.client), what="no source giving logs")


def no_logs(client: redis.Redis) -> bool:
    try:
        doubtful_block(client, CHAIN, 2)
    except Conflict as error:
        return str(error).startswith("block 2: the node gives no logs of it to publish: ")
    return False


def test_an_acceptance_is_told_to_endpoints_that_subscribe_to_it(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    subscribe(published, {"kind": "operational", "events": [CHAIN_BLOCK_ACCEPTED]})
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        shorten(devchain)
        devchain.mine(1)
        block = the_doubt(published, 1)
        accept_block(published.client, CHAIN, block, "operator@host")
        assert operational.deliver_events(published.client) == 1
        published.wait_for(devchain)
    [stored] = published.client.hvals(keys.JOBS)
    assert b'"hookfarm.chain.block_accepted"' in stored
    assert block.block_hash.encode() in stored
    assert b'"accepted_by":"operator@host"' in stored
