"""Options of `hookfarm endpoints`, and the resulting endpoints."""

from typing import Any

from hookfarm.cli.endpoint_options import new_record, parse_record
from hookfarm.config import Config, load
from hookfarm.http_client.connections import tls_context
from hookfarm.records import Endpoint
from hookfarm.sample_webhooks import webhooks
from hookfarm.sample_webhooks.webhooks import SampleSender
from hookfarm.security.vault import Vault

TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
TOKEN = "0x" + "A0" * 20
NOTHING: dict[str, Any] = {
    "url": None, "description": None, "timeout_seconds": None, "enabled": None, "headers": (), "chains": (),
    "addresses": (), "event": None, "topics": None, "where": None, "confirmations": None,
    "notify": (), "kind": None, "senders": (), "recipients": (), "operational": (),
}  # fmt: skip


def created_with(options: dict[str, Any]) -> Endpoint:
    record = new_record(options["url"] or "https://example.com/", options)
    return parse_record(record, load(environment={}))


def sent(endpoint: Endpoint, config: Config) -> list[dict[str, Any]]:
    """Send the endpoint's sample webhooks; return the replies."""
    sender = SampleSender(tls_context(None), config.allow_private, Vault(()))
    return sender.send(endpoint, webhooks.of_subscriptions(endpoint.subscriptions), within_seconds=60.0)
