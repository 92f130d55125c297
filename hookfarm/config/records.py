"""What the settings are: one frozen record, and the records within it."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from hookfarm.security.vault import MasterKey

Network = IPv4Network | IPv6Network


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
    """All settings, checked. `SETTINGS` (settings.py) says what each of them is."""

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
