"""Settings: one table, four sources, one frozen record.

Later sources override earlier ones: defaults, the TOML file (`--config`), variables (`HOOKFARM_<NAME>`), options.
An invalid setting raises InvalidInput with its name, its value and the allowed values. Only this package reads the
environment.
"""

from hookfarm.config.chains import RPC_METHODS, ChainConfig, NodeConfig, chains
from hookfarm.config.loading import load, secrets
from hookfarm.config.settings import (
    DEFAULT_RETRY_SCHEDULE,
    MAX_CONCURRENCY,
    MAX_PROCESSORS,
    MAX_WORKERS,
    SETTINGS,
    Config,
    wants_no_colours,
)
from hookfarm.config.values import Address, Network, api_token, networks

__all__ = [
    "DEFAULT_RETRY_SCHEDULE",
    "MAX_CONCURRENCY",
    "MAX_PROCESSORS",
    "MAX_WORKERS",
    "RPC_METHODS",
    "SETTINGS",
    "Address",
    "ChainConfig",
    "Config",
    "Network",
    "NodeConfig",
    "api_token",
    "chains",
    "load",
    "networks",
    "secrets",
    "wants_no_colours",
]
