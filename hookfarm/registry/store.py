"""Registry of endpoints in Redis.

Each change is one transaction: the endpoint, the revision that grows with it, the note of which endpoint that
revision touched, what the queue must know of it (paused, how many at once, how fast, in order), and the chains
whose transfers it wants; only those are fetched. A reader that knows revision N reads only the changes since, so
that a change costs the same however many endpoints there are.

Other clients of Redis can write the hash, so each endpoint is checked again when it is read: an invalid one is
reported as unreadable, by its id, and the others are read all the same.
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
"""How long the old secret goes on signing beside the new one."""
BATCH_ENDPOINTS = 500
"""Endpoints that are read at once: a few milliseconds for Redis, which serves no other client meanwhile."""
_SECRET_BYTES = 32
_CHANGE_ENDPOINT = Script("change_endpoint")


@dataclass(frozen=True)
class RegistryChanges:
    """Changes of the registry up to `revision`, of about `count` endpoints.

    The batches are read from Redis as they are iterated. An endpoint that is changed meanwhile is in them as it
    was before or after that, and again in the next changes. `complete`: these are all there are, so the reader
    drops every other one first; also set when the server lost writes and the revision went back.
    """

    revision: int
    complete: bool
    count: int
    batches: Iterator[EndpointBatch]


def new_secret() -> str:
    """Return a signing secret, `whsec_` and base64 of 32 random bytes (Standard Webhooks 1.0)."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


class Registry:
    """Reads and writes endpoints. Raises redis-py's errors.

    `effective_from` of an endpoint that was just stored has, for each chain of its subscriptions, the block from
    which it is in effect: every event of that block or a later one is matched by the stored version (or a newer
    one), on any branch, also if processors lag or die. Events of earlier blocks that no processor has read yet may
    be matched by either version. None = nothing is known of the chain yet, or the endpoint is disabled.

    `vault` seals new secrets. Secrets that are read stay sealed.
    """

    def __init__(self, client: redis.Redis, vault: Vault = NO_KEYS) -> None:
        self._client = client
        self._vault = vault

    def add(self, endpoint: Endpoint) -> Endpoint:
        """Store an endpoint with a new secret, which only the returned one shows."""
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
        """Store an endpoint, replacing that of the same id."""
        effective_from = self._change(endpoint.id, endpoint)
        return replace(endpoint, effective_from=effective_from)

    def edit(self, endpoint_id: str, change: Callable[[Endpoint], Endpoint]) -> Endpoint:
        """Store the result of `change`, which is called again if the endpoint was changed meanwhile.

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
        """Remove an endpoint. Raises NotFound. `check` may raise to keep it."""
        while True:
            stored = self._stored(endpoint_id)
            if check is not None:
                check(decode(stored))
            if self._change(endpoint_id, None, stored) is not None:
                return  # Otherwise it was changed or removed meanwhile.

    def rotate_secret(self, endpoint_id: str, now: float | None = None) -> Endpoint:
        """Give an endpoint a new secret; the previous one also signs for another day."""
        until = (time.time() if now is None else now) + ROTATION_SECONDS
        secret = new_secret()

        def rotate(endpoint: Endpoint) -> Endpoint:
            sealed = self._vault.seal(secret, endpoint_id)
            return replace(endpoint, secrets=((sealed, None), (endpoint.secrets[0][0], until)))

        rotated = self.edit(endpoint_id, rotate)
        return replace(rotated, secrets=((secret, None), *rotated.secrets[1:]))

    def seal(self, endpoint_id: str) -> bool:
        """Seal an endpoint's secrets with the newest master key. Return False if they are already.

        Raises InvalidInput if one of them can't be opened.
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
        """Stop matching for it and sending to it."""
        self.edit(endpoint_id, lambda endpoint: replace(endpoint, enabled=False, disabled_reason=reason))

    def changes_since(self, revision: int) -> RegistryChanges:
        """Return the changes after `revision`; after 0, all endpoints."""
        with self._client.pipeline(transaction=True) as pipe:
            pipe.get(keys.REGISTRY_REVISION)
            # After 0, all are read anyway: none of the ids is needed.
            pipe.zrangebyscore(keys.REGISTRY_CHANGES, f"({revision or '+inf'}", "+inf")
            pipe.zcount(keys.REGISTRY_CHANGES, "-inf", revision)
            pipe.hlen(keys.ENDPOINTS)
            found, changed, older, total = pipe.execute()
        now = parse_integer(keys.REGISTRY_REVISION, found)
        if now < revision or not (revision and older):
            return RegistryChanges(now, True, total, self._all())
        return RegistryChanges(now, False, len(changed), self._batches(changed))

    def _all(self) -> Iterator[EndpointBatch]:
        """Read all endpoints. One that is there all the time is in at least one of the batches."""
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
            raise NotFound(f"no endpoint {endpoint_id!r}")
        return stored

    def _change(
        self, endpoint_id: str, changed: Endpoint | None, *expected: bytes
    ) -> dict[int, int | None] | None:
        """Return the block of each chain from which the change is in effect; None if `expected` is not stored."""
        touched, arguments = _change_call(endpoint_id, changed)
        result, *checkpoints = _CHANGE_ENDPOINT.call(self._client, touched, [*arguments, *expected])
        if result == b"conflict":
            return None
        return {
            chain: int(number) + 1 if number else None
            for chain, number in zip(_chains(changed), checkpoints, strict=True)
        }


def _change_call(endpoint_id: str, changed: Endpoint | None) -> tuple[list[str], list[str | bytes]]:
    """Return the keys and the arguments of the script."""
    checkpoints = map(keys.checkpoint, _chains(changed))
    touched = [keys.ENDPOINTS, keys.REGISTRY_REVISION, keys.REGISTRY_CHANGES, *checkpoints]
    stored, limits = (orjson.dumps(changed.stored()), _limits(changed)) if changed else (b"", "")
    return touched, [endpoint_id, stored, limits, _transfer_chains(changed)]


def _chains(endpoint: Endpoint | None) -> list[int]:
    """Return the chains on which it is to be in effect."""
    if endpoint is None or not endpoint.enabled:
        return []
    return sorted({each.chain_id for each in endpoint.subscriptions if not each.is_operational})


def _transfer_chains(endpoint: Endpoint | None) -> str:
    if endpoint is None or not endpoint.enabled:
        return ""
    wanted = {each.chain_id for each in endpoint.subscriptions if each.kind == "transfer"}
    return " ".join(map(str, sorted(wanted)))


def _limits(endpoint: Endpoint) -> str:
    """Return the limits as the scripts of the queue read them; see store/lua/shared/window.lua."""
    max_in_flight, rate = endpoint.max_in_flight or 0, endpoint.rate_limit_per_second or 0
    limits = f"{int(not endpoint.enabled)} {max_in_flight} {rate:.6g} {int(endpoint.ordered)}"
    return "" if limits == "0 0 0 0" else limits
