"""URLs of what hookfarm calls. A refusal shows no more of one than its origin: the rest may be a key."""

import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

from hookfarm.security.redaction import origin, redis_address


def node_url(url: str) -> str:
    """Of a node's JSON-RPC."""
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
        raise ValueError(
            f"{origin(url)!r} is not a node's URL; it must begin with ws://, wss://, http:// or https://"
        )
    return url


def collector_url(raw: Any) -> str:
    """Of an OpenTelemetry collector."""
    url = str(raw)
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ValueError(f"{origin(url)!r} is not a collector's URL, for example http://127.0.0.1:4318")
    return url


def redis_url(raw: Any) -> str:
    """Of a Redis server, behind TCP, TLS or a socket."""
    url = str(raw)
    parts = _split(url)
    if parts is None or not _leads_to_redis(parts):
        raise ValueError(
            f"{redis_address(url)!r} is not a Redis URL; allowed are redis://HOST:PORT/DB,"
            " rediss://HOST:PORT/DB and unix:///PATH?db=DB"
        )
    return url


_REDIS_QUERY = re.compile(r"db=[0-9]{1,9}|(?:username|password|client_name)=[^&]*")
_TLS_QUERY = re.compile(r"ssl_(?:keyfile|certfile|cert_reqs|ca_certs|ca_path|password|check_hostname)=[^&]*")


def _leads_to_redis(parts: SplitResult) -> bool:
    if not _query_allowed(parts):
        return False
    if parts.scheme == "unix":
        return bool(parts.path)
    return parts.scheme in ("redis", "rediss") and bool(parts.hostname)


def _query_allowed(parts: SplitResult) -> bool:
    """What redis-py takes there, but for what would change how connections are used; it fails late at the rest."""
    given = parts.query.split("&") if parts.query else []
    tls = parts.scheme == "rediss"
    return all(_REDIS_QUERY.fullmatch(one) or (tls and _TLS_QUERY.fullmatch(one)) for one in given)


def _split(url: str) -> SplitResult | None:
    """None for what is no URL, its port included."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts
