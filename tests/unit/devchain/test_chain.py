from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookfarm.devchain.block import DevBlock
from hookfarm.devchain.chain import DevChain, DevchainOptions
from hookfarm.devchain.serializers import logs_json
from hookfarm.devchain.transaction import Log, account, call_of_logs
from hookfarm.errors import InvalidInput

NOW = 1_800_000_000


def chain_of(blocks: int, **options: int) -> DevChain:
    chain = DevChain(DevchainOptions(**{"logs_per_block": 2} | options))  # type: ignore[arg-type]
    for i in range(blocks):
        chain.mine(NOW + i)
    return chain


def hashes(chain: DevChain) -> list[str]:
    return [block.hash for block in chain.canonical_blocks()]


def assert_consistent(chain: DevChain) -> None:
    blocks = list(chain.canonical_blocks())
    assert [block.number for block in blocks] == list(range(len(blocks)))
    for parent, child in pairwise(blocks):
        assert child.parent_hash == parent.hash
        assert child.header.timestamp >= parent.header.timestamp
    for block in blocks:
        assert_findable(chain, block)
    assert chain.canonical_log_count == sum(block.log_count for block in blocks)


def assert_findable(chain: DevChain, block: DevBlock) -> None:
    assert chain.block(block.number) is block
    assert chain.block_by_hash(block.hash) is block
    assert [int(log["logIndex"], 16) for log in logs_json(block)] == list(range(block.log_count))
    for index, transaction in enumerate(block.transactions):
        assert chain.position(transaction.hash) == (block, index)


def test_same_options_and_calls_give_the_same_hashes() -> None:
    first, second = chain_of(5), chain_of(5)
    first.reorg(2, NOW)
    second.reorg(2, NOW)
    assert hashes(first) == hashes(second)


@pytest.mark.parametrize("other", [{"seed": 2}, {"chain_id": 1}])
def test_seed_and_chain_id_decide_the_genesis_hash(other: dict[str, int]) -> None:
    assert hashes(chain_of(0)) != hashes(chain_of(0, **other))


def test_genesis_does_not_depend_on_the_number_of_logs() -> None:
    assert hashes(chain_of(0)) == hashes(chain_of(0, logs_per_block=7))


def test_mined_block_holds_the_given_logs() -> None:
    chain = chain_of(1)
    log = Log.parse("0x" + "11" * 20, ["0x" + "22" * 32, "0x" + "33" * 32], "0x4455")
    block = chain.mine(NOW, [call_of_logs([log], account(0))])
    [shown] = logs_json(block)
    assert shown["address"] == "0x" + "11" * 20
    assert shown["topics"] == ["0x" + "22" * 32, "0x" + "33" * 32]
    assert shown["data"] == "0x4455"


def test_same_log_in_two_blocks_comes_from_two_transactions() -> None:
    chain = chain_of(0)
    call = call_of_logs([Log.parse("0x" + "11" * 20)], account(0))
    first, second = chain.mine(NOW, [call]), chain.mine(NOW, [call])
    assert first.transactions[0].hash != second.transactions[0].hash


def test_reorg_replaces_the_last_blocks_by_others() -> None:
    chain = chain_of(5)
    before = hashes(chain)
    change = chain.reorg(2, NOW)
    assert [block.hash for block in change.removed] == before[-2:]
    assert [block.number for block in change.added] == [4, 5]
    assert hashes(chain)[:4] == before[:4]
    assert not set(hashes(chain)[4:]) & set(before)
    assert_consistent(chain)


def test_reorg_of_empty_blocks_gives_other_hashes() -> None:
    chain = chain_of(3, logs_per_block=0)
    change = chain.reorg(1, chain.head.header.timestamp)
    assert change.removed[0].hash != change.added[0].hash


def test_reorg_may_grow_the_chain() -> None:
    chain = chain_of(5)
    chain.reorg(2, NOW, length=4)
    assert chain.head.number == 7
    assert_consistent(chain)


def test_replaced_block_stays_readable_by_hash_but_not_by_number() -> None:
    chain = chain_of(3)
    [replaced] = chain.reorg(1, NOW).removed
    assert chain.block_by_hash(replaced.hash) is replaced
    assert not chain.is_canonical(replaced.hash)
    assert chain.block(3) is not replaced
    assert chain.position(replaced.transactions[0].hash) is None


def test_reorg_with_the_same_transactions_moves_them_to_new_blocks() -> None:
    chain = chain_of(4)
    change = chain.reorg(2, NOW, length=3, same_transactions=True)
    for old, new in zip(change.removed, change.added, strict=False):
        assert old.hash != new.hash
        assert [each.hash for each in old.transactions] == [each.hash for each in new.transactions]
    assert_consistent(chain)


def test_reorg_fills_the_first_blocks_with_the_given_logs() -> None:
    chain = chain_of(3)
    log = Log.parse("0x" + "11" * 20)
    change = chain.reorg(2, NOW, contents=[[call_of_logs([log, log], account(0))], []])
    assert [block.log_count for block in change.added] == [2, 0]


@pytest.mark.parametrize(("depth", "length"), [(0, None), (-1, None), (4, None), (2, 1), (2, 0), (1, 100_000)])
def test_impossible_reorg_is_refused_and_changes_nothing(depth: int, length: int | None) -> None:
    chain = chain_of(3)
    before = hashes(chain)
    with pytest.raises(InvalidInput):
        chain.reorg(depth, NOW, length=length)
    assert hashes(chain) == before


def test_a_replaced_branch_can_become_canonical_again_and_the_other_one_too() -> None:
    chain = chain_of(6)
    first = hashes(chain)
    chain.reorg(3, 0, length=5)
    second = hashes(chain)
    change = chain.switch_to(first[-1])
    assert hashes(chain) == first
    assert [len(change.removed), len(change.added)] == [5, 3]
    assert_consistent(chain)
    chain.switch_to(second[-1])
    assert hashes(chain) == second
    assert_consistent(chain)


@pytest.mark.parametrize("block", ["0x" + "11" * 32, "head"])
def test_only_a_replaced_block_can_be_switched_to(block: str) -> None:
    chain = chain_of(3)
    with pytest.raises(InvalidInput, match="not a remembered replaced block"):
        chain.switch_to(chain.head.hash if block == "head" else block)


def test_time_never_runs_backwards() -> None:
    chain = chain_of(1)
    assert chain.mine(NOW - 100).header.timestamp == NOW


def test_oldest_bodies_are_pruned_beyond_the_history() -> None:
    chain = chain_of(10, logs_per_block=2, history_logs=6)
    assert chain.first_with_body == 8
    assert [len(block.transactions) for block in chain.canonical_blocks()] == [0] * 8 + [2] * 3
    assert chain.canonical_log_count == 20
    assert chain.deepest_reorg() == 3
    with pytest.raises(InvalidInput):
        chain.reorg(4, NOW)
    chain.reorg(3, NOW)
    assert chain.head.number == 10


steps = st.lists(
    st.one_of(
        st.tuples(st.just("mine"), st.integers(1, 4), st.just(0), st.booleans()),
        st.tuples(st.just("reorg"), st.integers(1, 6), st.integers(0, 3), st.booleans()),
    ),
    max_size=15,
)


@settings(max_examples=60)
@given(steps)
def test_any_sequence_of_blocks_and_reorgs_leaves_a_consistent_chain(
    sequence: list[tuple[str, int, int, bool]],
) -> None:
    chain, seen = chain_of(1, logs_per_block=2), set[str]()
    for kind, size, growth, same in sequence:
        if kind == "mine":
            added = tuple(chain.mine(NOW) for _ in range(size))
        else:
            depth = min(size, chain.head.number)
            added = chain.reorg(depth, NOW, length=depth + growth, same_transactions=same).added
        new = {block.hash for block in added}
        assert len(new) == len(added)
        assert not new & seen
        seen |= new
        assert_consistent(chain)
