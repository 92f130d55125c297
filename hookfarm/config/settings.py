"""The settings: their table, the record of their values, and the environment, read only by this module."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hookfarm.config.chains import ChainConfig, chains, collector_url, redis_url
from hookfarm.config.values import (
    Address,
    Network,
    address,
    api_token,
    chain_ids,
    durations,
    existing_file,
    hosts,
    integer,
    master_keys,
    networks,
    one_of,
    path,
    ratio,
)
from hookfarm.security.vault import MasterKey
from hookfarm.timestamps import parse_duration

DEFAULT_RETRY_SCHEDULE = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 18000.0, 36000.0)
MAX_WORKERS = 2000
MAX_CONCURRENCY = 256
MAX_PROCESSORS = 64
MAX_INGESTORS = 64


@dataclass(frozen=True)
class Setting:
    """A setting: its parser, which takes a string or a TOML value, and its default, which may be a function."""

    name: str
    parse: Callable[[Any], Any]
    default: Any
    summary: str

    @property
    def variable(self) -> str:
        return f"HOOKFARM_{self.name.upper()}"


@dataclass(frozen=True)
class Config:
    """All settings of a farm, checked; SETTINGS describes each of them."""

    redis_url: str | None
    workers: int
    processors: int
    ingestors: int
    chains: tuple[ChainConfig, ...]
    required_chains: tuple[int, ...]
    from_block: int | None
    api: Address
    api_token: str | None = field(repr=False)
    api_hosts: tuple[str, ...]
    state_dir: Path
    allow_private: tuple[Network, ...]
    ca_file: Path | None
    master_key: tuple[MasterKey, ...]
    concurrency: int
    max_in_flight: int
    retry_schedule: tuple[float, ...]
    disable_after: float
    delivery_log_attempts: int
    delivery_log_bytes: int
    delivery_log_age: float
    grace_seconds: float
    log_level: str
    log_format: str
    log_attempts: str
    otel_endpoint: str | None
    otel_sample_ratio: float


def variables() -> Mapping[str, str]:
    """Return the environment of the process."""
    return os.environ


def wants_no_colours(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether the user disabled colours for all programs (https://no-color.org)."""
    return (variables() if environment is None else environment).get("NO_COLOR", "") != ""


def default_ingestors() -> int:
    """Return the default number of ingestors: one per CPU, at least two."""
    return max(2, min(os.cpu_count() or 1, MAX_INGESTORS))


def default_state_dir() -> Path:
    """Return the default state directory (XDG_STATE_HOME of the XDG base directories)."""
    base = variables().get("XDG_STATE_HOME") or "~/.local/state"
    try:
        return Path(base).expanduser().absolute() / "hookfarm"
    except RuntimeError:  # A user without a home, for example in a container.
        return Path("/var/lib/hookfarm")


SETTINGS: tuple[Setting, ...] = (
    Setting("redis_url", redis_url, None, "Redis server; without it hookfarm runs its own"),
    Setting("workers", integer(1, MAX_WORKERS), 50, "Delivery processes"),
    Setting("concurrency", integer(1, MAX_CONCURRENCY), 16, "Max POSTs in flight per delivery process"),
    Setting(
        "max_in_flight", integer(1, 10**6), 1000, "Max POSTs in flight per endpoint, unless the endpoint sets it"
    ),
    Setting("processors", integer(1, MAX_PROCESSORS), 1, "Message processors"),
    Setting(
        "ingestors",
        integer(1, MAX_INGESTORS),
        default_ingestors,
        "Max ingestors, which share the chains; with fewer chains, each has one of its own",
    ),
    Setting("chains", chains, (), "Chains to watch, ID=URL[,URL…][;SETTING=…]"),
    Setting(
        "required_chains",
        chain_ids,
        (),
        "Chains that `start` and `/readyz` wait for; without it `start` waits for any one, `/readyz` for all",
    ),
    Setting("from_block", integer(0, 2**53), None, "First block of a chain without a checkpoint"),
    Setting("api", address, Address("127.0.0.1", 8400), "Address of the HTTP API"),
    Setting(
        "api_token",
        api_token,
        None,
        "Token of the API; without it one is created and stored in the state directory",
    ),
    Setting("api_hosts", hosts, (), "Further host names of the API"),
    Setting("state_dir", path, default_state_dir, "Directory of hookfarm's files"),
    Setting("allow_private", networks, (), "Private address ranges allowed for endpoints"),
    Setting("ca_file", existing_file, None, "PEM file of further certificate authorities"),
    Setting(
        "master_key", master_keys, (), "Master keys that seal the secrets in Redis, ID:BASE64[,…], newest first"
    ),
    Setting("retry_schedule", durations, DEFAULT_RETRY_SCHEDULE, "Delays between attempts"),
    Setting(
        "disable_after", parse_duration, 5 * 86400.0, "Time without a success until a failing endpoint is disabled"
    ),
    Setting("delivery_log_attempts", integer(0, 10**7), 100_000, "Max attempts in the delivery log per endpoint"),
    Setting(
        "delivery_log_bytes",
        integer(10**6, 10**13),
        10**9,
        "Max bytes of the delivery log, all endpoints together",
    ),
    Setting("delivery_log_age", parse_duration, 7 * 86400.0, "Max age of attempts in the delivery log"),
    Setting("grace_seconds", parse_duration, 20.0, "Time that a stop waits for POSTs in flight"),
    Setting("log_level", one_of("debug", "info", "warning", "error"), "info", "Min log level"),
    Setting("log_format", one_of("text", "json"), "text", "Format of log lines"),
    Setting("log_attempts", one_of("failed", "all"), "failed", "Attempts with a log line"),
    Setting("otel_endpoint", collector_url, None, "OpenTelemetry collector for traces (OTLP over HTTP)"),
    Setting("otel_sample_ratio", ratio, 1.0, "Ratio of traced blocks"),
)
