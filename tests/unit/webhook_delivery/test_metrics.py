"""What the delivery processes have counted, as metrics."""

from collections.abc import Sequence
from typing import Any

import pytest

from hookfarm.deliveries.filters import TRANSPORT_ERRORS
from hookfarm.farm.scoreboard import Board, Slot
from hookfarm.http_client import outcome
from hookfarm.http_client.outcome import Response, TransportError
from hookfarm.metrics import Distribution
from hookfarm.webhook_delivery import counters, metrics


@pytest.fixture
def slots() -> Sequence[Slot]:
    return Board({"webhook_delivery": 2}).slots("webhook_delivery")


def told(slots: Sequence[Slot]) -> dict[str, Any]:
    """Name -> value, or label -> value where there are labels."""
    found: dict[str, Any] = {}
    for family in metrics.families(slots):
        by_label = {next(iter(sample.labels.values()), ""): sample.value for sample in family.samples}
        found[family.name] = by_label.get("", by_label)
    return found


def test_attempts_are_told_by_outcome_over_all_processes(slots: Sequence[Slot]) -> None:
    slots[0].add(counters.DELIVERED, 5)
    slots[1].add(counters.DELIVERED, 2)
    slots[1].add(counters.failure("timeout"))
    slots[0].add(counters.failure("5xx"), 3)
    attempts = told(slots)["webhook_delivery_attempts"]
    assert (attempts.pop("2xx"), attempts.pop("5xx"), attempts.pop("timeout")) == (7, 3, 1)
    assert set(attempts.values()) == {0}
    assert set(attempts) == {"3xx", "4xx", "other_status"} | set(TRANSPORT_ERRORS) - {"timeout"}


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (Response(301), "3xx"),
        (Response(410), "4xx"),
        (Response(429), "4xx"),
        (Response(503), "5xx"),
        (Response(999), "other_status"),
        *((TransportError(word, ""), word) for word in TRANSPORT_ERRORS),
    ],
)
def test_every_failure_has_a_kind_that_is_counted(
    slots: Sequence[Slot], result: outcome.Result, kind: str
) -> None:
    assert outcome.kind(result) == kind
    slots[0].add(counters.failure(kind))
    assert told(slots)["webhook_delivery_attempts"][kind] == 1


@pytest.mark.parametrize(
    ("reason", "counted"),
    [("exhausted", "exhausted"), ("endpoint_invalid: url: no", "endpoint_invalid"), ("never heard of", "other")],
)
def test_the_dead_are_told_by_the_word_for_why(slots: Sequence[Slot], reason: str, counted: str) -> None:
    slots[1].add(counters.death(reason))
    dead = told(slots)["webhook_delivery_dead_letters"]
    assert dead.pop(counted) == 1
    assert set(dead.values()) == {0}


def test_no_two_counters_share_a_place() -> None:
    single = [counters.RETRIES, counters.ORPHANS, counters.POST_MICROSECONDS, counters.QUEUE_MICROSECONDS]
    failures = [counters.failure(kind) for kind in outcome.KINDS]
    deaths = [counters.death(reason) for reason in counters.DEATH_REASONS]
    times = [start + i for start in (counters.POST_TIMES, counters.QUEUE_TIMES) for i in range(counters.BUCKETS)]
    every = [*range(counters.ASKED_NS + 1), *single, *failures, *deaths, *times]
    assert len(every) == len(set(every))


def test_the_histogram_counts_every_attempt_once_and_under_its_limits(slots: Sequence[Slot]) -> None:
    durations = [10, 700, 1_023, 1_024, 90_000, 20_000_000, 59_000_000]
    for place, microseconds in enumerate(durations):
        slot = slots[place % 2]
        slot.add(counters.POST_TIMES + counters.bucket(microseconds))
        slot.add(counters.POST_MICROSECONDS, microseconds)
    found = told(slots)["webhook_delivery_attempt_duration_seconds"]
    assert isinstance(found, Distribution)
    assert found.count == len(durations)
    assert found.sum == pytest.approx(sum(durations) / 1e6)
    expected = tuple(sum(d / 1e6 < limit for d in durations) for limit in found.limits)
    assert found.at_most == expected
    assert found.limits[0] == 0.000512
    assert found.limits[-1] == 33.554432


def test_processes_are_told_by_what_they_do(slots: Sequence[Slot]) -> None:
    slots[0].occupied_by(1)
    slots[0].activity = counters.POSTING
    slots[1].activity = counters.POLLING  # Of a process that is gone.
    assert told(slots)["webhook_delivery_processes"] == {"polling": 0, "posting": 1, "away": 0}
