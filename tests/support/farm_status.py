"""A service's status as a farm would publish it, for tests without that farm."""

from collections.abc import Mapping
from typing import Any

from hookfarm.status import readiness
from hookfarm.store import keys
from hookfarm.store.clients import Client

LASTING_SECONDS = 600


def publish_lasting(client: Client, service: str, status: Mapping[str, Any]) -> None:
    """Publish a status that does not become stale during a test: its age is read from its time to live."""
    readiness.publish(client, service, status)
    client.expire(keys.status(service), LASTING_SECONDS)
