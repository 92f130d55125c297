"""Text output of endpoints, their subscriptions and their state."""

from collections.abc import Iterator, Mapping
from typing import Any

from hookfarm.cli.output import duration, duration_of_attempt, plain, pluralize, time_of
from hookfarm.deliveries.endpoint_stats import Circuit, Window
from hookfarm.records import DEFAULT_NOTIFY, Endpoint


def effect_lines(endpoint: Endpoint) -> Iterator[str]:
    """Yield the first block of each chain to which a change applies, and the next step if none is watched."""
    for chain_id, block in (endpoint.effective_from or {}).items():
        if block is None:
            hint = f"not watched yet; start a farm with --chain {chain_id}=URL"
            yield f"from    the first block of chain {chain_id}: {hint}"
        else:
            yield f"from    block {block} of chain {chain_id}"
    if endpoint.enabled and not endpoint.subscriptions:
        yield f"The endpoint has no subscriptions; add one: hookfarm endpoints update {endpoint.id} --chain ID …"


def subscription_line(subscription: dict[str, Any]) -> str:
    if "events" in subscription:
        return f"operational: {', '.join(subscription['events'])}"
    if subscription["kind"] == "transfer":
        what, named = "transfers", {"from": subscription["from"], "to": subscription["to"]}
    else:
        what = subscription["event"] or ("topics" if subscription["topics"] else "any log")
        named = {"of": subscription["addresses"]}
    source = "".join(
        f" {word} {pluralize(len(listed), 'address', 'es')}" for word, listed in named.items() if listed
    )
    lines = (subscription["where"] or "").splitlines()
    condition = f" where {' '.join(lines)}" if lines else ""
    words = subscription["notify"]
    notify = "" if tuple(words) == DEFAULT_NOTIFY else f" notify {','.join(words)}"
    return f"chain {subscription['chain_id']}: {what}{source}{condition}{notify}"


def reply_line(reply: Mapping[str, Any]) -> str:
    """Return an endpoint's reply to a test webhook in one line."""
    error = reply["error"]
    answer = f"HTTP {reply['status']}" if error is None else plain(f"{error}: {reply['detail']}")
    return f"{reply['subscription'] or 'sample'}  {answer}  {duration_of_attempt(reply['duration_ms'])}"


def value_text(value: Any) -> str:
    """Return a field of an endpoint as text; empty if not set."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return plain(", ".join(f"{name}: {one}" for name, one in value.items()))
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else plain(str(value))


def state(endpoint: Mapping[str, Any], window: Window) -> str:
    """Return `disabled`, `failing` (every attempt since the last success failed), or `enabled`."""
    if not endpoint["enabled"]:
        return "disabled"
    return "failing" if window.is_failing else "enabled"


def state_lines(endpoint: Mapping[str, Any], window: Window) -> Iterator[tuple[str, str]]:
    """Yield labels and values of state and window."""
    yield "state", state(endpoint, window)
    limit = "not needed" if window.limit is None else f"{window.limit:,}"
    yield "window", f"open {window.open:,}  parked {window.parked:,}  limit {limit}"
    if window.is_failing:
        yield "failing since", time_of(window.failing_since_ms)
    if window.circuit is not Circuit.CLOSED:
        yield "circuit", f"{window.circuit} after {window.failures:,} failures in a row: one probe at a time"
        yield "next probe", time_of(window.probe_at_ms)


def with_state(endpoint: Mapping[str, Any], window: Window) -> dict[str, Any]:
    """Return the JSON of an endpoint with its state."""
    return {**endpoint, "state": state(endpoint, window)}


def attempt_statistics(view: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield labels and values of an endpoint's retries and last attempts; `view` is the API's JSON."""
    yield "waiting for a retry", f"{view['window']['retry']:,}"
    recent = view["recent"]
    if recent["attempts"]:
        p50, p99 = (duration(recent[name] / 1000) for name in ("p50_ms", "p99_ms"))
        yield "last attempts", f"{recent['succeeded']} of {recent['attempts']} succeeded  p50 {p50}  p99 {p99}"
