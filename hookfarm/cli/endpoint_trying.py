"""What `hookfarm endpoints test` sends: made-up samples, or what the logs of a transaction are to the endpoint."""

import asyncio
import math
from typing import Any

from hookfarm.cli import bars
from hookfarm.config import Config
from hookfarm.errors import Conflict, InvalidInput, NotFound
from hookfarm.http_client.connections import tls_context
from hookfarm.records import Endpoint, Subscription
from hookfarm.records.fields import WORD, hex_value
from hookfarm.security.vault import Vault
from hookfarm.test_events import events
from hookfarm.test_events.send import Sample, Sender


def samples(endpoint: Endpoint, subscription: str | None, transaction: str | None, config: Config) -> list[Sample]:
    """One for each subscription (or for the one with this id; one of no event in particular where there is none);
    with a transaction, one for each of its logs that a subscription wants, from the nodes in `config`."""
    chosen = _chosen(endpoint, subscription)
    if transaction is not None:
        wanted = hex_value(transaction, "--transaction", WORD, "32 bytes")
        with bars.bar("asking the chain"):
            return asyncio.run(_of_transaction(endpoint, chosen, wanted, config))
    return [Sample(s.id if s else None, events.body(s)) for s in chosen or (None,)]


def send(endpoint: Endpoint, made: list[Sample], config: Config) -> list[dict[str, Any]]:
    """Posts them now, signed, and returns the replies, as the API does."""
    sender = Sender(tls_context(config.ca_file), config.allow_private, Vault(config.master_key))
    replies: list[dict[str, Any]] = []
    for sample in bars.each(made, "sending"):
        replies += sender.send(endpoint, [sample], within_seconds=math.inf)
    return replies


def _chosen(endpoint: Endpoint, subscription: str | None) -> tuple[Subscription, ...]:
    if subscription is None:
        return endpoint.subscriptions
    chosen = tuple(s for s in endpoint.subscriptions if s.id == subscription)
    if not chosen:
        raise InvalidInput("--subscription", f"{endpoint.id} has no subscription {subscription!r}")
    return chosen


async def _of_transaction(
    endpoint: Endpoint, subscriptions: tuple[Subscription, ...], transaction: str, config: Config
) -> list[Sample]:
    from hookfarm.test_events import transactions

    wanted = {subscription.chain_id for subscription in subscriptions}
    chains = [chain for chain in config.chains if chain.chain_id in wanted]
    if not chains:
        problem = "no setting names a node of a chain that it subscribes to; give --chain ID=URL"
        raise InvalidInput("--chain", problem)
    found = await asyncio.gather(*(transactions.events(chain, transaction) for chain in chains))
    if all(logs is None for logs in found):
        where = ", ".join(str(chain.chain_id) for chain in chains)
        raise NotFound(f"no transaction {transaction} in a block of chain {where}")
    logs = [event for of_chain in found if of_chain for event in of_chain]
    made = transactions.matching(endpoint, subscriptions, logs)
    if not made:
        raise Conflict(f"none of the {len(logs):,} logs of {transaction} is one that {endpoint.id} subscribes to")
    return made
