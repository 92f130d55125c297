"""The demo's audit: logs of the chain against verified webhooks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.cli.demo import audit
from hookfarm.cli.demo.audit import MAX_BLOCKS, DeliveryAudit, DemoChain
from hookfarm.devchain.embedded import running_devchain
from hookfarm.errors import ChainUnavailable


def test_a_log_counts_as_verified_once_its_webhook_has_arrived() -> None:
    logs = DeliveryAudit()
    logs.add_logs(["a:0", "a:1"])
    logs.add_webhook("a:1", "msg_1")
    assert (logs.emitted, logs.verified, logs.missing, logs.is_complete) == (2, 1, ["a:0"], False)
    logs.add_webhook("a:0", "msg_0")
    assert (logs.verified, logs.missing, logs.is_complete) == (2, [], True)


def test_a_webhook_may_be_heard_of_before_its_block() -> None:
    logs = DeliveryAudit()
    logs.add_webhook("a:0", "msg_0")
    assert (logs.verified, logs.unknown) == (0, 1)
    logs.add_logs(["a:0"])
    assert (logs.verified, logs.unknown, logs.is_complete) == (1, 0, True)


def test_a_webhook_that_comes_again_with_its_id_is_repeated_and_counts_once() -> None:
    logs = DeliveryAudit()
    logs.add_logs(["a:0"])
    for _ in range(3):
        logs.add_webhook("a:0", "msg_0")
    assert (logs.verified, logs.repeated, logs.is_complete) == (1, 2, True)


def test_a_webhook_of_no_log_is_unknown() -> None:
    logs = DeliveryAudit()
    logs.add_logs(["a:0"])
    logs.add_webhook("a:0", "msg_0")
    logs.add_webhook("b:0", "msg_1")
    assert (logs.unknown, logs.is_complete) == (1, False)


def test_a_second_id_for_one_log_is_unknown() -> None:
    logs = DeliveryAudit()
    logs.add_logs(["a:0"])
    logs.add_webhook("a:0", "msg_0")
    logs.add_webhook("a:0", "msg_1")
    assert (logs.verified, logs.unknown, logs.is_complete) == (1, 1, False)


@given(st.permutations([*(("emit", n) for n in range(6)), *(("arrive", n) for n in range(6))]))
def test_the_order_of_hearing_does_not_matter(order: list[tuple[str, int]]) -> None:
    logs = DeliveryAudit()
    for what, number in order:
        if what == "emit":
            logs.add_logs([f"a:{number}"])
        else:
            logs.add_webhook(f"a:{number}", f"msg_{number}")
    assert (logs.emitted, logs.verified, logs.repeated, logs.is_complete) == (6, 6, 0, True)


def test_memory_does_not_grow_with_what_was_delivered() -> None:
    logs = DeliveryAudit()
    for number in range(audit.MAX_SETTLED + 10):
        logs.add_logs([f"a:{number}"])
        logs.add_webhook(f"a:{number}", "msg")
    logs.add_webhook("a:9", "msg")
    assert logs.unknown == 1
    logs.add_webhook("a:10", "msg")
    assert logs.repeated == 1


def test_it_reads_every_log_of_the_chain_by_its_identity() -> None:
    with running_devchain(logs_per_block=3) as devchain:
        devchain.mine(MAX_BLOCKS * 2 + 1)
        chain = DemoChain("127.0.0.1", devchain.port)
        expected = [f"{log['blockHash']}:{int(log['logIndex'], 16)}" for log in devchain.canonical_logs()]
        assert chain.logs(1, chain.head()) == expected
        assert len(set(expected)) == 3 * (MAX_BLOCKS * 2 + 1)
        assert chain.logs(2, 1) == []
        chain.close()


def test_it_begins_with_a_block_at_once_and_pauses() -> None:
    with running_devchain(block_time=3600) as devchain:
        devchain.pause()
        chain = DemoChain("127.0.0.1", devchain.port)
        chain.begin()
        assert (chain.head(), devchain.stats()["paused"]) == (1, False)
        chain.pause()
        assert devchain.stats()["paused"] is True
        chain.close()


def test_a_chain_that_is_gone_or_refuses_is_said_to_be_so() -> None:
    with running_devchain() as devchain:
        chain = DemoChain("127.0.0.1", devchain.port)
        with pytest.raises(ChainUnavailable, match=r"^devchain: eth_getLogs: block range extends beyond"):
            chain.logs(1, 5)
        devchain.go_down()
        with pytest.raises(ChainUnavailable, match=r"^devchain: eth_blockNumber: "):
            chain.head()
        devchain.come_up()
        assert chain.head() == 0
        chain.close()
