"""The records that cross process borders, checked where they come in.

`parse_*` take what somebody sent (JSON already decoded) and return a checked record, or raise InvalidInput
that names the field. The forms are the contract's; hexadecimal is lower case inside hookfarm, whatever came.
"""

from hookfarm.records.endpoints import (
    DEFAULT_TIMEOUT_SECONDS,
    HIGHEST_RATE,
    LOWEST_RATE,
    MAX_IN_FLIGHT,
    MAX_TIMEOUT_SECONDS,
    Endpoint,
    endpoint_from_stored,
    parse_endpoint,
)
from hookfarm.records.events import KINDS, ChainEvent, Event, parse_chain_event, parse_event
from hookfarm.records.fields import MAX_UINT64
from hookfarm.records.identifiers import new_endpoint_id, new_subscription_id
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
from hookfarm.records.transfers import Transfer, parse_transfer

__all__ = [
    "CONFIRMATION_TAGS",
    "DEFAULT_NOTIFY",
    "DEFAULT_TIMEOUT_SECONDS",
    "HIGHEST_RATE",
    "KINDS",
    "LOWEST_RATE",
    "MAX_ADDRESSES",
    "MAX_CONFIRMATIONS",
    "MAX_IN_FLIGHT",
    "MAX_SUBSCRIPTIONS",
    "MAX_TIMEOUT_SECONDS",
    "MAX_UINT64",
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
