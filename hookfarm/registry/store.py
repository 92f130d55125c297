"""Registry of endpoints in Redis.

One transaction per change writes the endpoint, its limits for the queue, and the registry's new revision with the
endpoint's id. It also writes the endpoint's chains with transfers, because transfers are fetched only for
subscribers. A reader at revision N reads only later changes, so the cost of a change is independent of the number
of endpoints.

Other clients of Redis can write the hash, so each endpoint is checked when it is read. An invalid endpoint is
reported as unreadable by its id; the others are read.
"""

import base64
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import redis

from hookfarm.errors import NotFound
from hookfarm.records import Endpoint
from hookfarm.registry.stored_endpoint import EndpointBatch, decode_all
from hookfarm.registry.stored_endpoint import decode as decode
from hookfarm.security.vault import NO_KEYS, Vault
from hookfarm.store import keys
from hookfarm.store.clients import parse_integer
from hookfarm.store.scripts import Script

ROTATION_SECONDS = 24 * 3600.0
"""Time during which the old secret signs beside the new one."""
BATCH_ENDPOINTS = 500
"""Endpoints per read; blocks Redis for a few milliseconds."""
_SECRET_BYTES = 32
_CHANGE_ENDPOINT = Script("change_endpoint")


@dataclass(frozen=True)
class RegistryChanges:
    """Changes of the registry up to `revision`, of about `count` endpoints.

    Iterating reads the batches from Redis. An endpoint that changes meanwhile appears in its old or new version,
    and again in the next changes. `complete`: the batches contain all endpoints, so the reader drops the others
    first; also set if the server lost writes and the revision decreased.
    """

    revision: int
    complete: bool
    count: int
    batches: Iterator[EndpointBatch]


def new_secret() -> str:
    """Return a signing secret, `whsec_` and base64 of 32 random bytes (Standard Webhooks 1.0)."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


class Registry:
    """Registry of all endpoints. Methods raise redis-py's errors.

    An endpoint just stored has `effective_from`: for each chain of its subscriptions, the block from which the
    stored version is in effect. That version or a newer one matches every event from that block on, on any branch,
    even if processors lag or die. For earlier blocks that are still unread either version may match. None =
    nothing is known of the chain yet, or the endpoint is disabled.

    `vault` seals new secrets. Secrets that are read stay sealed.
    """

    def __init__(self, client: redis.Redis, vault: Vault = NO_KEYS) -> None:
        self._client = client
        self._vault = vault

    def add(self, endpoint: Endpoint) -> Endpoint:
        """Store an endpoint with a new secret, which only the returned endpoint contains in clear."""
        secret = new_secret()
        stored = self.update(replace(endpoint, secrets=((self._vault.seal(secret, endpoint.id), None),)))
        return replace(stored, secrets=((secret, None),))

    def add_all(self, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
        """Store new endpoints as `add` does, in one round trip."""
        added = [replace(each, secrets=((new_secret(), None),)) for each in endpoints]
        with self._client.pipeline(transaction=False) as pipe:
            pipe.script_load(_CHANGE_ENDPOINT.source.decode())
            for each in added:
                sealed = self._vault.seal(each.secrets[0][0], each.id)
                touched, arguments = _change_call(each.id, replace(each, secrets=((sealed, None),)))
                pipe.evalsha(_CHANGE_ENDPOINT.sha.decode(), len(touched), *touched, *arguments)
            pipe.execute()
        return added

    def update(self, endpoint: Endpoint) -> Endpoint:
        """Store an endpoint, replacing the one with the same id."""
        effective_from = self._change(endpoint.id, endpoint)
        return replace(endpoint, effective_from=effective_from)

    def edit(self, endpoint_id: str, change: Callable[[Endpoint], Endpoint]) -> Endpoint:
        """Store the result of `change`, which is called again after a concurrent change.

        Raises NotFound.
        """
        while True:
            stored = self._stored(endpoint_id)
            changed = change(decode(stored))
            effective_from = self._change(endpoint_id, changed, stored)
            if effective_from is not None:
                return replace(changed, effective_from=effective_from)

    def get(self, endpoint_id: str) -> Endpoint:
        """Return one endpoint. Raises NotFound."""
        return decode(self._stored(endpoint_id))

    def all(self) -> list[Endpoint]:
        """Return all readable endpoints, sorted by id."""
        found = {name: each for batch in self._all() for name, each in batch.endpoints.items() if each is not None}
        return [found[name] for name in sorted(found)]

    def remove(self, endpoint_id: str, check: Callable[[Endpoint], object] | None = None) -> None:
        """Remove an endpoint. Raises NotFound. `check` may raise an error to keep it."""
        while True:
            stored = self._stored(endpoint_id)
            if check is not None:
                check(decode(stored))
            if self._change(endpoint_id, None, stored) is not None:
                return  # Otherwise a concurrent change is read first.

    def rotate_secret(self, endpoint_id: str, now: float | None = None) -> Endpoint:
        """Give an endpoint a new secret; the previous one also signs for ROTATION_SECONDS."""
        until = (time.time() if now is None else now) + ROTATION_SECONDS
        secret = new_secret()

        def rotate(endpoint: Endpoint) -> Endpoint:
            sealed = self._vault.seal(secret, endpoint_id)
            return replace(endpoint, secrets=((sealed, None), (endpoint.secrets[0][0], until)))

        rotated = self.edit(endpoint_id, rotate)
        return replace(rotated, secrets=((secret, None), *rotated.secrets[1:]))

    def seal(self, endpoint_id: str) -> bool:
        """Seal an endpoint's secrets with the newest master key. Return False if they already are.

        Raises InvalidInput if a secret cannot be opened.
        """
        if all(self._vault.is_current(secret) for secret, _ in self.get(endpoint_id).secrets):
            return False

        def sealed(endpoint: Endpoint) -> Endpoint:
            opened = [(self._vault.open(secret, endpoint_id), expires) for secret, expires in endpoint.secrets]
            return replace(
                endpoint, secrets=tuple((self._vault.seal(secret, endpoint_id), until) for secret, until in opened)
            )

        self.edit(endpoint_id, sealed)
        return True

    def disable(self, endpoint_id: str, reason: str) -> None:
        """Stop matching events and sending deliveries for an endpoint. Raises NotFound."""
        self.edit(endpoint_id, lambda endpoint: replace(endpoint, enabled=False, disabled_reason=reason))

    def changes_since(self, revision: int) -> RegistryChanges:
        """Return the changes after `revision`; after 0, all endpoints."""
        with self._client.pipeline(transaction=True) as pipe:
            pipe.get(keys.REGISTRY_REVISION)
            # After 0, all endpoints are read without the ids.
            pipe.zrangebyscore(keys.REGISTRY_CHANGES, f"({revision or '+inf'}", "+inf")
            pipe.zcount(keys.REGISTRY_CHANGES, "-inf", revision)
            pipe.hlen(keys.ENDPOINTS)
            found, changed, older, total = pipe.execute()
        now = parse_integer(keys.REGISTRY_REVISION, found)
        if now < revision or not (revision and older):
            return RegistryChanges(now, True, total, self._all())
        return RegistryChanges(now, False, len(changed), self._batches(changed))

    def _all(self) -> Iterator[EndpointBatch]:
        """Read all endpoints. An endpoint that exists throughout is in at least one batch."""
        cursor, is_done = 0, False
        while not is_done:
            reply: Any = self._client.hscan(keys.ENDPOINTS, cursor, count=BATCH_ENDPOINTS)
            cursor, found = reply
            is_done = cursor == 0
            yield decode_all(found.items())

    def _batches(self, ids: Sequence[bytes]) -> Iterator[EndpointBatch]:
        for start in range(0, len(ids), BATCH_ENDPOINTS):
            part = ids[start : start + BATCH_ENDPOINTS]
            yield decode_all(zip(part, self._client.hmget(keys.ENDPOINTS, part), strict=True))

    def _stored(self, endpoint_id: str) -> bytes:
        stored = self._client.hget(keys.ENDPOINTS, endpoint_id)
        if not isinstance(stored, bytes):
            raise NotFound(f"endpoint {endpoint_id!r} not found")
        return stored

    def _change(
        self, endpoint_id: str, changed: Endpoint | None, *expected: bytes
    ) -> dict[int, int | None] | None:
        """Return per chain the block from which the change is in effect; None after a concurrent change.

        `expected` is the stored version to replace.
        """
        touched, arguments = _change_call(endpoint_id, changed)
        result, *checkpoints = _CHANGE_ENDPOINT.call(self._client, touched, [*arguments, *expected])
        if result == b"conflict":
            return None
        return {
            chain: int(number) + 1 if number else None
            for chain, number in zip(_chains(changed), checkpoints, strict=True)
        }


def _change_call(endpoint_id: str, changed: Endpoint | None) -> tuple[list[str], list[str | bytes]]:
    """Return keys and arguments of the script."""
    checkpoints = map(keys.checkpoint, _chains(changed))
    touched = [keys.ENDPOINTS, keys.REGISTRY_REVISION, keys.REGISTRY_CHANGES, *checkpoints]
    stored, limits = (orjson.dumps(changed.stored()), _limits(changed)) if changed else (b"", "")
    return touched, [endpoint_id, stored, limits, _transfer_chains(changed)]


def _chains(endpoint: Endpoint | None) -> list[int]:
    """Return the chains on which the endpoint is in effect."""
    if endpoint is None or not endpoint.enabled:
        return []
    return sorted({each.chain_id for each in endpoint.subscriptions if not each.is_operational})


def _transfer_chains(endpoint: Endpoint | None) -> str:
    if endpoint is None or not endpoint.enabled:
        return ""
    wanted = {each.chain_id for each in endpoint.subscriptions if each.kind == "transfer"}
    return " ".join(map(str, sorted(wanted)))


def _limits(endpoint: Endpoint) -> str:
    """Return the limits in the format of the queue's scripts; see store/lua/shared/window.lua."""
    max_in_flight, rate = endpoint.max_in_flight or 0, endpoint.rate_limit_per_second or 0
    limits = f"{int(not endpoint.enabled)} {max_in_flight} {rate:.6g} {int(endpoint.ordered)}"
    return "" if limits == "0 0 0 0" else limits
