"""SSRF guard: webhooks go only to public addresses and to private ranges that the operator allowed.

A webhook sender is inside the operator's network and posts to URLs of customers. So a URL is parsed strictly, its
name is resolved, every address is checked, and the connection uses a checked address. A name that resolves
differently later (DNS rebinding) is checked again at each resolution.
`ipaddress.is_global` is not sufficient: it accepts special ranges and IPv6 forms that contain an IPv4 address.
"""

import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from hookfarm.errors import HookfarmError, InvalidInput

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

MAX_URL_LENGTH = 2048
_PUBLIC_PORTS = (80, 443)
_FIRST_FREE_PORT = 1024
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")

# IANA's special-purpose registries (RFC 6890 and its updates). For IPv6, only 2000::/3 is global unicast.
_REFUSED: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "unspecified"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "reserved"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmark"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::/96", "IPv4-compatible"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "NAT64"),
    ("100::/64", "discard-only"),
    ("2001::/32", "Teredo"),
    ("2001::/23", "reserved"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "documentation"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
)
_REFUSED_NETWORKS = tuple((ip_network(network), kind) for network, kind in _REFUSED)
_UNICAST_V6 = ip_network("2000::/3")
_ISATAP = 0x5EFE
"""The middle of an ISATAP interface identifier, followed by an IPv4 address (RFC 5214)."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NETLOC = re.compile(r"(?:[^\[\]@:%]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
"""A name, or an IPv6 address in brackets without a zone; optionally a port."""
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\U0010ffff\\]")


class AddressRefused(HookfarmError):
    """The URL's name resolves to a forbidden address; the endpoint's owner must act."""


class NameNotResolved(HookfarmError):
    """The URL's name has no address at present."""


@dataclass(frozen=True)
class Target:
    """The parts of a URL; `host` is a lower-case name or an address, `path` includes the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def literal(self) -> IPAddress | None:
        """The address, if the host is one; else None."""
        return literal_address(self.host)

    @property
    def authority(self) -> str:
        """The value of the Host header, without a default port (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.tls else 80
        return host if self.port == default else f"{host}:{self.port}"


def parse(url: str, allowed: Sequence[IPNetwork] = (), field: str = "url") -> Target:
    """Parse and check a URL without resolving its name. Raises InvalidInput."""
    try:
        target = _parse(url)
        _check_host(target, allowed)
    except ValueError as error:
        raise InvalidInput(field, str(error)) from error
    return target


def _parse(url: str) -> Target:
    if len(url) > MAX_URL_LENGTH:
        raise ValueError(f"longer than {MAX_URL_LENGTH} characters")
    if _FORBIDDEN.search(url):
        raise ValueError("control characters, spaces, backslashes and non-ASCII characters are not allowed")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        # Without a scheme, the part before a colon may be a user name.
        shown = f"{parts.scheme}://" if "://" in url else "a URL without a scheme"
        raise ValueError(f"{shown} is not allowed; allowed are http:// and https://")
    if "@" in parts.netloc:
        raise ValueError("user information is not allowed")
    if not _NETLOC.fullmatch(parts.netloc):
        raise ValueError("the part between // and the next / must be HOST or HOST:PORT")
    if parts.fragment:
        raise ValueError("a fragment is not allowed")
    port = parts.port  # Raises ValueError for an invalid port.
    if port is None:
        port = 443 if parts.scheme == "https" else 80
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, (parts.hostname or "").lower(), port, path)


def _check_host(target: Target, allowed: Sequence[IPNetwork]) -> None:
    host = target.host
    literal = target.literal
    if literal is not None:
        problem = refusal(literal, target.port, allowed)
        if problem:
            raise ValueError(problem)
        return
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{host!r} is not a host name (no trailing dot; IDNs in their xn-- form)")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        raise ValueError(f"{host!r} is an address in an unusual form; write it as four decimal numbers")
    if not allowed and f".{host}".endswith(_LOCAL_SUFFIXES):
        raise ValueError(f"{host!r} is a local name; {_how_to_open()}")
    if target.port not in _PUBLIC_PORTS and target.port < _FIRST_FREE_PORT:
        raise ValueError(f"port {target.port} is not allowed; allowed are 80, 443 and above 1023")


def refusal(address: IPAddress, port: int, allowed: Sequence[IPNetwork]) -> str | None:
    """Return the reason why an address and port are forbidden; None if they are allowed."""
    if any(address in network for network in allowed):
        return None
    kind = _special(address)
    if kind is not None:
        return f"{address} is a {kind} address; {_how_to_open()}"
    if port not in _PUBLIC_PORTS and port < _FIRST_FREE_PORT:
        return f"port {port} is not allowed; allowed are 80, 443 and above 1023"
    return None


def _special(address: IPAddress) -> str | None:
    for network, kind in _REFUSED_NETWORKS:
        if address in network:
            return kind
    if isinstance(address, IPv6Address):
        if address not in _UNICAST_V6:
            return "reserved"
        if (int(address) >> 32) & 0xFDFFFFFF == _ISATAP:
            return "ISATAP"
    return None


def _how_to_open() -> str:
    return "allowed are public addresses and the ranges in HOOKFARM_ALLOW_PRIVATE, which the farm needs as well"


def lookup(target: Target) -> list[IPAddress]:
    """Resolve the target's name with the system's resolver; preferred addresses first.

    Blocks until the name servers reply. Raises NameNotResolved.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NameNotResolved(f"{target.host} cannot be resolved: {error.strerror or error}") from error
    return [ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]


Lookup = Callable[[Target], list[IPAddress]]


def resolve(target: Target, allowed: Sequence[IPNetwork], ask: Lookup = lookup) -> list[IPAddress]:
    """Resolve and check the target's name; return the addresses to connect to, in order.

    Blocks. Raises NameNotResolved, and AddressRefused unless all addresses are allowed.
    """
    literal = target.literal
    addresses = [literal] if literal is not None else ask(target)
    check(target, addresses, allowed)
    return addresses


def check(target: Target, addresses: Iterable[IPAddress], allowed: Sequence[IPNetwork]) -> None:
    """Raise AddressRefused unless every address that the target's name resolves to is allowed."""
    for address in addresses:
        problem = refusal(address, target.port, allowed)
        if problem:
            raise AddressRefused(f"{target.host}: {problem}")


def literal_address(host: str) -> IPAddress | None:
    """Parse `host` as an address; None if it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None
