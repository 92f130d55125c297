"""What the endpoints of a chain subscribe to, twice: as subscriptions, and in Python for the oracle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from hookfarm.records import Endpoint, Subscription, new_endpoint_id, new_subscription_id
from hookfarm.registry.store import Registry
from tests.chaos.endpoint_secrets import secret_of
from tests.chaos.load import TRANSFER
from tests.chaos.message_log import MessageLog

JsonLog = dict[str, Any]
"""As the chain's node shows it."""

DISTANCES = {"safe": 4, "finalized": 8}
"""Blocks behind the head, on the chains of these tests."""
SMALL = 2**76
"""Below it is about one value in eight of those drawn below LARGEST."""
LARGEST = 2**79


@dataclass(frozen=True)
class SubscriptionCase:
    """One endpoint's: `fields` of its subscription, and `matches` for the same."""

    name: str
    matches: Callable[[JsonLog], bool]
    confirmations: int | str = 0
    behaviour: str = "200"
    ordered: bool = False
    where: str | None = None
    addresses: tuple[str, ...] = ()

    @property
    def distance(self) -> int:
        """How many blocks must stand on a log's block."""
        return DISTANCES.get(str(self.confirmations)) or int(self.confirmations)


@dataclass(frozen=True)
class SubscribedEndpoint:
    """A case and the endpoint that has it."""

    case: SubscriptionCase
    endpoint: str


def value(log: JsonLog) -> int:
    return int(log["data"], 16)


def sender(log: JsonLog) -> str:
    return "0x" + str(log["topics"][1])[-40:]


def subscription_cases(token: str, other: str, senders: Sequence[str]) -> tuple[SubscriptionCase, ...]:
    """For a chain of Transfers of two tokens, some of them of these senders; addresses in lower case."""
    return (
        SubscriptionCase("all at once", lambda log: True),
        SubscriptionCase(
            "a token, slowly", lambda log: log["address"] == other, behaviour="slow-15", addresses=(other,)
        ),
        SubscriptionCase(
            "small, in order, often busy",
            lambda log: value(log) < SMALL,
            behaviour="every-4",
            ordered=True,
            where=f"value < {SMALL}",
        ),
        SubscriptionCase("a token, two blocks deep", lambda log: log["address"] == token, 2, addresses=(token,)),
        SubscriptionCase(
            "some senders, five blocks deep",
            lambda log: sender(log) in senders,
            5,
            behaviour="slow-15",
            where=f"from in ({', '.join(senders)})",
        ),
        SubscriptionCase("not small, safe", lambda log: value(log) >= SMALL, "safe", where=f"value >= {SMALL}"),
        SubscriptionCase(
            "a token, finalized", lambda log: log["address"] == token, "finalized", addresses=(token,)
        ),
    )


def subscribe(
    client: "redis.Redis", messages: MessageLog, chain_id: int, cases: Sequence[SubscriptionCase]
) -> list[SubscribedEndpoint]:
    """An endpoint for each case."""
    made = []
    for case in cases:
        name = new_endpoint_id()
        subscription = Subscription(
            new_subscription_id(),
            chain_id,
            case.addresses,
            TRANSFER,
            where=case.where,
            confirmations=case.confirmations,
        )
        url, secrets = messages.url(name, case.behaviour), ((secret_of(name), None),)
        endpoint = Endpoint(name, url, subscriptions=(subscription,), ordered=case.ordered, secrets=secrets)
        Registry(client).update(endpoint)
        made.append(SubscribedEndpoint(case, name))
    return made
