"""The filter of `eth_getLogs` and of the `logs` subscription, in geth's reading of it.

An address or a list of them (empty = any); topics by position: null or an empty list = any, one
topic, or a list of alternatives. A log with fewer topics than the filter has positions never
matches, not even positions that are null.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hookfarm.devchain.hex_values import data, parse_data
from hookfarm.devchain.serializers import JsonObject
from hookfarm.devchain.transaction import MAX_TOPICS


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Lower-case hex; an empty set, at any place, is satisfied by everything."""

    addresses: frozenset[str]
    topics: tuple[frozenset[str], ...]

    def matches(self, log: JsonObject) -> bool:
        if self.addresses and log["address"] not in self.addresses:
            return False
        if len(log["topics"]) < len(self.topics):
            return False
        return all(
            not allowed or topic in allowed for allowed, topic in zip(self.topics, log["topics"], strict=False)
        )

    def select(self, logs: Iterable[JsonObject]) -> list[JsonObject]:
        return [log for log in logs if self.matches(log)]


def parse_log_filter(criteria: dict[str, Any]) -> LogFilter:
    """From the request's object; ValueError says what is wrong with it."""
    addresses = criteria.get("address")
    topics = criteria.get("topics") or []
    if not isinstance(topics, list):
        raise ValueError("invalid topics: not a list")
    if len(topics) > MAX_TOPICS:
        raise ValueError("exceed max topics")
    return LogFilter(
        _alternatives("address", addresses, 20),
        tuple(_alternatives(f"topic {i}", topic, 32) for i, topic in enumerate(topics)),
    )


def _alternatives(name: str, value: object, length: int) -> frozenset[str]:
    if value is None:
        return frozenset()
    members = value if isinstance(value, list) else [value]
    if None in members:
        return frozenset()
    try:
        return frozenset(data(parse_data(member, length)) for member in members)
    except ValueError as problem:
        raise ValueError(f"invalid {name}: {problem}") from problem
