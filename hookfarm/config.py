"""Settings: one table, four sources, one frozen record.

Later over earlier: defaults, the TOML file (`--config`), variables (`HOOKFARM_<NAME>`), options. A wrong
setting is an InvalidInput that names it, its value and what is allowed. Nothing else reads the environment.
"""

import base64
import binascii
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hookfarm.errors import InvalidInput
from hookfarm.redaction import origin, redis_address, secrets_of_url
from hookfarm.redaction import text as redacted
from hookfarm.vault import KEY_BYTES, MasterKey

Network = IPv4Network | IPv6Network

DEFAULT_RETRY_SCHEDULE = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 18000.0, 36000.0)
MAX_WORKERS = 2000
MAX_PROCESSORS = 64


@dataclass(frozen=True)
class ChainConfig:
    """One chain and the URLs of the nodes that serve it, the preferred one first.

    `verify` says how a block's logs are proven to be all of them: by the header's `bloom`; by `contiguous` log
    indices alone, where headers have no bloom of use (zkSync) or logs that it leaves out (Polygon); by
    `receipts`, a longer answer; or `none`. None = as is right for the chain. `requests_per_second` is what each
    node may be asked.
    """

    chain_id: int
    urls: tuple[str, ...]
    verify: str | None = None
    requests_per_second: float | None = None


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Config:
    """All settings, checked. `SETTINGS` says what each of them is."""

    redis_url: str | None
    workers: int
    processors: int
    chains: tuple[ChainConfig, ...]
    from_block: int | None
    api: Address
    api_token: str | None = field(repr=False)
    api_hosts: tuple[str, ...]
    state_dir: Path
    allow_private: tuple[Network, ...]
    ca_file: Path | None
    master_key: tuple[MasterKey, ...]
    retry_schedule: tuple[float, ...]
    disable_after: float
    delivery_log_attempts: int
    delivery_log_age: float
    grace_seconds: float
    log_level: str
    log_format: str
    log_attempts: str
    otel_endpoint: str | None
    otel_sample_ratio: float


@dataclass(frozen=True)
class Setting:
    """One setting: `parse` takes a string (variable, option) or a TOML value."""

    name: str
    parse: Callable[[Any], Any]
    default: Any
    summary: str

    @property
    def variable(self) -> str:
        return f"HOOKFARM_{self.name.upper()}"


def load(
    options: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Config:
    """The settings in force. An option that is None or an empty tuple, and an empty variable, was not given."""
    environment = os.environ if environment is None else environment
    given: dict[str, tuple[str, Any]] = {}
    for name, value in _read_file(file).items():
        given[name] = (name, value)
    for setting in SETTINGS:
        if environment.get(setting.variable, "") != "":
            given[setting.name] = (setting.variable, environment[setting.variable])
    for name, value in (options or {}).items():
        if value is not None and value != ():
            given[name] = (name.replace("_", "-"), value)
    return Config(**{s.name: _value(s, given) for s in SETTINGS})


def secrets(config: Config, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """All that must never be said of these settings, and of what OpenTelemetry reads itself."""
    if config.api_token:
        yield config.api_token
    yield from (base64.b64encode(known.key).decode() for known in config.master_key)
    yield from secrets_of_url(config.redis_url or "", with_path=False)
    for url in (*(url for chain in config.chains for url in chain.urls), config.otel_endpoint or ""):
        yield from secrets_of_url(url)
    environment = os.environ if environment is None else environment
    for variable in _COLLECTOR_HEADERS:
        for header in environment.get(variable, "").split(","):
            value = header.partition("=")[2]
            yield from (value, *unquote(value).split())


_COLLECTOR_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")


def wants_no_colours(environment: Mapping[str, str] | None = None) -> bool:
    """Whether the user wants none from any program (https://no-color.org)."""
    return (os.environ if environment is None else environment).get("NO_COLOR", "") != ""


def _value(setting: Setting, given: Mapping[str, tuple[str, Any]]) -> Any:
    if setting.name not in given:
        default = setting.default
        return default() if callable(default) else default
    source, raw = given[setting.name]
    try:
        return setting.parse(raw)
    except ValueError as error:
        raise InvalidInput(source, str(error)) from error


def _read_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput("config", f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("config", f"{file} is not TOML: {error}") from error
    known = {setting.name for setting in SETTINGS}
    for name in values:
        if name not in known:
            raise InvalidInput(name, f"no such setting in {file}; known: {', '.join(sorted(known))}")
    return values


def integer(low: int, high: int) -> Callable[[Any], int]:
    """A whole number from `low` to `high`."""

    def parse(raw: Any) -> int:
        text = str(raw).strip()
        if isinstance(raw, bool) or not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise ValueError(f"{raw!r} is not a whole number from {low} to {high}")
        if not low <= int(text) <= high:
            raise ValueError(f"{raw!r} is out of range; allowed are {low} to {high}")
        return int(text)

    return parse


def one_of(*words: str) -> Callable[[Any], str]:
    def parse(raw: Any) -> str:
        if str(raw).lower() not in words:
            raise ValueError(f"{raw!r} is not allowed; allowed are {', '.join(words)}")
        return str(raw).lower()

    return parse


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(raw: Any) -> float:
    """Seconds, from a number or from `250ms`, `5s`, `2m`, `10h`, `7d`."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(ms|s|m|h|d)?", str(raw).strip())
    if isinstance(raw, bool) or not found:
        raise ValueError(f"{raw!r} is not a duration; write 250ms, 5s, 2m, 10h or 7d")
    return float(found[1]) * _UNITS[found[2] or "s"]


def durations(raw: Any) -> tuple[float, ...]:
    """`5s,30s,2m` or a TOML list of the same; none at all means no retries."""
    return tuple(duration(part) for part in _parts(raw, ","))


def _parts(raw: Any, separators: str) -> list[Any]:
    if isinstance(raw, list | tuple):
        return list(raw)
    return [part for part in re.split(f"[{separators}]", str(raw)) if part.strip()]


def networks(raw: Any) -> tuple[Network, ...]:
    """CIDR ranges, comma separated."""
    found: list[Network] = []
    for part in _parts(raw, ","):
        try:
            found.append(ip_network(str(part).strip(), strict=False))
        except ValueError as error:
            raise ValueError(f"{part!r} is not an address range; write 127.0.0.0/8,::1/128") from error
    return tuple(found)


def address(raw: Any) -> Address:
    """HOST:PORT, IPv6 hosts in brackets; port 0 takes a free one."""
    host, colon, port = str(raw).strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{raw!r} is not HOST:PORT, for example 127.0.0.1:8400")
    return Address(host, int(port))


def api_token(raw: Any) -> str:
    """What a client sends behind `Authorization: Bearer` (RFC 6750), long enough not to be guessed."""
    if not isinstance(raw, str) or not re.fullmatch(r"[0-9A-Za-z._~+/-]{16,256}=*", raw):
        raise ValueError("is not 16 to 256 of the characters 0-9 A-Z a-z . _ ~ + / -")
    return raw


def hosts(raw: Any) -> tuple[str, ...]:
    """Host names or addresses without ports, comma separated."""
    found = tuple(str(part).strip().lower().strip("[]") for part in _parts(raw, ","))
    for host in found:
        if not re.fullmatch(r"[0-9a-z._:-]{1,253}", host):
            raise ValueError(f"{host!r} is not a host name; write hooks.example,10.0.0.7")
    return found


def chains(raw: Any) -> tuple[ChainConfig, ...]:
    """`ID=URL[,URL…][;SETTING=VALUE…]`, several as a list or separated by spaces; in TOML also a table.

    Its values are a URL, a list of them, or a table with `urls` and the chain's settings.
    """
    if isinstance(raw, Mapping):
        raw = [f"{chain_id}={_chain_line(value)}" for chain_id, value in raw.items()]
    found: dict[int, ChainConfig] = {}
    for part in _parts(raw, r"\s"):
        chain = _chain(str(part))
        if chain.chain_id in found:
            raise ValueError(f"chain {chain.chain_id} is given twice; put its URLs into one")
        found[chain.chain_id] = chain
    return tuple(found.values())


def _chain_line(value: Any) -> str:
    """What stands behind `ID=` for a value of a TOML table."""
    if not isinstance(value, Mapping):
        return ",".join(map(str, _parts(value, ",")))
    settings = [f";{name}={setting}" for name, setting in value.items() if name != "urls"]
    return ",".join(map(str, _parts(value.get("urls", ""), ","))) + "".join(settings)


def _chain(text: str) -> ChainConfig:
    line, *settings = text.strip().split(";")
    number, equals, urls = line.partition("=")
    if not equals or not re.fullmatch(r"[1-9][0-9]{0,15}", number.strip()):
        shown = redacted(text) if "://" in text else re.split("[/?#@]", text)[0]  # Without a scheme it is no URL.
        raise ValueError(f"{shown!r} is not ID=URL[,URL…], for example 1=wss://node.example")
    known = dict(_chain_setting(int(number), setting) for setting in settings)
    return ChainConfig(int(number), tuple(_chain_url(url.strip()) for url in urls.split(",")), **known)


def _chain_setting(chain_id: int, text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    if name not in CHAIN_SETTINGS:
        # A URL may have a semicolon in it, with anything behind.
        shown = repr(name) if re.fullmatch("[a-z_]{1,24}", name) else "what stands behind a semicolon"
        raise ValueError(f"chain {chain_id}: {shown} is no setting of it; known: {', '.join(CHAIN_SETTINGS)}")
    try:
        return name, CHAIN_SETTINGS[name](value)
    except ValueError as error:
        raise ValueError(f"chain {chain_id}: {name}: {error}") from error


def _rate(raw: Any) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(?:\.[0-9]{1,3})?", str(raw)) or float(raw) <= 0:
        raise ValueError(f"{raw!r} is not a rate; write 25 or 0.5")
    return float(raw)


CHAIN_SETTINGS: Mapping[str, Callable[[Any], Any]] = {
    "verify": one_of("bloom", "contiguous", "receipts", "none"),
    "requests_per_second": _rate,
}


def _chain_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https", "ws", "wss") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"{origin(url)!r} is not a node's URL; allowed are ws, wss, http and https")
    return url


def _collector_url(raw: Any) -> str:
    url = str(raw)
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
        _ = parts.port
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"{origin(url)!r} is not a collector's URL, for example http://127.0.0.1:4318")
    return url


def _ratio(raw: Any) -> float:
    if isinstance(raw, bool) or not re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{1,9})?", str(raw)) or float(raw) > 1:
        raise ValueError(f"{raw!r} is not a part; write a number from 0 to 1, such as 0.05")
    return float(raw)


def _redis_url(raw: Any) -> str:
    url = str(raw)
    try:
        parts = urlsplit(url)
        _ = parts.port
        valid = bool(parts.hostname) if parts.scheme in ("redis", "rediss") else bool(parts.path)
    except ValueError:
        valid = False
    if not valid or urlsplit(url).scheme not in ("redis", "rediss", "unix") or not _redis_query_allowed(url):
        raise ValueError(
            f"{redis_address(url)!r} is not a Redis URL; allowed are redis://HOST:PORT/DB,"
            " rediss://HOST:PORT/DB and unix:///PATH?db=DB"
        )
    return url


_REDIS_QUERY = re.compile(r"db=[0-9]{1,9}|(?:username|password|client_name)=[^&]*")
_TLS_QUERY = re.compile(r"ssl_(?:keyfile|certfile|cert_reqs|ca_certs|ca_path|password|check_hostname)=[^&]*")


def _redis_query_allowed(url: str) -> bool:
    """What redis-py takes there, but for what would change how connections are used; it fails late at the rest."""
    parts = urlsplit(url)
    given = parts.query.split("&") if parts.query else []
    tls = parts.scheme == "rediss"
    return all(_REDIS_QUERY.fullmatch(one) or (tls and _TLS_QUERY.fullmatch(one)) for one in given)


def _path(raw: Any) -> Path:
    if not isinstance(raw, str | Path) or not str(raw).strip() or "\0" in str(raw):
        raise ValueError(f"{raw!r} is not a path")
    try:
        return Path(raw).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"{str(raw)!r} names a home directory that does not exist") from error


def _readable_file(raw: Any) -> Path:
    path = _path(raw)
    if not path.is_file():
        raise ValueError(f"{str(raw)!r} is not a file")
    return path


def master_keys(raw: Any) -> tuple[MasterKey, ...]:
    """`ID:BASE64[,ID:BASE64…]`, the newest first. What is wrong is said without the key."""
    found: dict[str, MasterKey] = {}
    for part in _parts(raw, ","):
        name, _, encoded = str(part).strip().partition(":")
        if not re.fullmatch(r"[0-9A-Za-z_.-]{1,32}", name) or not encoded:
            raise ValueError("is not ID:BASE64, several with commas; the id has letters, digits, '_', '-' and '.'")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise ValueError(
                f"the key {name!r} is not base64 of {KEY_BYTES} bytes, as `openssl rand -base64 32` prints"
            )
        if name in found:
            raise ValueError(f"{name!r} is there twice")
        found[name] = MasterKey(name, key)
    return tuple(found.values())


def _default_state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    try:
        return Path(base).expanduser().absolute() / "hookfarm"
    except RuntimeError:  # A user without a home, as in some containers.
        return Path("/var/lib/hookfarm")


SETTINGS: tuple[Setting, ...] = (
    Setting("redis_url", _redis_url, None, "Redis to use; without it hookfarm runs its own server"),
    Setting("workers", integer(1, MAX_WORKERS), 50, "delivery processes"),
    Setting("processors", integer(1, MAX_PROCESSORS), 1, "message processors"),
    Setting("chains", chains, (), "chains to watch, ID=URL[,URL…][;verify=…][;requests_per_second=…]"),
    Setting("from_block", integer(0, 2**53), None, "first block of a chain never watched before"),
    Setting("api", address, Address("127.0.0.1", 8400), "where the HTTP API listens"),
    Setting(
        "api_token", api_token, None, "the API's token; without it one is made and kept in the state directory"
    ),
    Setting("api_hosts", hosts, (), "further names by which the API may be called"),
    Setting("state_dir", _path, _default_state_dir, "where hookfarm keeps its own files"),
    Setting("allow_private", networks, (), "private address ranges that endpoints may have"),
    Setting("ca_file", _readable_file, None, "PEM file of further certificate authorities"),
    Setting("master_key", master_keys, (), "ID:BASE64[,…], newest first: seals the secrets kept in Redis"),
    Setting("retry_schedule", durations, DEFAULT_RETRY_SCHEDULE, "waits between attempts"),
    Setting("disable_after", duration, 5 * 86400.0, "an endpoint that only failed for so long is disabled"),
    Setting("delivery_log_attempts", integer(0, 10**7), 100_000, "attempts kept in the log of an endpoint"),
    Setting("delivery_log_age", duration, 7 * 86400.0, "how long the delivery log keeps them"),
    Setting("grace_seconds", duration, 20.0, "how long a stop waits for what is in flight"),
    Setting("log_level", one_of("debug", "info", "warning", "error"), "info", "least log level"),
    Setting("log_format", one_of("text", "json"), "text", "form of the log lines"),
    Setting("log_attempts", one_of("failed", "all"), "failed", "attempts that get a log line"),
    Setting("otel_endpoint", _collector_url, None, "OpenTelemetry collector (OTLP over HTTP) that gets traces"),
    Setting("otel_sample_ratio", _ratio, 1.0, "which part of all blocks is traced"),
)
