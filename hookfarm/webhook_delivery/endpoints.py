"""A worker's compiled endpoints: each is compiled once, and again after the registry has changed."""

from collections import OrderedDict
from collections.abc import Sequence

from hookfarm.errors import InvalidInput
from hookfarm.http_client.request import CompiledEndpoint, compile_endpoint
from hookfarm.registry import store as registry_store
from hookfarm.security.ssrf import IPNetwork
from hookfarm.security.vault import NO_KEYS, Vault
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection, ResponseError

MAX_CACHED_ENDPOINTS = 1000


class EndpointCache:
    """Endpoints by id. With a new revision of the registry, each endpoint is read again when it is needed."""

    def __init__(
        self, connection: PipelinedConnection, allowed: Sequence[IPNetwork], vault: Vault = NO_KEYS
    ) -> None:
        self._connection = connection
        self._allowed = allowed
        self._vault = vault
        self._cached: OrderedDict[str, tuple[int, CompiledEndpoint | InvalidInput | None]] = OrderedDict()

    def get(self, endpoint_id: str, revision: int) -> CompiledEndpoint | InvalidInput | None:
        """The endpoint as of `revision`; None if it was removed, InvalidInput if it can't be sent to."""
        cached_revision, cached = self._cached.get(endpoint_id, (-1, None))
        if cached_revision == revision:
            return cached
        compiled = self._fetch(endpoint_id)
        self._cached[endpoint_id] = (revision, compiled)
        self._cached.move_to_end(endpoint_id)
        if len(self._cached) > MAX_CACHED_ENDPOINTS:
            self._cached.popitem(last=False)
        return compiled

    def _fetch(self, endpoint_id: str) -> CompiledEndpoint | InvalidInput | None:
        [stored] = self._connection.execute(("HGET", keys.ENDPOINTS, endpoint_id))
        if isinstance(stored, ResponseError):
            raise stored
        if stored is None:
            return None
        try:
            return compile_endpoint(registry_store.decode(stored, subscriptions=False), self._allowed, self._vault)
        except InvalidInput as error:
            return error
