"""What follows from each answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.config import DEFAULT_RETRY_SCHEDULE
from hookfarm.http_client.outcome import (
    MAX_RETRY_AFTER_SECONDS,
    Decision,
    Response,
    TransportError,
    decide,
    retry_delay,
)

SCHEDULE = (5.0, 30.0)
NOW = 1_795_456_800.0


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_delivered(status: int) -> None:
    assert decide(Response(status), 1, SCHEDULE, 0.5, NOW) == Decision(delivered=True)


@pytest.mark.parametrize("attempt", [1, 3])
def test_410_kills_the_job_and_disables_the_endpoint(attempt: int) -> None:
    expected = Decision(delivered=False, reason="endpoint_gone", disable_endpoint=True)
    assert decide(Response(410, retry_after="5"), attempt, SCHEDULE, 0.5, NOW) == expected


@pytest.mark.parametrize(
    "status", [300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 409, 418, 429, 500, 503, 599, 999]
)
def test_every_other_status_is_tried_again(status: int) -> None:
    assert decide(Response(status), 1, SCHEDULE, 0.5, NOW) == Decision(delivered=False, retry_in_seconds=5.0)


@pytest.mark.parametrize(
    "kind", ["timeout", "connection", "tls", "bad_response", "address_refused", "name_not_resolved"]
)
def test_every_transport_error_is_tried_again(kind: str) -> None:
    result = TransportError(kind, "detail")
    assert decide(result, 2, SCHEDULE, 0.5, NOW) == Decision(delivered=False, retry_in_seconds=30.0)


@pytest.mark.parametrize("result", [Response(500), Response(429, retry_after="60"), TransportError("timeout", "")])
def test_after_the_schedule_the_job_is_dead(result: Response | TransportError) -> None:
    assert decide(result, 3, SCHEDULE, 0.5, NOW) == Decision(delivered=False, reason="exhausted")


def test_retry_after_is_honoured_for_any_failure() -> None:
    assert decide(Response(429, retry_after="120"), 1, SCHEDULE, 0.5, NOW).retry_in_seconds == 120
    assert decide(Response(301, retry_after="120"), 1, SCHEDULE, 0.5, NOW).retry_in_seconds == 120


@given(st.binary(max_size=9000), st.integers(200, 999))
def test_an_outcome_is_described_in_few_words_whatever_was_answered(excerpt: bytes, status: int) -> None:
    described = Response(status, excerpt=excerpt).to_record()
    assert described["status"] == status
    assert len(str(described["detail"])) <= 1024
    str(described["detail"]).encode()


def test_a_transport_error_is_described_by_its_kind() -> None:
    assert TransportError("tls", "x" * 2000).to_record() == {"error": "tls", "detail": "x" * 1024}


SECRETS = ("4f0e9b-secret", "another-secret")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b"bad key 4f0e9b-secret", b"bad key [redacted]"),
        (b'{"authorization": "Token xyz"}', b'{"[redacted]"}'),
        (b"see https://docs.example/errors#7", b"see https://docs.example/errors#7"),
        (b"\xff\xfe another-secret \xff", b"\xff\xfe [redacted] \xff"),
        (b"x" * 1020 + b"4f0e9b-secret", b"x" * 1020 + b"[redacted]"),
        (b"", b""),
    ],
)
def test_a_secret_that_was_sent_is_not_kept_where_the_endpoint_repeats_it(said: bytes, kept: bytes) -> None:
    assert Response(500, "5", said).redacted(SECRETS) == Response(500, "5", kept)


def test_nor_where_an_error_repeats_it() -> None:
    assert TransportError("tls", "for 4f0e9b-secret").redacted(SECRETS) == TransportError("tls", "for [redacted]")


def test_the_default_is_nine_attempts_over_eighteen_hours() -> None:
    waits = [retry_delay(DEFAULT_RETRY_SCHEDULE, attempt, 0.5) for attempt in range(1, 10)]
    assert waits == [5, 30, 120, 600, 1800, 7200, 18000, 36000, None]


@given(st.integers(1, 8), st.floats(0, 1))
def test_jitter_is_a_fifth_either_way(attempt: int, chance: float) -> None:
    wait = retry_delay(DEFAULT_RETRY_SCHEDULE, attempt, chance)
    assert wait is not None
    assert 0.8 - 1e-9 <= wait / DEFAULT_RETRY_SCHEDULE[attempt - 1] <= 1.2 + 1e-9


def test_an_empty_schedule_means_one_attempt() -> None:
    assert retry_delay((), 1, 0.5, 60.0) is None


def test_the_endpoint_may_ask_for_longer_but_not_for_longer_than_a_day() -> None:
    def delay(retry_after: str) -> float | None:
        return decide(Response(503, retry_after), 1, (5.0,), 0.5, NOW).retry_in_seconds

    assert delay("3600") == 3600
    assert delay("1") == 5
    assert delay("1000000000000") == MAX_RETRY_AFTER_SECONDS
    assert delay("9" * 5000) == MAX_RETRY_AFTER_SECONDS
