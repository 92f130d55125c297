"""What the routes share."""

import threading
from dataclasses import dataclass, field

import redis
import redis.asyncio

from hookfarm.api.settings import Settings
from hookfarm.registry.registry import Registry
from hookfarm.security.vault import Vault

REDIS_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True)
class Context:
    """`client` is for routes that are plain functions, which run in threads; `async_client` for coroutines.

    `stopping` is set when the process is told to stop.
    """

    settings: Settings
    client: "redis.Redis"
    async_client: "redis.asyncio.Redis"
    stopping: threading.Event = field(default_factory=threading.Event)

    def registry(self) -> Registry:
        return Registry(self.client, Vault(self.settings.master_key))
