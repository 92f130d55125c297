"""Endpoints: URL, subscriptions, limits and secrets."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hookfarm.errors import InvalidInput
from hookfarm.records.fields import boolean, mapping, new_endpoint_id, refuse_unknown, shorten, text
from hookfarm.records.subscriptions import (
    Subscription,
    parse_subscriptions,
    stored_subscription,
    subscription_json,
)

MAX_URL_LENGTH = 2048
MAX_DESCRIPTION_LENGTH = 500
MAX_TIMEOUT_SECONDS = 60.0
DEFAULT_TIMEOUT_SECONDS = 15.0
MAX_IN_FLIGHT = 10_000
MIN_RATE, MAX_RATE = 0.01, 100_000.0

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]{0,2048}")
_RESERVED_HEADERS = {
    *("host", "content-length", "content-type", "transfer-encoding", "connection", "user-agent"),
    *("accept-encoding", "expect", "te", "trailer", "upgrade", "traceparent"),
}
_ENDPOINT_FIELDS = {
    *("url", "description", "subscriptions", "headers", "timeout_seconds"),
    *("max_in_flight", "rate_limit_per_second", "ordered", "enabled"),
}


@dataclass(frozen=True)
class Endpoint:
    """An endpoint: its URL, its subscriptions, and the settings of its requests.

    `max_in_flight`: max attempts in flight; None = the setting of that name. `rate_limit_per_second`: max
    attempts a second, over any ten seconds. `ordered`: one delivery at a time in event order, retries included.
    `secrets`: valid signing secrets, the newest first. During a rotation there are two; the older one has its
    expiry (Unix seconds).
    `effective_from`: chain -> block, set on an endpoint just stored; see `Registry`. It is not stored.
    """

    id: str
    url: str
    description: str = ""
    subscriptions: tuple[Subscription, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    max_in_flight: int | None = None
    rate_limit_per_second: float | None = None
    ordered: bool = False
    enabled: bool = True
    disabled_reason: str | None = None
    secrets: tuple[tuple[str, float | None], ...] = ()
    effective_from: Mapping[int, int | None] | None = field(default=None, compare=False)

    def public(self) -> dict[str, Any]:
        """Return the JSON of the API, without secrets.

        Subscriptions of an endpoint just stored have `effective_from_block`.
        """
        shown = self._form()
        if self.effective_from is not None:
            for subscription in (each for each in shown["subscriptions"] if "chain_id" in each):
                subscription["effective_from_block"] = self.effective_from.get(subscription["chain_id"])
        return shown

    def stored(self) -> dict[str, Any]:
        """Return the JSON of the registry, secrets included."""
        return {**self._form(), "secrets": [list(pair) for pair in self.secrets]}

    def _form(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "url": self.url,
            "description": self.description,
            "subscriptions": [subscription_json(s) for s in self.subscriptions],
            "headers": dict(self.headers),
            "timeout_seconds": self.timeout_seconds,
            "max_in_flight": self.max_in_flight,
            "rate_limit_per_second": self.rate_limit_per_second,
            "ordered": self.ordered,
            "enabled": self.enabled,
            "disabled_reason": self.disabled_reason,
        }


def parse_endpoint(raw: object, check_url: Callable[[str], str], base: Endpoint | None = None) -> Endpoint:
    """Return a checked endpoint: `raw` applied to `base` (update) or to the defaults (creation, `url` required).

    `check_url` returns the URL or raises InvalidInput. Ids and secrets in `raw` are rejected.
    """
    record = mapping(raw, "endpoint")
    refuse_unknown(record, _ENDPOINT_FIELDS)
    endpoint = base or Endpoint(id=new_endpoint_id(), url="")
    changes: dict[str, Any] = {}
    if base is None or "url" in record:
        changes["url"] = check_url(text(record, "url", MAX_URL_LENGTH))
    if "description" in record:
        changes["description"] = text(record, "description", MAX_DESCRIPTION_LENGTH)
    if "subscriptions" in record:
        changes["subscriptions"] = parse_subscriptions(record["subscriptions"])
    if "headers" in record:
        changes["headers"] = _headers(record["headers"])
    if "timeout_seconds" in record:
        changes["timeout_seconds"] = _timeout(record["timeout_seconds"])
    if "max_in_flight" in record:
        changes["max_in_flight"] = _max_in_flight(record["max_in_flight"])
    if "rate_limit_per_second" in record:
        changes["rate_limit_per_second"] = _rate_limit(record["rate_limit_per_second"])
    if "ordered" in record:
        changes["ordered"] = boolean(record, "ordered")
    if "enabled" in record:
        changes["enabled"] = boolean(record, "enabled")
        changes["disabled_reason"] = None if record["enabled"] else "disabled by its owner"
    return replace(endpoint, **changes)


def endpoint_from_stored(raw: Mapping[str, Any]) -> Endpoint:
    """Return the endpoint written by `Endpoint.stored`, unchecked."""
    return Endpoint(
        id=raw["id"],
        url=raw["url"],
        description=raw["description"],
        subscriptions=tuple(stored_subscription(s) for s in raw["subscriptions"]),
        headers=tuple(raw["headers"].items()),
        timeout_seconds=raw["timeout_seconds"],
        max_in_flight=raw["max_in_flight"],
        rate_limit_per_second=raw["rate_limit_per_second"],
        ordered=raw["ordered"],
        enabled=raw["enabled"],
        disabled_reason=raw["disabled_reason"],
        secrets=tuple((secret, expires) for secret, expires in raw["secrets"]),
    )


def _headers(raw: object) -> tuple[tuple[str, str], ...]:
    record: Mapping[Any, Any] = mapping(raw, "headers")
    if len(record) > 32:
        raise InvalidInput("headers", f"{len(record)} headers; at most 32 are allowed")
    for name, value in record.items():
        field = f"headers.{_name_prefix(name)}"
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise InvalidInput(field, "is not a header name (RFC 9110 token)")
        if name.lower() in _RESERVED_HEADERS or name.lower().startswith("webhook-"):
            raise InvalidInput(field, "is reserved for hookfarm")
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise InvalidInput(field, "the value must be printable ASCII of at most 2048 characters")
    return tuple(record.items())


def _name_prefix(name: object) -> str:
    """Return the valid prefix of a header's name; the rest may be a secret value."""
    found = _HEADER_NAME.match(name) if isinstance(name, str) else None
    return shorten(found[0] if found else "")


def _timeout(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0.1 <= raw <= MAX_TIMEOUT_SECONDS:
        allowed = f"allowed are 0.1 to {MAX_TIMEOUT_SECONDS:g} seconds"
        raise InvalidInput("timeout_seconds", f"{shorten(raw)} is not allowed; {allowed}")
    return float(raw)


def _max_in_flight(raw: object) -> int | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= MAX_IN_FLIGHT:
        raise InvalidInput(
            "max_in_flight", f"{shorten(raw)} is not null or a whole number from 1 to {MAX_IN_FLIGHT}"
        )
    return raw


def _rate_limit(raw: object) -> float | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not MIN_RATE <= raw <= MAX_RATE:
        allowed = f"null or a number from {MIN_RATE:g} to {MAX_RATE:.0f}"
        raise InvalidInput("rate_limit_per_second", f"{shorten(raw)} is not {allowed}")
    return float(raw)
