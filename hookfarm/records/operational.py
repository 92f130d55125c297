"""Operational subscriptions: `{"kind":"operational","events":["hookfarm.delivery.dead",…]}`.

They concern hookfarm itself and no chain, so they have no other field.
"""

import re
from collections.abc import Mapping
from typing import Any

from hookfarm.errors import InvalidInput
from hookfarm.records.fields import new_subscription_id, refuse_unknown, shorten, text

KIND = "operational"
ENDPOINT_DISABLED = "hookfarm.endpoint.disabled"
CIRCUIT_OPENED = "hookfarm.endpoint.circuit_opened"
CIRCUIT_CLOSED = "hookfarm.endpoint.circuit_closed"
DELIVERY_DEAD = "hookfarm.delivery.dead"
CHAIN_STALLED = "hookfarm.chain.stalled"
REORG_INCOMPLETE = "hookfarm.chain.reorg_incomplete"
CHAIN_BLOCK_ACCEPTED = "hookfarm.chain.block_accepted"
EVENTS = (
    *(ENDPOINT_DISABLED, CIRCUIT_OPENED, CIRCUIT_CLOSED, DELIVERY_DEAD),
    *(CHAIN_STALLED, REORG_INCOMPLETE, CHAIN_BLOCK_ACCEPTED),
)


def is_operational(record: Mapping[str, Any]) -> bool:
    return record.get("kind") == KIND


def parse(record: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the checked id (random if missing) and events. Null fields count as missing."""
    refuse_unknown({n: value for n, value in record.items() if value is not None}, {"id", "kind", "events"})
    events = record.get("events")
    if not isinstance(events, list) or not events:
        raise InvalidInput("events", f"{shorten(events)} is not a list of one or more of {', '.join(EVENTS)}")
    for i, event in enumerate(events):
        if event not in EVENTS:
            raise InvalidInput(f"events[{i}]", f"{shorten(event)} is not one of {', '.join(EVENTS)}")
    identity = new_subscription_id() if record.get("id") is None else text(record, "id", 64)
    if not re.fullmatch(r"sub_[0-9A-Za-z_-]{1,60}", identity):
        raise InvalidInput("id", f"{shorten(identity)} is not a subscription id; write sub_… or leave it out")
    return identity, tuple(dict.fromkeys(events))


def as_json(identity: str, events: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON of the API."""
    return {"id": identity, "kind": KIND, "events": list(events)}
