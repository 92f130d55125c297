from hookfarm.chain.block import Head
from hookfarm.event_ingestor import telemetry
from hookfarm.event_ingestor.telemetry import IngestorCounters
from hookfarm.farm.scoreboard import Scoreboard
from tests.support.chain_samples import header


def test_the_slot_shows_every_number_at_its_place() -> None:
    [slot] = Scoreboard({"event_ingestor": 1}).slots("event_ingestor")
    numbers = IngestorCounters(slot, 137, clock=lambda: 1_700_000_000.25)
    numbers.requested()
    numbers.requested()
    numbers.head(Head(9))
    numbers.published(header(7), events=3)
    numbers.published(header(8), events=4)
    assert {
        "head": slot.counter(telemetry.HEAD),
        "checkpoint": slot.counter(telemetry.CHECKPOINT),
        "events": slot.counter(telemetry.EVENTS_PUBLISHED),
        "seen": slot.counter(telemetry.HEAD_SEEN_AT_MS),
        "timestamp": slot.counter(telemetry.BLOCK_TIMESTAMP),
        "requests": slot.counter(telemetry.RPC_REQUESTS),
        "chain": slot.counter(telemetry.CHAIN_ID),
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
        telemetry.HEAD,
        telemetry.CHECKPOINT,
        telemetry.EVENTS_PUBLISHED,
        telemetry.HEAD_SEEN_AT_MS,
    )
    places += (telemetry.BLOCK_TIMESTAMP, telemetry.RPC_REQUESTS, telemetry.CHAIN_ID, telemetry.REQUESTS_PER_BLOCK)
    places += (
        telemetry.CATCHING_UP,
        telemetry.BLOCKS_PER_SECOND,
        telemetry.SECONDS_LEFT,
        telemetry.EVENTS_REMOVED,
    )
    assert (*places, telemetry.REORGS, telemetry.DEEP_REORGS, telemetry.BLOCKS_REPAIRED) == tuple(range(15))


def test_requests_per_block_are_those_of_the_last_blocks_at_the_tip() -> None:
    [slot] = Scoreboard({"event_ingestor": 1}).slots("event_ingestor")
    numbers = IngestorCounters(slot, 137)
    for number in range(100, 200):
        for _ in range(2 if number % 2 else 3):
            numbers.requested()
        numbers.checkpoint(number)
        numbers.at_the_tip()
    assert slot.counter(telemetry.REQUESTS_PER_BLOCK) in (249, 250)
