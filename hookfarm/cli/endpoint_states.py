"""How an endpoint is doing, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from hookfarm.cli.tables import moment
from hookfarm.windows import Window


def state(endpoint: Mapping[str, Any], window: Window) -> str:
    """In one word: `disabled`, `failing` (every attempt since the last success), or `enabled`."""
    if not endpoint["enabled"]:
        return "disabled"
    return "failing" if window.failing else "enabled"


def lines(endpoint: Mapping[str, Any], window: Window) -> Iterator[tuple[str, str]]:
    """State and window, each under its name."""
    yield "state", state(endpoint, window)
    limit = "not needed" if window.limit is None else f"{window.limit:,}"
    yield "window", f"open {window.open:,}  parked {window.parked:,}  limit {limit}"
    if window.failing:
        yield "failing since", moment(window.failing_since_ms)
    if window.closed:
        yield "circuit", f"open after {window.failures:,} failures in a row: one probe at a time"
        yield "next probe", moment(window.probe_at_ms)
