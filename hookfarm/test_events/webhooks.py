"""The test webhooks of an endpoint: made-up events of its subscriptions, or the logs of a transaction."""

import asyncio
from collections.abc import Sequence

from hookfarm.config import ChainConfig
from hookfarm.errors import Conflict, InvalidInput, NotFound
from hookfarm.records import Endpoint, Subscription
from hookfarm.test_events.send import Sample


def select(endpoint: Endpoint, subscription_id: str | None, field: str) -> tuple[Subscription, ...]:
    """Return all subscriptions, or the one of this id. Raises InvalidInput, naming `field`, for an unknown id."""
    if subscription_id is None:
        return endpoint.subscriptions
    chosen = tuple(s for s in endpoint.subscriptions if s.id == subscription_id)
    if not chosen:
        raise InvalidInput(field, f"{endpoint.id} has no subscription {subscription_id!r}")
    return chosen


def made_up(subscriptions: Sequence[Subscription]) -> list[Sample]:
    """Return one for each subscription; one of no particular event if there are none."""
    from hookfarm.test_events import events  # eth_abi takes 0.2 s to import, and few send test webhooks.

    return [Sample(s.id if s else None, events.body(s)) for s in subscriptions or (None,)]


def chains_of(subscriptions: Sequence[Subscription], chains: Sequence[ChainConfig]) -> list[ChainConfig]:
    """Return the configured chains that these subscriptions name."""
    wanted = {subscription.chain_id for subscription in subscriptions}
    return [chain for chain in chains if chain.chain_id in wanted]


async def of_transaction(
    endpoint: Endpoint, subscriptions: tuple[Subscription, ...], transaction: str, chains: Sequence[ChainConfig]
) -> list[Sample]:
    """Return one for each log of the transaction and subscription that match.

    Raises NotFound if no block of these chains has the transaction, Conflict if none of its logs matches.
    """
    from hookfarm.test_events import transactions  # web3 is 60 MB, and few ever ask for this.

    found = await asyncio.gather(*(transactions.events(chain, transaction) for chain in chains))
    if all(logs is None for logs in found):
        where = ", ".join(str(chain.chain_id) for chain in chains)
        raise NotFound(f"no transaction {transaction} in a block of chain {where}")
    logs = [event for of_chain in found if of_chain for event in of_chain]
    samples = await asyncio.to_thread(transactions.matching, endpoint, subscriptions, logs)
    if not samples:
        raise Conflict(f"none of the {len(logs):,} logs of {transaction} is one that {endpoint.id} subscribes to")
    return samples
