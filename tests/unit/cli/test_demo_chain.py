import pytest

from hookfarm.cli.demo_chain import MOST_BLOCKS, DemoChain
from hookfarm.devchain.library import running_devchain
from hookfarm.errors import ChainUnavailable


def test_it_reads_every_log_of_the_chain_by_its_identity() -> None:
    with running_devchain(logs_per_block=3) as devchain:
        devchain.mine(MOST_BLOCKS * 2 + 1)
        chain = DemoChain("127.0.0.1", devchain.port)
        expected = [f"{log['blockHash']}:{int(log['logIndex'], 16)}" for log in devchain.canonical_logs()]
        assert chain.logs(1, chain.head()) == expected
        assert len(set(expected)) == 3 * (MOST_BLOCKS * 2 + 1)
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
