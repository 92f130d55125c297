"""Settings: one table, four sources, one frozen record.

Later over earlier: defaults, the TOML file (`--config`), variables (`HOOKFARM_<NAME>`), options. A wrong
setting is an InvalidInput that names it, its value and what is allowed. Nothing else reads the environment.
"""

from hookfarm.config.chains import chains
from hookfarm.config.environment import wants_no_colours
from hookfarm.config.loading import load
from hookfarm.config.records import Address, ChainConfig, Config, Network
from hookfarm.config.secret_settings import secrets
from hookfarm.config.settings import DEFAULT_RETRY_SCHEDULE, MAX_PROCESSORS, MAX_WORKERS, SETTINGS
from hookfarm.config.values import api_token, networks

__all__ = [
    "DEFAULT_RETRY_SCHEDULE",
    "MAX_PROCESSORS",
    "MAX_WORKERS",
    "SETTINGS",
    "Address",
    "ChainConfig",
    "Config",
    "Network",
    "api_token",
    "chains",
    "load",
    "networks",
    "secrets",
    "wants_no_colours",
]
