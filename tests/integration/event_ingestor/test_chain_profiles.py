"""Chains as they really are: on none of them does the ingestor stall, lose or invent a log, or send one twice."""

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.devchain.profiles import PROFILES
from hookfarm.errors import InvalidInput
from hookfarm.event_ingestor.telemetry import report
from tests.support.ingestor import Published, as_events, running_ingestor, url_of
from tests.support.redis_server import RedisServer

BLOCKS = 500
LIVES = 4
"""Ingestors, one after the other."""
LOGS = 3
RENUMBERED = ("stable", "bsc-erigon")
"""Chains whose log indices are replaced."""
NO_TRANSACTION = "0x" + "00" * 32
PLACE = ("transaction_hash", "transaction_index", "log_index")
"""What some chains have otherwise than devchain knows it: of the system's logs, and of all that they count."""


@contextlib.contextmanager
def published_of(server: RedisServer, devchain: RunningDevchain) -> Iterator[Published]:
    published = Published(server, devchain.chain_id)
    yield published
    published.client.close()


def grow(devchain: RunningDevchain, draw: random.Random) -> None:
    """One to ten blocks, one of them perhaps without logs; then perhaps a reorg, and perhaps back."""
    devchain.mine(draw.randint(1, 9))
    if draw.random() < 0.3:
        devchain.mine_calls([])
    if draw.random() < 0.4:
        left, depth = devchain.head().hash, draw.choice([1, 1, 2, 3, 12, 40])
        with contextlib.suppress(InvalidInput):
            devchain.reorg(depth, length=depth + draw.randint(0, 2))
            if draw.random() < 0.3:
                devchain.switch_to(left)
                devchain.mine(3)  # A chain grows: a node over HTTP is not asked for a lower head.


def follow(devchain: RunningDevchain, url: str, redis_url: str, published: Published, seed: int) -> dict[str, Any]:
    """Return the report of the last ingestor, at the head of a chain of BLOCKS blocks."""
    draw = random.Random(seed)
    devchain.mine(60)
    for life in range(1, LIVES + 1):
        with running_ingestor(devchain.chain_id, url, redis_url, from_block=1) as ingestor:
            while devchain.head().number < life * BLOCKS // LIVES:
                grow(devchain, draw)
                if draw.random() < 0.3:
                    published.wait_for(devchain)
            if life == LIVES:
                published.wait_for(devchain)
            [chain] = report([ingestor.slot])["chains"]
        devchain.mine(draw.randint(1, 40))
    return dict(chain)


def comparable(events: Sequence[dict[str, Any]], *ignored: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in event.items() if name not in ignored} for event in events]


@pytest.mark.parametrize(
    ("like", "transport"),
    [*((like, "ws") for like in PROFILES), *((like, "http") for like in ("filecoin", "kava", "zksync", "stable"))],
)
def test_no_chain_stalls_loses_or_invents_a_log(
    redis_server: RedisServer, redis_url: str, like: str, transport: str
) -> None:
    with (
        running_devchain(like=like, logs_per_block=LOGS) as devchain,
        published_of(redis_server, devchain) as published,
    ):
        seed = sorted(PROFILES).index(like)
        chain = follow(devchain, url_of(devchain, transport), redis_url, published, seed)
        assert bool(chain["blocks_renumbered"]) == (like in RENUMBERED)
        with running_ingestor(devchain.chain_id, url_of(devchain, transport), redis_url):
            published.wait_for(devchain)
        events, truth = published.events(), as_events(devchain.canonical_logs(), devchain.chain_id)
        assert comparable(events, *PLACE) == comparable(truth, *PLACE)
        right = [each["log_index"] for each in events] == [each["log_index"] for each in truth]
        assert right != (like == "cronos"), "Cronos counts the logs of failed transactions"
        pairs = [
            (event["transaction_hash"], expected["transaction_hash"])
            for event, expected in zip(events, truth, strict=True)
            if event["transaction_hash"] not in (NO_TRANSACTION, event["block_hash"])
        ]
        assert len(pairs) > len(truth) // 2
        assert all(found == wanted for found, wanted in pairs)
