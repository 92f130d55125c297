"""Idempotent creation of an endpoint, for clients that repeat a request without a response.

The `Idempotency-Key` of a request (draft-ietf-httpapi-idempotency-key-header) is kept for a day. Its value has a
digest of the body and the id of the new endpoint. It is written before the endpoint, so that one of two concurrent
requests comes first. It is written after the body's validation, so that a corrected form can reuse its key.
"""

import hashlib
import time
from dataclasses import replace
from typing import Any

import orjson

from hookfarm.api.responses import Problem
from hookfarm.errors import NotFound
from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry
from hookfarm.security.vault import Vault
from hookfarm.store import keys
from hookfarm.store.clients import Client

TTL_SECONDS = 24 * 3600
_MAX_REQUEST_SECONDS = 10.0
"""After this time the first request has written its endpoint or failed."""


def create(
    client: Client,
    registry: Registry,
    vault: Vault,
    endpoint: Endpoint,
    key: str | None,
    body: dict[str, Any],
) -> Endpoint:
    """Return the endpoint with its secret: a new one, or the one created under this key before.

    Raises a Problem: 422 if the key was used with another body; 409 while its first request is running, or if the
    endpoint has been removed.
    """
    if key is None:
        return registry.add(endpoint)
    name = keys.idempotency(hashlib.sha256(key.encode()).hexdigest())
    digest = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
    mine = f"{digest} {endpoint.id} {time.time():.3f}"
    if client.set(name, mine, nx=True, ex=TTL_SECONDS):
        return registry.add(endpoint)
    stored: Any = client.get(name)
    first, endpoint_id, at = (stored or mine.encode()).decode().split(" ")
    if first != digest:
        raise Problem(422, "The key was used with another body in the last 24 hours.", "Idempotency-Key")
    return _created_before(client, registry, vault, replace(endpoint, id=endpoint_id), float(at))


def _created_before(
    client: Client, registry: Registry, vault: Vault, endpoint: Endpoint, created_at: float
) -> Endpoint:
    try:
        found = registry.get(endpoint.id)
    except NotFound:
        if client.zscore(keys.REGISTRY_CHANGES, endpoint.id) is not None:
            raise Problem(
                409, f"The endpoint {endpoint.id} created with this key has been removed.", "Idempotency-Key"
            ) from None
        if time.time() - created_at < _MAX_REQUEST_SECONDS:
            raise Problem(
                409, "The first request with this key is still running; try again.", "Idempotency-Key"
            ) from None
        return registry.add(endpoint)
    return replace(found, secrets=tuple((vault.open(s, found.id), until) for s, until in found.secrets))
