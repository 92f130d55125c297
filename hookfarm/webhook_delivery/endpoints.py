"""A worker's compiled endpoints: each is compiled once, and again after it has changed."""

from collections import OrderedDict
from collections.abc import Sequence

from hookfarm.errors import InvalidInput
from hookfarm.http_client.request import CompiledEndpoint, compile_endpoint
from hookfarm.registry import store as registry_store
from hookfarm.security.ssrf import IPNetwork
from hookfarm.security.vault import NO_KEYS, Vault

MAX_CACHED_ENDPOINTS = 1000

Compiled = CompiledEndpoint | InvalidInput | None
"""InvalidInput = it can't be sent to, None = it was removed."""


class EndpointCache:
    """Endpoints by id. With a new revision of the registry, each is to be read again when it is needed."""

    def __init__(self, allowed: Sequence[IPNetwork], vault: Vault = NO_KEYS) -> None:
        self._allowed = allowed
        self._vault = vault
        self._cached: OrderedDict[str, tuple[int, bytes | None, Compiled]] = OrderedDict()

    def is_current(self, endpoint_id: str, revision: int) -> bool:
        """Whether the endpoint is known as of `revision`."""
        cached = self._cached.get(endpoint_id)
        return cached is not None and cached[0] == revision

    def get(self, endpoint_id: str) -> Compiled:
        """Return the endpoint as it was last stored. Raises KeyError if it never was, or not of late."""
        self._cached.move_to_end(endpoint_id)
        return self._cached[endpoint_id][2]

    def store(self, endpoint_id: str, revision: int, stored: bytes | None) -> Compiled:
        """Remember and return the endpoint that the registry has as `stored`, read after `revision`."""
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
