from hookfarm.devchain.chain import DevchainOptions
from hookfarm.devchain.node import DevNode, next_due, tick


def test_next_tick_keeps_the_rhythm() -> None:
    assert next_due(due=10.0, interval=1.0, now=10.2) == 11.0


def test_missed_ticks_are_left_out() -> None:
    assert next_due(due=10.0, interval=1.0, now=17.5) == 18.5


def test_every_third_tick_replaces_two_blocks_by_three() -> None:
    node = DevNode(DevchainOptions(reorg_every=3, reorg_depth=2, logs_per_block=1))
    for ticks in (1, 2):
        tick(node, ticks)
    replaced = [node.chain.block(1), node.chain.block(2)]
    tick(node, 3)
    assert node.chain.head.number == 3
    assert node.chain.block(1) not in replaced
    assert node.chain.block(2) not in replaced


def test_reorg_at_the_very_beginning_just_mines() -> None:
    node = DevNode(DevchainOptions(reorg_every=1, reorg_depth=5))
    tick(node, 1)
    assert node.chain.head.number == 1
