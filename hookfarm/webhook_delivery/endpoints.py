"""A worker's cache of compiled endpoints; an endpoint is recompiled after it has changed."""

from collections import OrderedDict
from collections.abc import Sequence

from hookfarm.errors import InvalidInput
from hookfarm.http_client.request import CompiledEndpoint, compile_endpoint
from hookfarm.registry import store as registry_store
from hookfarm.security.ssrf import IPNetwork
from hookfarm.security.vault import NO_KEYS, Vault

MAX_CACHED_ENDPOINTS = 1000

Compiled = CompiledEndpoint | InvalidInput | None
"""InvalidInput = the endpoint is invalid, None = it was removed."""


class EndpointCache:
    """Compiled endpoints by id, each as of a revision of the registry."""

    def __init__(self, allowed: Sequence[IPNetwork], vault: Vault = NO_KEYS) -> None:
        self._allowed = allowed
        self._vault = vault
        self._cached: OrderedDict[str, tuple[int, bytes | None, Compiled]] = OrderedDict()

    def is_current(self, endpoint_id: str, revision: int) -> bool:
        """Return whether the endpoint is cached as of `revision`; otherwise it must be read again."""
        cached = self._cached.get(endpoint_id)
        return cached is not None and cached[0] == revision

    def get(self, endpoint_id: str) -> Compiled:
        """Return the cached endpoint. Raises KeyError if it is not cached."""
        self._cached.move_to_end(endpoint_id)
        return self._cached[endpoint_id][2]

    def store(self, endpoint_id: str, revision: int, stored: bytes | None) -> Compiled:
        """Cache and return an endpoint; `stored` is its entry in the registry, read at `revision` or later."""
        _, before, compiled = self._cached.get(endpoint_id, (0, None, None))
        if stored != before:
            compiled = self._compile(stored)
        self._cached[endpoint_id] = (revision, stored, compiled)
        self._cached.move_to_end(endpoint_id)
        if len(self._cached) > MAX_CACHED_ENDPOINTS:
            self._cached.popitem(last=False)
        return compiled

    def _compile(self, stored: bytes | None) -> Compiled:
        if stored is None:
            return None
        try:
            return compile_endpoint(registry_store.decode(stored, subscriptions=False), self._allowed, self._vault)
        except InvalidInput as error:
            return error
