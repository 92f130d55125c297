"""Parsers of the values of settings.

A parser takes a string (variable, option) or a TOML value. It raises ValueError with the problem, the value unless
it is a secret, and the allowed values; the caller adds the name of the setting.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from hookfarm.security.vault import KEY_BYTES, MasterKey
from hookfarm.timestamps import parse_duration

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Address:
    """Host and port on which a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def integer(low: int, high: int) -> Callable[[Any], int]:
    """Return a parser of a whole number from `low` to `high`."""

    def parse(raw: Any) -> int:
        text = str(raw).strip()
        if isinstance(raw, bool) or not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise ValueError(f"{raw!r} is not a whole number from {low} to {high}")
        if not low <= int(text) <= high:
            raise ValueError(f"{raw!r} is out of range; allowed are {low} to {high}")
        return int(text)

    return parse


def one_of(*words: str) -> Callable[[Any], str]:
    """Return a parser of one of these words, in any case."""

    def parse(raw: Any) -> str:
        if str(raw).lower() not in words:
            raise ValueError(f"{raw!r} is not allowed; allowed are {', '.join(words)}")
        return str(raw).lower()

    return parse


def durations(raw: Any) -> tuple[float, ...]:
    """Parse `5s,30s,2m` or a TOML list of durations; an empty value means no retries."""
    return tuple(parse_duration(part) for part in parts(raw, ","))


def parts(raw: Any, separators: str) -> list[Any]:
    """Split a text, dropping empty parts; return a list unchanged."""
    if isinstance(raw, list | tuple):
        return list(raw)
    return [part for part in re.split(f"[{separators}]", str(raw)) if part.strip()]


def networks(raw: Any) -> tuple[Network, ...]:
    """Parse comma-separated CIDR ranges."""
    found: list[Network] = []
    for part in parts(raw, ","):
        try:
            found.append(ip_network(str(part).strip(), strict=False))
        except ValueError as error:
            raise ValueError(f"{part!r} is not an address range; write 127.0.0.0/8,::1/128") from error
    return tuple(found)


def address(raw: Any) -> Address:
    """Parse HOST:PORT, IPv6 hosts in brackets; port 0 = a free port."""
    host, colon, port = str(raw).strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{raw!r} is not HOST:PORT, for example 127.0.0.1:8400")
    return Address(host, int(port))


def api_token(raw: Any) -> str:
    """Check a bearer token (RFC 6750) of at least 16 characters."""
    if not isinstance(raw, str) or not re.fullmatch(r"[0-9A-Za-z._~+/-]{16,256}=*", raw):
        raise ValueError("must be 16 to 256 of the characters 0-9 A-Z a-z . _ ~ + / -")
    return raw


def hosts(raw: Any) -> tuple[str, ...]:
    """Parse comma-separated host names or addresses without ports."""
    found = tuple(str(part).strip().lower().strip("[]") for part in parts(raw, ","))
    for host in found:
        if not re.fullmatch(r"[0-9a-z._:-]{1,253}", host):
            raise ValueError(f"{host!r} is not a host name; write hooks.example,10.0.0.7")
    return found


def chain_ids(raw: Any) -> tuple[int, ...]:
    """Parse comma-separated chain ids."""
    found = [str(part).strip() for part in parts([raw] if isinstance(raw, int) else raw, ",")]
    for chain_id in found:
        if not re.fullmatch(r"[1-9][0-9]{0,15}", chain_id):
            raise ValueError(f"{chain_id!r} is not a chain id; write 1,8453")
    return tuple(dict.fromkeys(map(int, found)))


def rate(raw: Any) -> float:
    """Parse a rate per second above 0."""
    if not re.fullmatch(r"[0-9]{1,6}(?:\.[0-9]{1,3})?", str(raw)) or float(raw) <= 0:
        raise ValueError(f"{raw!r} is not a rate; write 25 or 0.5")
    return float(raw)


def percent(raw: Any) -> float:
    """Parse a percentage above 0, at most 100."""
    if not re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{1,3})?", str(raw)) or not 0 < float(raw) <= 100:
        raise ValueError(f"{raw!r} is not a percentage; write a number above 0, at most 100, such as 5")
    return float(raw)


def ratio(raw: Any) -> float:
    """Parse a number from 0 to 1."""
    if isinstance(raw, bool) or not re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{1,9})?", str(raw)) or float(raw) > 1:
        raise ValueError(f"{raw!r} is not a ratio; write a number from 0 to 1, such as 0.05")
    return float(raw)


def path(raw: Any) -> Path:
    """Return an absolute path with `~` expanded; it may not exist."""
    if not isinstance(raw, str | Path) or not str(raw).strip() or "\0" in str(raw):
        raise ValueError(f"{raw!r} is not a path")
    try:
        return Path(raw).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"{str(raw)!r} is in the home directory of an unknown user") from error


def existing_file(raw: Any) -> Path:
    """Return the path of an existing file."""
    file = path(raw)
    if not file.is_file():
        raise ValueError(f"{str(raw)!r} is not a file")
    return file


def master_keys(raw: Any) -> tuple[MasterKey, ...]:
    """Parse `ID:BASE64[,ID:BASE64…]`, the newest first. Errors omit the key."""
    found: dict[str, MasterKey] = {}
    for part in parts(raw, ","):
        name, _, encoded = str(part).strip().partition(":")
        if not re.fullmatch(r"[0-9A-Za-z_.-]{1,32}", name) or not encoded:
            raise ValueError("must be ID:BASE64, comma separated; an id has letters, digits, '_', '-' and '.'")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise ValueError(
                f"the key {name!r} is not base64 of {KEY_BYTES} bytes; `openssl rand -base64 32` prints one"
            )
        if name in found:
            raise ValueError(f"{name!r} is given twice")
        found[name] = MasterKey(name, key)
    return tuple(found.values())
