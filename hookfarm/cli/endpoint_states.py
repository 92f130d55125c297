"""How an endpoint is doing, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from hookfarm.cli.tables import moment
from hookfarm.cli.view_numbers import duration
from hookfarm.deliveries.endpoint_stats import Circuit, Window


def state(endpoint: Mapping[str, Any], window: Window) -> str:
    """In one word: `disabled`, `failing` (every attempt since the last success), or `enabled`."""
    if not endpoint["enabled"]:
        return "disabled"
    return "failing" if window.is_failing else "enabled"


def lines(endpoint: Mapping[str, Any], window: Window) -> Iterator[tuple[str, str]]:
    """State and window, each under its name."""
    yield "state", state(endpoint, window)
    limit = "not needed" if window.limit is None else f"{window.limit:,}"
    yield "window", f"open {window.open:,}  parked {window.parked:,}  limit {limit}"
    if window.is_failing:
        yield "failing since", moment(window.failing_since_ms)
    if window.circuit is not Circuit.CLOSED:
        yield "circuit", f"{window.circuit} after {window.failures:,} failures in a row: one probe at a time"
        yield "next probe", moment(window.probe_at_ms)


def with_state(endpoint: Mapping[str, Any], window: Window) -> dict[str, Any]:
    """As programs read it."""
    return {**endpoint, "state": state(endpoint, window)}


def record(view: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What waits for its next attempt, and how the last ones went, of an endpoint as the API shows it."""
    yield "waiting for a retry", f"{view['window']['retry']:,}"
    recent = view["recent"]
    if recent["attempts"]:
        p50, p99 = (duration(recent[name] / 1000) for name in ("p50_ms", "p99_ms"))
        yield "last attempts", f"{recent['succeeded']} of {recent['attempts']} succeeded  p50 {p50}  p99 {p99}"
