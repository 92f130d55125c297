"""Endpoints and subscriptions as people read them."""

from collections.abc import Iterator, Mapping
from typing import Any

from hookfarm.cli.tables import counted, plain
from hookfarm.records import DEFAULT_NOTIFY, Endpoint


def effect(endpoint: Endpoint) -> Iterator[str]:
    """From where on each chain's events are matched as was just said, and what is missing for any to be."""
    for chain_id, block in (endpoint.effective_from or {}).items():
        if block is None:
            unseen = f"none so far; a farm watches it with start --chain {chain_id}=URL"
            yield f"from    the first block seen of chain {chain_id}: {unseen}"
        else:
            yield f"from    block {block} of chain {chain_id}"
    if endpoint.enabled and not endpoint.subscriptions:
        yield f"Nothing is sent to it yet: say what with hookfarm endpoints update {endpoint.id} --chain ID …"


def subscription_line(subscription: dict[str, Any]) -> str:
    if "events" in subscription:
        return f"of hookfarm itself: {', '.join(subscription['events'])}"
    if subscription["kind"] == "transfer":
        what, named = "transfers", {"from": subscription["from"], "to": subscription["to"]}
    else:
        what = subscription["event"] or ("topics" if subscription["topics"] else "any log")
        named = {"of": subscription["addresses"]}
    source = "".join(
        f" {word} {counted(len(listed), 'address', 'es')}" for word, listed in named.items() if listed
    )
    lines = (subscription["where"] or "").splitlines()
    condition = f" where {' '.join(lines)}" if lines else ""
    told = subscription["notify"]
    notify = "" if tuple(told) == DEFAULT_NOTIFY else f" notify {','.join(told)}"
    return f"chain {subscription['chain_id']}: {what}{source}{condition}{notify}"


def reply_line(reply: Mapping[str, Any]) -> str:
    """What an endpoint said to a sample."""
    from hookfarm.cli.deliveries_shown import duration_text

    answer = (
        f"HTTP {reply['status']}" if reply["status"] is not None else plain(f"{reply['error']}: {reply['detail']}")
    )
    return f"{reply['subscription'] or 'sample'}  {answer}  {duration_text(reply['duration_ms'])}"


def value_text(value: Any) -> str:
    """A field of an endpoint; nothing where it is not set."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return plain(", ".join(f"{name}: {one}" for name, one in value.items()))
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else plain(str(value))
