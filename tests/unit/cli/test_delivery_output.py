"""Deliveries as people read them."""

import re

import pytest

from hookfarm.cli import delivery_output
from hookfarm.deliveries.log import Delivery, DeliveryState, LoggedAttempt

ATTEMPT = {"at": 1.5, "duration_ms": 0, "status": 500, "detail": ""}


@pytest.mark.parametrize(("duration_ms", "shown"), [(0, "<1 ms"), (7, "7.0 ms"), (15_000, "15 s")])
def test_what_took_less_than_is_kept_is_not_said_to_have_taken_nothing(duration_ms: int, shown: str) -> None:
    logged = LoggedAttempt("1500-0", 1500, "msg_a", "ep_a", 1, "500", duration_ms)
    [_, line] = delivery_output.attempt_lines([logged], [None])
    assert re.split(r"\s{2,}", line) == [
        "1970-01-01T00:00:01.500Z", "msg_a", "ep_a", "#1", "500", shown, "trimmed",
    ]  # fmt: skip


def test_what_was_never_attempted_has_no_attempts_and_no_time() -> None:
    lines = list(delivery_output.delivery_lines(Delivery("msg_a", "ep_a", DeliveryState.PARKED, (), b"{}")))
    assert lines == [
        "id         msg_a", "endpoint   ep_a", "state      parked", "attempts   0", "payload", "  {}",
    ]  # fmt: skip


def test_an_attempt_that_was_not_made_has_its_reason_for_a_result() -> None:
    outcome = {"at": 1.5, "error": "endpoint_removed"}
    dead = Delivery("msg_a", "ep_a", DeliveryState.DEAD, (ATTEMPT, outcome), b"{}", "endpoint_removed", 1500)
    lines = list(delivery_output.delivery_lines(dead))
    assert "  1970-01-01T00:00:01.500Z  HTTP 500  <1 ms" in lines
    assert "  1970-01-01T00:00:01.500Z  endpoint_removed" in lines
    [_, listed] = delivery_output.dead_letter_lines([dead])
    assert listed.endswith("ep_a      2         -     endpoint_removed")
