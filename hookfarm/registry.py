"""The registry of endpoints, in Redis.

Each change is one transaction: the endpoint, the revision that grows with it, the note of which endpoint that
revision touched, and what the queue must know of it (paused, how many at once, how fast, in order). A reader
that knows revision N asks only for what changed since, so that a change costs a hundred thousand endpoints
nothing.
"""

import base64
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import orjson
import redis

from hookfarm import keys
from hookfarm.errors import NotFound
from hookfarm.lua import Script
from hookfarm.records import Endpoint, endpoint_from_stored

ROTATION_SECONDS = 24 * 3600.0
"""How long the old secret goes on signing beside the new one."""
_SECRET_BYTES = 32
_CHANGE_ENDPOINT = Script("change_endpoint")


@dataclass(frozen=True)
class Changes:
    """What happened to the registry up to `revision`.

    `endpoints`: each changed one, None where it was removed. `complete`: these are all there are, so that the
    reader forgets every other; also said when the server lost writes and the revision went back.
    """

    revision: int
    endpoints: dict[str, Endpoint | None]
    complete: bool


def new_secret() -> str:
    """A signing secret, `whsec_` and base64 of 32 random bytes (Standard Webhooks 1.0)."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def decode(stored: bytes | str) -> Endpoint:
    return endpoint_from_stored(orjson.loads(stored))


class Registry:
    """Reads and writes endpoints; errors of the connection are redis-py's."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client

    def add(self, endpoint: Endpoint) -> Endpoint:
        """Stores it with a new secret; the returned endpoint is the only one that shows it."""
        created = replace(endpoint, secrets=((new_secret(), None),))
        self._store(created)
        return created

    def update(self, endpoint: Endpoint) -> None:
        """Replaces the endpoint of that id, whatever it was."""
        self._store(endpoint)

    def edit(self, endpoint_id: str, change: Callable[[Endpoint], Endpoint]) -> Endpoint:
        """Stores what `change` makes of the endpoint, and asks it again where somebody else changed it meanwhile.

        NotFound where there is none.
        """
        while True:
            stored = self._stored(endpoint_id)
            changed = change(decode(stored))
            if self._change(endpoint_id, changed, stored):
                return changed

    def get(self, endpoint_id: str) -> Endpoint:
        """NotFound where there is none."""
        return decode(self._stored(endpoint_id))

    def all(self) -> list[Endpoint]:
        """Every endpoint, by id."""
        stored = self._client.hvals(keys.ENDPOINTS)
        return sorted(map(decode, stored), key=lambda endpoint: endpoint.id)

    def remove(self, endpoint_id: str) -> None:
        """NotFound where there is none."""
        while not self._change(endpoint_id, None, self._stored(endpoint_id)):
            pass  # Changed meanwhile, or removed by somebody else.

    def rotate_secret(self, endpoint_id: str, now: float | None = None) -> Endpoint:
        """Gives it a new secret; the previous one signs too for another day."""
        until = (time.time() if now is None else now) + ROTATION_SECONDS

        def rotate(endpoint: Endpoint) -> Endpoint:
            return replace(endpoint, secrets=((new_secret(), None), (endpoint.secrets[0][0], until)))

        return self.edit(endpoint_id, rotate)

    def disable(self, endpoint_id: str, reason: str) -> None:
        """Nothing more is matched for it or sent to it; the reason is shown with it."""
        self.edit(endpoint_id, lambda endpoint: replace(endpoint, enabled=False, disabled_reason=reason))

    def changes_since(self, revision: int) -> Changes:
        """What changed after `revision`; from 0, everything."""
        with self._client.pipeline(transaction=True) as pipe:
            pipe.get(keys.REGISTRY_REVISION)
            pipe.zrangebyscore(keys.REGISTRY_CHANGES, f"({revision}", "+inf")
            pipe.zcount(keys.REGISTRY_CHANGES, "-inf", revision)
            found, changed, older = pipe.execute()
        now = int(found or 0)
        if now < revision or (revision and not older):
            return Changes(now, {endpoint.id: endpoint for endpoint in self.all()}, complete=True)
        stored = self._client.hmget(keys.ENDPOINTS, changed) if changed else []
        endpoints = {
            changed_id.decode(): None if found is None else decode(found)
            for changed_id, found in zip(changed, stored, strict=True)
        }
        return Changes(now, endpoints, complete=revision == 0)

    def _store(self, endpoint: Endpoint) -> None:
        self._change(endpoint.id, endpoint)

    def _stored(self, endpoint_id: str) -> bytes:
        stored = self._client.hget(keys.ENDPOINTS, endpoint_id)
        if not isinstance(stored, bytes):
            raise NotFound(f"no endpoint {endpoint_id!r}")
        return stored

    def _change(self, endpoint_id: str, changed: Endpoint | None, *expected: bytes) -> bool:
        touched = (keys.ENDPOINTS, keys.REGISTRY_REVISION, keys.REGISTRY_CHANGES)
        stored, limits = (orjson.dumps(changed.stored()), _limits(changed)) if changed else (b"", "")
        arguments: list[str | bytes] = [endpoint_id, stored, limits, *expected]
        return int(_CHANGE_ENDPOINT.call(self._client, touched, arguments)) > 0


def _limits(endpoint: Endpoint) -> str:
    """What the scripts of the queue have to know of an endpoint; see scripts/shared/ledger.lua."""
    most, rate = endpoint.max_in_flight or 0, endpoint.rate_limit_per_second or 0
    limits = f"{int(not endpoint.enabled)} {most} {rate:.6g} {int(endpoint.ordered)}"
    return "" if limits == "0 0 0 0" else limits
