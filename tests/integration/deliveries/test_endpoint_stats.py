"""How an endpoint's last attempts went: always what its log says, however that is read."""

from typing import Any

import pytest
import redis

from hookfarm.deliveries import log
from hookfarm.deliveries.endpoint_stats import MAX_ATTEMPTS, AttemptStats, read_attempt_stats
from hookfarm.deliveries.trimming import LogTrimmer
from hookfarm.records import Endpoint
from hookfarm.store import keys
from tests.support.delivery import OneWorker, add_endpoint, enqueue, job, one_worker
from tests.support.receivers import Receiver

HOUR = 3600.0


@pytest.fixture
def endpoint(client: Any, receiver: Receiver) -> Endpoint:
    return add_endpoint(client, receiver.url)


def deliver(worker: OneWorker, redis_url: str, endpoint: Endpoint, count: int, name: str = "msg") -> None:
    """So many are attempted once, and settled."""
    enqueue(redis_url, *(job(endpoint, f"{name}_{number}", b"{}") for number in range(count)))
    worker.step(count)
    worker.settle()


def as_the_log_has_it(client: "redis.Redis", endpoint: Endpoint) -> AttemptStats:
    logged = log.attempts(client, endpoint.id, limit=MAX_ATTEMPTS)
    took = sorted(attempt.duration_ms for attempt in logged)
    succeeded = sum(attempt.delivered for attempt in logged)
    return AttemptStats(len(took), succeeded, took[len(took) // 2], took[len(took) * 99 // 100])


def noted(client: "redis.Redis", endpoint: Endpoint) -> int:
    """Attempts that are noted beside the log."""
    return int(client.strlen(keys.ENDPOINT_STATS + endpoint.id)) // 4


def test_an_endpoint_that_was_never_sent_to_has_none(client: "redis.Redis", endpoint: Endpoint) -> None:
    assert read_attempt_stats(client, []) == []
    assert read_attempt_stats(client, [endpoint.id, "ep_unknown"]) == 2 * [AttemptStats(0, 0, None, None)]


def test_successes_failures_and_times_are_those_of_the_log(
    client: "redis.Redis", redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint
) -> None:
    other = add_endpoint(client, receiver.url)
    receiver.reply_with(200, 500, 204, 404)
    deliver(worker, redis_url, endpoint, 4)
    assert noted(client, endpoint) == 4
    found, nothing = read_attempt_stats(client, [endpoint.id, other.id])
    assert found == as_the_log_has_it(client, endpoint)
    assert (found.attempts, found.succeeded, nothing.attempts) == (4, 2, 0)


def test_only_the_last_hundred_count_and_few_more_are_noted(
    client: "redis.Redis", redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint
) -> None:
    receiver.reply_with(500)
    for number in range(6):
        deliver(worker, redis_url, endpoint, 50, f"msg_{number}")
        [found] = read_attempt_stats(client, [endpoint.id])
        assert found == as_the_log_has_it(client, endpoint)
        assert found.succeeded == min(MAX_ATTEMPTS, 50 * number + 49)
        assert min(MAX_ATTEMPTS, 50 * (number + 1)) <= noted(client, endpoint) < 2 * MAX_ATTEMPTS


def test_what_the_log_has_forgotten_counts_no_more(
    client: "redis.Redis", redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint
) -> None:
    receiver.reply_with(500)
    deliver(worker, redis_url, endpoint, MAX_ATTEMPTS + 20)
    LogTrimmer(kept_attempts=3, age_seconds=HOUR).perform(client)
    [found] = read_attempt_stats(client, [endpoint.id])
    assert (found.attempts, found.succeeded) == (3, 3)
    assert found == as_the_log_has_it(client, endpoint)
    LogTrimmer(kept_attempts=0, age_seconds=HOUR).perform(client)
    assert read_attempt_stats(client, [endpoint.id])[0].attempts == 0
    assert noted(client, endpoint) == 0


def test_without_a_log_nothing_is_noted(
    client: "redis.Redis", redis_url: str, receiver: Receiver, endpoint: Endpoint
) -> None:
    receiver.reply_with(500)
    with one_worker(redis_url, logged_attempts=0) as worker:
        deliver(worker, redis_url, endpoint, 3)
    assert noted(client, endpoint) == 0
    assert read_attempt_stats(client, [endpoint.id]) == [AttemptStats(0, 0, None, None)]
