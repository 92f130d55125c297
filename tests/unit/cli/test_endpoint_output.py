"""How an endpoint is doing, in words."""

import pytest

from hookfarm.cli import endpoint_output
from hookfarm.deliveries.endpoint_stats import Window
from hookfarm.store.scripts import CIRCUIT_FAILURES

FAILING = Window(open=1, limit=2, failures=1, failing_since_ms=1000)


@pytest.mark.parametrize(
    ("enabled", "window", "state"),
    [(True, Window(), "enabled"), (True, FAILING, "failing"), (False, FAILING, "disabled")],
)
def test_an_endpoint_is_in_one_state(enabled: bool, window: Window, state: str) -> None:
    assert endpoint_output.state({"enabled": enabled}, window) == state


def test_a_window_that_was_never_needed_has_no_limit() -> None:
    assert list(endpoint_output.state_lines({"enabled": True}, Window())) == [
        ("state", "enabled"), ("window", "open 0  parked 0  limit not needed"),
    ]  # fmt: skip


def test_an_open_circuit_is_shown_with_the_time_of_its_next_probe() -> None:
    window = Window(0, 1200, 1, CIRCUIT_FAILURES, failing_since_ms=1000, probe_at_ms=61_500)
    assert dict(endpoint_output.state_lines({"enabled": True}, window)) == {
        "state": "failing",
        "window": "open 0  parked 1,200  limit 1",
        "failing since": "1970-01-01T00:00:01.000Z",
        "circuit": "open after 5 failures in a row: one probe at a time",
        "next probe": "1970-01-01T00:01:01.500Z",
    }
