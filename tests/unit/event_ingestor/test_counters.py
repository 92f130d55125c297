from hookfarm.chain.block import Head
from hookfarm.event_ingestor import counters
from hookfarm.event_ingestor.counters import Gauges
from hookfarm.farm.scoreboard import Scoreboard
from tests.unit.chain.samples import header


def test_the_slot_shows_every_number_at_its_place() -> None:
    [slot] = Scoreboard({"event_ingestor": 1}).slots("event_ingestor")
    numbers = Gauges(slot, 137, clock=lambda: 1_700_000_000.25)
    numbers.requested()
    numbers.requested()
    numbers.head(Head(9))
    numbers.published(header(7), events=3)
    numbers.published(header(8), events=4)
    assert {
        "head": slot.counter(counters.HEAD),
        "checkpoint": slot.counter(counters.CHECKPOINT),
        "events": slot.counter(counters.EVENTS_PUBLISHED),
        "seen": slot.counter(counters.HEAD_SEEN_AT_MS),
        "timestamp": slot.counter(counters.BLOCK_TIMESTAMP),
        "requests": slot.counter(counters.RPC_REQUESTS),
        "chain": slot.counter(counters.CHAIN_ID),
    } == {
        "head": 9,
        "checkpoint": 8,
        "events": 7,
        "seen": 1_700_000_000_250,
        "timestamp": 1_700_000_008,
        "requests": 2,
        "chain": 137,
    }


def test_the_places_are_those_that_readers_know() -> None:
    places: tuple[int, ...] = (
        counters.HEAD,
        counters.CHECKPOINT,
        counters.EVENTS_PUBLISHED,
        counters.HEAD_SEEN_AT_MS,
    )
    places += (counters.BLOCK_TIMESTAMP, counters.RPC_REQUESTS, counters.CHAIN_ID, counters.REQUESTS_PER_BLOCK)
    places += (counters.CATCHING_UP, counters.BLOCKS_PER_SECOND, counters.SECONDS_LEFT, counters.EVENTS_REMOVED)
    assert (*places, counters.REORGS, counters.DEEP_REORGS, counters.BLOCKS_REPAIRED) == tuple(range(15))


def test_requests_per_block_are_those_of_the_last_blocks_at_the_tip() -> None:
    [slot] = Scoreboard({"event_ingestor": 1}).slots("event_ingestor")
    numbers = Gauges(slot, 137)
    for number in range(100, 200):
        for _ in range(2 if number % 2 else 3):
            numbers.requested()
        numbers.checkpoint(number)
        numbers.at_the_tip()
    assert slot.counter(counters.REQUESTS_PER_BLOCK) in (249, 250)
