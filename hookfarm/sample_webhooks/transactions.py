"""Sample webhooks of the logs of a transaction, fetched from a node of its chain."""

import asyncio
from typing import Any

from hookfarm.abi.abi_types import EventSignature
from hookfarm.chain.block import parse_header, parse_logs
from hookfarm.chain.node import Node, connect
from hookfarm.chain.node_pool import NodePool, NodeProfile
from hookfarm.chain.timing import NodeTimeouts
from hookfarm.config import ChainConfig
from hookfarm.errors import ChainUnavailable
from hookfarm.matching import payload
from hookfarm.matching.decoder import DecodedLogs
from hookfarm.matching.index import Index
from hookfarm.records import Endpoint, Event, Subscription
from hookfarm.sample_webhooks.webhooks import SampleWebhook

_TIMEOUTS = NodeTimeouts(request_seconds=5.0)


async def events(chain: ChainConfig, transaction_hash: str) -> list[Event] | None:
    """Return the logs of a transaction; None if the chain has no block with it.

    Raises ChainUnavailable if no node answers.
    """
    failure: ChainUnavailable | None = None
    for profile in NodePool(chain.urls).all:
        try:
            return await _from_node(chain.chain_id, profile, transaction_hash)
        except ChainUnavailable as error:
            failure = error
    raise failure or ChainUnavailable(f"chain {chain.chain_id} has no nodes")


async def _from_node(chain_id: int, profile: NodeProfile, transaction_hash: str) -> list[Event] | None:
    node = await connect(profile, _TIMEOUTS, on_head=lambda _: None, on_request=lambda: None)
    try:
        receipt: Any = await _ask(node, "eth_getTransactionReceipt", transaction_hash)
        if receipt is None:
            return None
        try:
            block_hash, logs = receipt["blockHash"], receipt["logs"]
        except (KeyError, TypeError) as error:
            raise ChainUnavailable(f"{node.origin}: sent a malformed receipt") from error
        header = parse_header(await _ask(node, "eth_getBlockByHash", block_hash, False))
        return parse_logs(chain_id, header, logs)
    finally:
        await node.close()


async def _ask(node: Node, method: str, *parameters: object) -> Any:
    try:
        async with asyncio.timeout(_TIMEOUTS.request_seconds):
            return await node.request(method, *parameters)
    except TimeoutError as error:
        raise ChainUnavailable(f"{node.origin}: does not answer") from error


def matching(
    endpoint: Endpoint, subscriptions: tuple[Subscription, ...], logs: list[Event]
) -> list[SampleWebhook]:
    """Return the webhooks that these logs cause, for each of the subscriptions."""
    samples = []
    for subscription in subscriptions:
        index = Index()
        index.put(_alone(endpoint, subscription))
        for event in logs:
            decoded_logs = DecodedLogs(event)
            for match in index.match(event, decoded_logs):
                decoded = _decoded(decoded_logs, match.signature)
                samples.append(
                    SampleWebhook(
                        subscription.id, payload.emitted_body(event, decoded, subscription.id, match.confirmations)
                    )
                )
    return samples


def _decoded(decoded_logs: DecodedLogs, signature: EventSignature | None) -> Any:
    return None if signature is None else decoded_logs.as_json(signature)


def _alone(endpoint: Endpoint, subscription: Subscription) -> Endpoint:
    return Endpoint(endpoint.id, endpoint.url, subscriptions=(subscription,))
