"""Records that cross process borders, checked at the border.

`parse_*` return a checked record from decoded JSON, or raise InvalidInput with the field. Hexadecimal is lower
case inside hookfarm.
"""

from hookfarm.records.endpoints import (
    DEFAULT_TIMEOUT_SECONDS,
    MAX_IN_FLIGHT,
    MAX_RATE,
    MAX_TIMEOUT_SECONDS,
    MIN_RATE,
    Endpoint,
    endpoint_from_stored,
    parse_endpoint,
)
from hookfarm.records.events import (
    KINDS,
    ChainEvent,
    Event,
    Transfer,
    parse_chain_event,
    parse_event,
    parse_transfer,
)
from hookfarm.records.fields import MAX_UINT64, new_endpoint_id, new_subscription_id
from hookfarm.records.subscriptions import (
    CONFIRMATION_TAGS,
    DEFAULT_NOTIFY,
    MAX_ADDRESSES,
    MAX_CONFIRMATIONS,
    MAX_SUBSCRIPTIONS,
    NOTIFICATIONS,
    Subscription,
    TopicFilter,
    parse_subscription,
    subscription_json,
)

__all__ = [
    "CONFIRMATION_TAGS",
    "DEFAULT_NOTIFY",
    "DEFAULT_TIMEOUT_SECONDS",
    "KINDS",
    "MAX_ADDRESSES",
    "MAX_CONFIRMATIONS",
    "MAX_IN_FLIGHT",
    "MAX_RATE",
    "MAX_SUBSCRIPTIONS",
    "MAX_TIMEOUT_SECONDS",
    "MAX_UINT64",
    "MIN_RATE",
    "NOTIFICATIONS",
    "ChainEvent",
    "Endpoint",
    "Event",
    "Subscription",
    "TopicFilter",
    "Transfer",
    "endpoint_from_stored",
    "new_endpoint_id",
    "new_subscription_id",
    "parse_chain_event",
    "parse_endpoint",
    "parse_event",
    "parse_subscription",
    "parse_transfer",
    "subscription_json",
]
