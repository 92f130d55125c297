"""Settings of the API, made before its fork, and the context shared by its routes."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

from hookfarm.config import ChainConfig, Config, Network
from hookfarm.registry.store import Registry
from hookfarm.security.vault import MasterKey, Vault
from hookfarm.store.clients import AsyncClient, Client


@dataclass(frozen=True)
class Settings:
    """Settings of the API.

    `services` and `chains`: of this farm; `hosts`: allowed Host names besides those of the loopback interface.
    """

    redis_url: str = field(repr=False)
    token: str = field(repr=False)
    services: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    allow_private: tuple[Network, ...] = ()
    ca_file: Path | None = None
    chains: tuple[ChainConfig, ...] = field(default=(), repr=False)
    required_chains: tuple[int, ...] = ()
    master_key: tuple[MasterKey, ...] = field(default=(), repr=False)


def settings(config: Config, redis_url: str, token: str, services: tuple[str, ...]) -> Settings:
    """Return the API's part of the farm's settings."""
    hosts = (config.api.host, *config.api_hosts)
    return Settings(
        redis_url,
        token,
        services,
        hosts,
        config.allow_private,
        config.ca_file,
        config.chains,
        config.required_chains,
        tuple(config.master_key),
    )


REDIS_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True)
class Context:
    """Settings, clients and stop event that the routes of the API share.

    `client` is for plain functions, which run in threads; `async_client` is for coroutines. `stopping` is set when
    the process is to stop.
    """

    settings: Settings
    client: Client
    async_client: AsyncClient
    stopping: threading.Event = field(default_factory=threading.Event)

    def registry(self) -> Registry:
        return Registry(self.client, Vault(self.settings.master_key))
