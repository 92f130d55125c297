"""What the endpoints of a chain ask for, twice: as subscriptions, and in Python for whoever judges."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from hookfarm.records import Endpoint, Subscription, new_endpoint_id, new_subscription_id
from hookfarm.registry.store import Registry
from tests.chaos.evidence import Evidence
from tests.chaos.load import TRANSFER
from tests.chaos.secrets_of_endpoints import secret_of

JsonLog = dict[str, Any]
"""As the chain's node shows it."""

DISTANCES = {"safe": 4, "finalized": 8}
"""Blocks behind the head, on the chains of these tests."""
SMALL = 2**76
"""Below it is about one value in eight of those drawn below LARGEST."""
LARGEST = 2**79


@dataclass(frozen=True)
class Wish:
    """One endpoint's: `fields` of its subscription, and `wants` for the same."""

    name: str
    wants: Callable[[JsonLog], bool]
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
class Asked:
    """A wish and the endpoint that has it."""

    wish: Wish
    endpoint: str


def value(log: JsonLog) -> int:
    return int(log["data"], 16)


def sender(log: JsonLog) -> str:
    return "0x" + str(log["topics"][1])[-40:]


def wishes(token: str, other: str, senders: Sequence[str]) -> tuple[Wish, ...]:
    """For a chain of Transfers of two tokens, some of them of these senders; addresses in lower case."""
    return (
        Wish("all at once", lambda log: True),
        Wish("a token, slowly", lambda log: log["address"] == other, behaviour="slow-15", addresses=(other,)),
        Wish(
            "small, in order, often busy",
            lambda log: value(log) < SMALL,
            behaviour="every-4",
            ordered=True,
            where=f"value < {SMALL}",
        ),
        Wish("a token, two blocks deep", lambda log: log["address"] == token, 2, addresses=(token,)),
        Wish(
            "some senders, five blocks deep",
            lambda log: sender(log) in senders,
            5,
            behaviour="slow-15",
            where=f"from in ({', '.join(senders)})",
        ),
        Wish("not small, safe", lambda log: value(log) >= SMALL, "safe", where=f"value >= {SMALL}"),
        Wish("a token, finalized", lambda log: log["address"] == token, "finalized", addresses=(token,)),
    )


def ask(client: "redis.Redis", evidence: Evidence, chain_id: int, all_wishes: Sequence[Wish]) -> list[Asked]:
    """An endpoint for each wish."""
    made = []
    for wish in all_wishes:
        name = new_endpoint_id()
        subscription = Subscription(
            new_subscription_id(),
            chain_id,
            wish.addresses,
            TRANSFER,
            where=wish.where,
            confirmations=wish.confirmations,
        )
        url, secrets = evidence.url(name, wish.behaviour), ((secret_of(name), None),)
        endpoint = Endpoint(name, url, subscriptions=(subscription,), ordered=wish.ordered, secrets=secrets)
        Registry(client).update(endpoint)
        made.append(Asked(wish, name))
    return made
