from dataclasses import replace
from typing import Any

from hookfarm.chain.node_sample import NOTE, OK, BlockSample, judge, judge_speed
from tests.support.chain_samples import ZERO_BLOOM, header


def sample(number: int, **changes: Any) -> BlockSample:
    of = replace(header(number), **changes)
    return BlockSample(of, frozenset(), (), [], [], frozenset())


def test_a_block_that_does_not_follow_the_one_before_is_found() -> None:
    first = sample(5)
    second = sample(6, parent_hash=first.header.block_hash)
    assert next(judge([first, second])).level == OK
    found = next(judge([first, sample(6, parent_hash="0x" + "ff" * 32)]))
    assert (found.level, found.found) == (NOTE, "block 6 does not name block 5 as its parent")


def test_a_sample_without_logs_leaves_the_bloom_unknown() -> None:
    [bloom] = [each for each in judge([sample(5, logs_bloom=ZERO_BLOOM)]) if each.name == "bloom"]
    assert (bloom.level, bloom.found) == (NOTE, "no logs in the sample")


def test_a_node_slower_than_its_chain_is_found() -> None:
    assert [each.level for each in judge_speed(0.3, 0.25, is_rate_limited=False)] == [NOTE]
    assert [each.level for each in judge_speed(0.2, 0.25, is_rate_limited=False)] == [OK]
    assert [each.level for each in judge_speed(3.0, 0.0, is_rate_limited=False)] == [OK], "unknown block time"
