"""Chains and their nodes as `ID=URL[,URL…][;SETTING=VALUE…]`, and URLs of services that hookfarm calls.

Errors contain only the origin of a URL, because the rest may contain a key.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from hookfarm.config.values import one_of, parts, rate
from hookfarm.security.redaction import origin, redis_address, sanitize


@dataclass(frozen=True)
class ChainConfig:
    """One chain and the URLs of its nodes, the preferred one first.

    `verify` is the proof that blocks are complete; None = `bloom`:
    - `bloom`: log indices and the header's bloom as far as it proves anything, in doubt all receipts;
    - `contiguous`: only log indices, for blooms that are wrong;
    - `receipts`: as `bloom`, but receipts are the first source, a longer response;
    - `none`.
    `requests_per_second`: limit per node.
    """

    chain_id: int
    urls: tuple[str, ...]
    verify: str | None = None
    requests_per_second: float | None = None


VERIFICATIONS = ("bloom", "contiguous", "receipts", "none")
CHAIN_SETTINGS: Mapping[str, Callable[[Any], Any]] = {
    "verify": one_of(*VERIFICATIONS),
    "requests_per_second": rate,
}


def chains(raw: Any) -> tuple[ChainConfig, ...]:
    """Parse `ID=URL[,URL…][;SETTING=VALUE…]`, several as a list or separated by spaces, or a TOML table.

    The values of a table are a URL, a list of URLs, or a table with `urls` and the chain's settings.
    """
    if isinstance(raw, Mapping):
        raw = [f"{chain_id}={_chain_line(value)}" for chain_id, value in raw.items()]
    found: dict[int, ChainConfig] = {}
    for part in parts(raw, r"\s"):
        chain = _chain(str(part))
        if chain.chain_id in found:
            raise ValueError(f"chain {chain.chain_id} is given twice; put its URLs into one")
        found[chain.chain_id] = chain
    return tuple(found.values())


def _chain_line(value: Any) -> str:
    """Return the text after `ID=` for a value of a TOML table."""
    if not isinstance(value, Mapping):
        return ",".join(map(str, parts(value, ",")))
    settings = [f";{name}={setting}" for name, setting in value.items() if name != "urls"]
    return ",".join(map(str, parts(value.get("urls", ""), ","))) + "".join(settings)


def _chain(text: str) -> ChainConfig:
    line, *settings = text.strip().split(";")
    number, equals, urls = line.partition("=")
    if not equals or not re.fullmatch(r"[1-9][0-9]{0,15}", number.strip()):
        shown = sanitize(text) if "://" in text else re.split("[/?#@]", text)[0]  # Not a URL without a scheme.
        raise ValueError(f"{shown!r} is not ID=URL[,URL…], for example 1=wss://node.example")
    known = dict(_chain_setting(int(number), setting) for setting in settings)
    return ChainConfig(int(number), tuple(node_url(url.strip()) for url in urls.split(",")), **known)


def _chain_setting(chain_id: int, text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    if name not in CHAIN_SETTINGS:
        # A URL may contain a semicolon, and secrets after it.
        shown = f"setting {name!r}" if re.fullmatch("[a-z_]{1,24}", name) else "text after a semicolon"
        raise ValueError(f"chain {chain_id}: unknown {shown}; known: {', '.join(CHAIN_SETTINGS)}")
    try:
        return name, CHAIN_SETTINGS[name](value)
    except ValueError as error:
        raise ValueError(f"chain {chain_id}: {name}: {error}") from error


def node_url(url: str) -> str:
    """Check the URL of a node. Raises ValueError."""
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
        raise ValueError(
            f"{origin(url)!r} is not a node's URL; it must begin with ws://, wss://, http:// or https://"
        )
    return url


def collector_url(raw: Any) -> str:
    """Check the URL of an OpenTelemetry collector. Raises ValueError."""
    url = str(raw)
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ValueError(f"{origin(url)!r} is not a collector's URL, for example http://127.0.0.1:4318")
    return url


def redis_url(raw: Any) -> str:
    """Check the URL of a Redis server, over TCP, TLS or a unix socket. Raises ValueError."""
    url = str(raw)
    parts = _split(url)
    if parts is None or not _is_redis_url(parts):
        raise ValueError(
            f"{redis_address(url)!r} is not a Redis URL; allowed are redis://HOST:PORT/DB,"
            " rediss://HOST:PORT/DB and unix:///PATH?db=DB"
        )
    return url


_REDIS_QUERY = re.compile(r"db=[0-9]{1,9}|(?:username|password|client_name)=[^&]*")
_TLS_QUERY = re.compile(r"ssl_(?:keyfile|certfile|cert_reqs|ca_certs|ca_path|password|check_hostname)=[^&]*")


def _is_redis_url(parts: SplitResult) -> bool:
    if not _query_allowed(parts):
        return False
    if parts.scheme == "unix":
        return bool(parts.path)
    return parts.scheme in ("redis", "rediss") and bool(parts.hostname)


def _query_allowed(parts: SplitResult) -> bool:
    """Return whether the query holds only options of redis-py that do not change the use of connections."""
    given = parts.query.split("&") if parts.query else []
    tls = parts.scheme == "rediss"
    return all(_REDIS_QUERY.fullmatch(one) or (tls and _TLS_QUERY.fullmatch(one)) for one in given)


def _split(url: str) -> SplitResult | None:
    """Split a URL; None if the URL or its port is invalid."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts
