"""Random chains, faults and restarts: whatever happened, what stands in the stream is the canonical chain."""

import contextlib
import random
from collections.abc import Callable

import pytest

from hookfarm.devchain.block import FORGERIES
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.errors import InvalidInput
from tests.support.ingestor import CHAIN, EVENTS, TRANSPORTS, Published, canonical, running_ingestor, url_of

SEEDS = range(4)
LIVES = 4
STEPS = 12

Step = Callable[[RunningDevchain, random.Random], object]


def reorg(devchain: RunningDevchain, draw: random.Random) -> None:
    depth = min(draw.choice([1, 1, 2, 5, 30]), devchain.head().number)
    if depth:
        left = devchain.head().hash
        length = depth + draw.randrange(3)
        with contextlib.suppress(InvalidInput):  # A fault may have made the chain shorter meanwhile.
            devchain.reorg(depth, length=length)
        if draw.random() < 0.4:
            with contextlib.suppress(InvalidInput):
                devchain.switch_to(left)


def fault(kind: str, **parameters: str | int) -> Step:
    return lambda devchain, draw: devchain.set_fault(kind, draw.randrange(1, 5), **parameters)


STEPS_AND_WEIGHTS: list[tuple[Step, int]] = [
    (lambda devchain, draw: devchain.mine(draw.randrange(1, 6)), 10),
    (lambda devchain, draw: devchain.mine(draw.randrange(40, 120)), 1),
    (reorg, 5),
    (lambda devchain, _: devchain.drop_connections(), 1),
    (fault("omitted_logs"), 1),
    (fault("omitted_logs", where="first"), 1),
    (fault("omitted_receipt_logs"), 1),
    (fault("omitted_receipts"), 1),
    (fault("announced_heads"), 1),
    (fault("announced_heads", shown="other_hash"), 1),
    (fault("announced_heads", shown="zero_parent"), 1),
    (fault("blooms_without_system_logs"), 1),
    (fault("constant_blooms"), 1),
    (fault("nulls"), 1),
    (fault("lag", blocks=3), 1),
    (fault("half_frame"), 1),
    (fault("dropped_heads"), 1),
    (fault("swapped_heads"), 1),
    (fault("refused_ranges", blocks=3, provider="infura"), 1),
    (fault("reorg_on_call", depth=3, more=1), 1),
    (fault("reorg_on_call", depth=2, more=1, method="eth_getBlockByNumber"), 1),
    (fault("return_on_call"), 1),
]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_what_stands_is_the_canonical_chain(
    redis_url: str, published: Published, transport: str, seed: int
) -> None:
    with running_devchain(chain_id=CHAIN, logs_per_block=EVENTS, null_round_every=5 * (seed % 2)) as devchain:
        follow(devchain, redis_url, published, transport, random.Random(seed))


FORGERIES_AND_WEIGHTS: list[tuple[Step, int]] = [
    (
        lambda devchain, draw: devchain.set_fault(
            "forged_blocks", forgery=draw.choice(list(FORGERIES)), header=draw.choice(["true", "bloom", "roots"])
        ),
        2,
    ),
    (lambda devchain, _: devchain.clear_faults("forged_blocks"), 3),
]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_with_receipts_root_it_is_so_on_a_node_that_forges_blocks_too(
    redis_url: str, published: Published, transport: str, seed: int
) -> None:
    with running_devchain(chain_id=CHAIN, logs_per_block=EVENTS, null_round_every=5 * (seed % 2)) as devchain:
        devchain.mine(1)
        with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1, verify="receipts-root"):
            published.wait_for(devchain)
        steps = STEPS_AND_WEIGHTS + FORGERIES_AND_WEIGHTS
        follow(devchain, redis_url, published, transport, random.Random(seed), steps, verify="receipts-root")


def follow(
    devchain: RunningDevchain,
    redis_url: str,
    published: Published,
    transport: str,
    draw: random.Random,
    steps_and_weights: list[tuple[Step, int]] = STEPS_AND_WEIGHTS,
    verify: str | None = None,
) -> None:
    steps, weights = zip(*steps_and_weights, strict=True)
    for life in range(LIVES):
        with running_ingestor(
            CHAIN, url_of(devchain, transport), redis_url, from_block=1, verify=verify
        ) as ingestor:
            for step in draw.choices(steps, weights, k=STEPS):
                step(devchain, draw)
                if draw.random() < 0.3:
                    published.events()
            if life == LIVES - 1:
                devchain.clear_faults()
                devchain.mine(1)
                published.wait_for(devchain)
        assert ingestor.error is None
        devchain.clear_faults()
    assert published.events() == canonical(devchain)
