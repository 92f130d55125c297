"""SIGHUP: read the settings again, as `hookfarm start` does, and make a new plan for the farm.

Invalid settings are refused by name, and so are changes of fixed ones, such as the address of Redis. If the farm's
terminal has been closed, the farm stops instead.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import fields, replace

from hookfarm import logs
from hookfarm.api import process as api_process
from hookfarm.config import ChainConfig, Config
from hookfarm.errors import InvalidInput
from hookfarm.farm.plan import FarmPlan

log = logs.get("master")

FIXED = (
    "redis_url",
    "state_dir",
    "concurrency",
    "ingestors",
    "max_in_flight",
    "delivery_log_attempts",
    "delivery_log_bytes",
    "delivery_log_age",
)
_STANDARD_FILES = (0, 1, 2)


class Reload:
    """Callable that makes the farm's new plan at SIGHUP. Raises InvalidInput or CouldNotBoot."""

    def __init__(
        self,
        config: Config,
        services: Sequence[str],
        read: Callable[[], Config],
        plan: Callable[[Config], FarmPlan],
    ) -> None:
        """Take the current settings. `read` returns the new ones; `plan` makes a plan of settings."""
        self._config = config
        self._services = services
        self._read = read
        self._plan = plan
        self._had_terminal = _has_terminal()

    def __call__(self) -> FarmPlan | None:
        if self._had_terminal and not _has_terminal():
            return None
        read = self._read()
        check_change(self._config, read)
        fresh = replace(read, chains=keep_slots(self._config.chains, read.chains))
        self._check_api(fresh)
        plan = self._plan(fresh)
        log.info("settings read", changed=",".join(changed(self._config, fresh)) or "nothing")
        self._config = fresh
        return plan

    def _check_api(self, fresh: Config) -> None:
        """Check that the API can listen on its new port."""
        if api_process.SERVICE in self._services and fresh.api.port != self._config.api.port:
            api_process.listening(fresh.api).close()


def changed(before: Config, after: Config) -> list[str]:
    """Return the names of the settings that differ."""
    return [f.name for f in fields(Config) if getattr(before, f.name) != getattr(after, f.name)]


def check_change(before: Config, after: Config) -> None:
    """Raise InvalidInput if a fixed setting differs."""
    for name in changed(before, after):
        if name in FIXED:
            raise InvalidInput(name.replace("_", "-"), "cannot change while the farm runs; restart the farm")


def keep_slots(before: Sequence[ChainConfig], after: Sequence[ChainConfig]) -> tuple[ChainConfig, ...]:
    """Return `after` ordered so that each remaining chain keeps its index, and thus its worker's slot.

    If there are fewer chains than before, the last ones fill the gaps. A process that follows several chains may
    still follow one that has moved; only one of the two publishes a block.
    """
    remaining = {chain.chain_id: chain for chain in after}
    slots = [remaining.pop(chain.chain_id, None) for chain in before[: len(after)]]
    rest = iter(remaining.values())
    filled = [next(rest) if chain is None else chain for chain in slots]
    return (*filled, *rest)


def _has_terminal() -> bool:
    """Return whether a standard file is a terminal; False after the terminal has closed."""
    return any(map(os.isatty, _STANDARD_FILES))
