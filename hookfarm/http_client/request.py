"""What a worker knows of endpoints: each prepared once, and again after the registry changed."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import hookfarm
from hookfarm.delivery_queue.job import Taken
from hookfarm.errors import InvalidInput
from hookfarm.http_client.signature import SigningKey, signature_header, signing_key
from hookfarm.records import Endpoint
from hookfarm.registry import registry
from hookfarm.security import redaction
from hookfarm.security.ssrf import IPNetwork, Target, parse
from hookfarm.security.vault import NO_KEYS, Vault
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection, ResponseError

KEPT_ENDPOINTS = 1000

_REQUEST = (
    b"%b%bcontent-length: %d\r\nwebhook-id: %b\r\nwebhook-timestamp: %b\r\n"
    b"webhook-signature: %b\r\nwebhook-attempt: %d\r\n\r\n%b"
)


@dataclass(frozen=True)
class Prepared:
    """An endpoint with everything about it that is the same for all its requests already computed."""

    endpoint: Endpoint
    target: Target
    head: bytes
    keys: tuple[tuple[SigningKey, float | None], ...]
    secrets: tuple[str, ...]
    """What of the request is not to be kept where the endpoint repeats it."""

    def request(self, taken: Taken, now: float, further: bytes = b"") -> bytes:
        """The whole signed HTTP request of one attempt at `now` (Unix time), with `further` header lines."""
        timestamp = b"%d" % now
        webhook_id = taken.id.encode()
        keys_in_force = [key for key, expires in self.keys if expires is None or expires > now]
        return _REQUEST % (
            self.head,
            further,
            len(taken.body),
            webhook_id,
            timestamp,
            signature_header(keys_in_force, webhook_id, timestamp, taken.body),
            taken.attempt,
            taken.body,
        )


def prepare(endpoint: Endpoint, allowed: Sequence[IPNetwork], vault: Vault = NO_KEYS) -> Prepared:
    """InvalidInput where the URL is not, or no longer, allowed, or `vault` can't open the secrets."""
    target = parse(endpoint.url, allowed)
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"host: {target.authority}",
        f"user-agent: hookfarm/{hookfarm.__version__}",
        "accept: */*",
        "accept-encoding: identity",
        "content-type: application/json",
        *(f"{name}: {value}" for name, value in endpoint.headers),
    ]
    keys_ = tuple((signing_key(vault.open(secret, endpoint.id)), until) for secret, until in endpoint.secrets)
    secrets = (*redaction.secrets_of_headers(endpoint.headers), *redaction.secrets_of_url(endpoint.url))
    return Prepared(endpoint, target, "\r\n".join([*lines, ""]).encode(), keys_, secrets)


class Endpoints:
    """A cache over the registry. A revision it has not seen makes it look again at each endpoint it needs."""

    def __init__(
        self, connection: PipelinedConnection, allowed: Sequence[IPNetwork], vault: Vault = NO_KEYS
    ) -> None:
        self._connection = connection
        self._allowed = allowed
        self._vault = vault
        self._known: OrderedDict[str, tuple[int, Prepared | InvalidInput | None]] = OrderedDict()

    def get(self, endpoint_id: str, revision: int) -> Prepared | InvalidInput | None:
        """The endpoint as of `revision`; None where there is none, InvalidInput where it can't be sent to."""
        at, known = self._known.get(endpoint_id, (-1, None))
        if at == revision:
            return known
        prepared = self._fetch(endpoint_id)
        self._known[endpoint_id] = (revision, prepared)
        self._known.move_to_end(endpoint_id)
        if len(self._known) > KEPT_ENDPOINTS:
            self._known.popitem(last=False)
        return prepared

    def _fetch(self, endpoint_id: str) -> Prepared | InvalidInput | None:
        [stored] = self._connection.execute(("HGET", keys.ENDPOINTS, endpoint_id))
        if isinstance(stored, ResponseError):
            raise stored
        if stored is None:
            return None
        try:
            return prepare(registry.decode(stored, subscriptions=False), self._allowed, self._vault)
        except InvalidInput as error:
            return error
