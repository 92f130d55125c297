"""Chains and their nodes as `ID=NODE[,NODE…][;SETTING=VALUE…]`, and URLs of services that hookfarm calls.

A NODE is `URL[#SETTING=VALUE[&SETTING=VALUE…]]`; the fragment of a URL is never sent to a server. Errors contain
only the origin of a URL, because the rest may contain a key.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from hookfarm.config.values import integer, one_of, parts, percent, rate
from hookfarm.security.redaction import origin, redis_address, sanitize
from hookfarm.timestamps import parse_duration

RPC_METHODS = (
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getLogs",
    "eth_getBlockReceipts",
    "eth_getTransactionReceipt",
    "eth_blockNumber",
    "eth_chainId",
    "eth_subscribe",
    "other",
)
"""The methods that hookfarm calls; `other` = any other one."""


@dataclass(frozen=True)
class NodeConfig:
    """Settings of one node. A call costs one unit; if `units_per_call` is not empty, the units of its method.

    - `units_per_month`: budget of a calendar month in UTC; None = no limit;
    - `units_per_call`: by method; methods that are missing cost those of `other`, else 1.
    """

    units_per_month: int | None = None
    units_per_call: Mapping[str, int] = field(default_factory=dict, hash=False)

    def units(self, method: str) -> int:
        """Return the units of a call."""
        found = self.units_per_call.get(method)
        return self.units_per_call.get("other", 1) if found is None else found


@dataclass(frozen=True)
class ChainConfig:
    """One chain and the URLs of its nodes, the preferred one first.

    `verify` is the proof that blocks are complete; None = `bloom`:
    - `bloom`: log indices and the header's bloom as far as it proves anything, in doubt all receipts;
    - `contiguous`: only log indices, for blooms that are wrong;
    - `receipts`: as `bloom`, but receipts are the first source, a longer response;
    - `receipts-root`: the receipts make the root in the header, and the header the block's hash;
    - `none`.
    `requests_per_second`: limit per node.
    `reorg_window`: seconds for which published blocks are remembered; `reorg_bytes`: limit of their kept events.
    `requests_per_second`: limit per node. `hedge_percent`: max share of requests that are also sent to the next
    node because the first one is slow; None = no request. `nodes`: settings by place in `urls`, `()` = defaults.
    """

    chain_id: int
    urls: tuple[str, ...]
    verify: str | None = None
    requests_per_second: float | None = None
    reorg_window: float = 86_400.0
    reorg_bytes: int = 32_000_000
    hedge_percent: float | None = None
    nodes: tuple[NodeConfig, ...] = ()

    def node(self, place: int) -> NodeConfig:
        """Return the settings of the node of a URL, by its place in `urls`."""
        return self.nodes[place] if place < len(self.nodes) else NodeConfig()


VERIFICATIONS = ("bloom", "contiguous", "receipts", "receipts-root", "none")
CHAIN_SETTINGS: Mapping[str, Callable[[Any], Any]] = {
    "verify": one_of(*VERIFICATIONS),
    "requests_per_second": rate,
    "reorg_window": parse_duration,
    "reorg_bytes": integer(0, 10**12),
    "hedge_percent": percent,
}
UNITS_PER_CALL = "units_per_call"
NODE_SETTINGS: Mapping[str, Callable[[Any], Any]] = {
    "units_per_month": integer(1, 10**15),
    UNITS_PER_CALL: integer(0, 10**6),
}
"""Parsers by setting; `units_per_call` is followed by a dot and a method."""


def chains(raw: Any) -> tuple[ChainConfig, ...]:
    """Parse `ID=NODE[,NODE…][;SETTING=VALUE…]`, several as a list or separated by spaces, or a TOML table.

    The values of a table are a URL, a list of nodes, or a table with `urls` and the chain's settings. A node in a
    list is a text as above, or a table with `url` and the node's settings.
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
        return _node_list(value)
    settings = [f";{name}={setting}" for name, setting in value.items() if name != "urls"]
    return _node_list(value.get("urls", "")) + "".join(settings)


def _node_list(value: Any) -> str:
    return ",".join(_node_text(node) if isinstance(node, Mapping) else str(node) for node in parts(value, ","))


def _node_text(node: Mapping[str, Any]) -> str:
    """Return `URL#SETTING=VALUE&…` for a table."""
    settings = "&".join(f"{name}={value}" for name, value in _flat(node) if name != "url")
    return f"{node.get('url', '')}#{settings}" if settings else str(node.get("url", ""))


def _flat(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the values of a table by name; those of a table in it by `NAME.KEY`."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", inner) for key, inner in value.items())
        else:
            yield name, value


def _chain(text: str) -> ChainConfig:
    line, *settings = text.strip().split(";")
    number, equals, nodes = line.partition("=")
    if not equals or not re.fullmatch(r"[1-9][0-9]{0,15}", number.strip()):
        shown = sanitize(text) if "://" in text else re.split("[/?#@]", text)[0]  # Not a URL without a scheme.
        raise ValueError(f"{shown!r} is not ID=URL[,URL…], for example 1=wss://node.example")
    chain_id = int(number)
    known: dict[str, Any] = dict(_chain_setting(chain_id, setting) for setting in settings)
    found = [_node(chain_id, node.strip()) for node in nodes.split(",")]
    if any(node != NodeConfig() for _, node in found):
        known["nodes"] = tuple(node for _, node in found)
    return ChainConfig(chain_id, tuple(url for url, _ in found), **known)


def _node(chain_id: int, text: str) -> tuple[str, NodeConfig]:
    """Parse `URL[#SETTING=VALUE[&…]]`. Raises ValueError."""
    url, _, fragment = text.partition("#")
    where = f"chain {chain_id}: {origin(node_url(url))}"
    values: dict[str, Any] = {}
    units: dict[str, int] = {}
    for setting in fragment.split("&") if fragment else ():
        name, _, value = setting.partition("=")
        key, _, method = name.partition(".")
        if key not in NODE_SETTINGS or (method != "") != (key == UNITS_PER_CALL):
            shown = f"setting {name!r}" if re.fullmatch("[A-Za-z_.]{1,48}", name) else "text after #"
            known = "units_per_month=NUMBER, units_per_call.METHOD=NUMBER"
            raise ValueError(f"{where}: unknown {shown}; known: {known}")
        if method and method not in RPC_METHODS:
            raise ValueError(f"{where}: {name}: unknown method; known: {', '.join(RPC_METHODS)}")
        if method in units or key in values:
            raise ValueError(f"{where}: {name} is given twice")
        try:
            parsed = NODE_SETTINGS[key](value)
        except ValueError as error:
            raise ValueError(f"{where}: {name}: {error}") from error
        if method:
            units[method] = parsed
        else:
            values[key] = parsed
    return url, NodeConfig(**values, units_per_call=units)


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
