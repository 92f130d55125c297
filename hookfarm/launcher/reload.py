"""SIGHUP: the settings are read again, as `hookfarm start` read them, and become a new plan for the farm.

What cannot change under a running farm (where its Redis is) is refused by name, like whatever would have been
refused at start. A farm whose terminal has been closed is stopped instead: nobody is there to stop it later.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import fields, replace

from hookfarm import logs
from hookfarm.api import process as api_process
from hookfarm.config import ChainConfig, Config
from hookfarm.errors import InvalidInput
from hookfarm.farm.plan import Plan

log = logs.get("master")

FIXED = ("redis_url", "state_dir", "delivery_log_attempts", "delivery_log_age")
_STANDARD_FILES = (0, 1, 2)


class Reload:
    """Called for each SIGHUP. InvalidInput, CouldNotBoot where the settings are not acceptable."""

    def __init__(
        self,
        config: Config,
        services: Sequence[str],
        read: Callable[[], Config],
        plan: Callable[[Config], Plan],
    ) -> None:
        """`config`: the settings in force; `read`: what they would be now; `plan`: the farm that they mean."""
        self._config = config
        self._services = services
        self._read = read
        self._plan = plan
        self._had_terminal = _has_terminal()

    def __call__(self) -> Plan | None:
        if self._had_terminal and not _has_terminal():
            return None
        read = self._read()
        check_change(self._config, read)
        fresh = replace(read, chains=placed(self._config.chains, read.chains))
        self._check_api(fresh)
        plan = self._plan(fresh)
        log.info("settings read", changed=",".join(changed(self._config, fresh)) or "nothing")
        self._config = fresh
        return plan

    def _check_api(self, fresh: Config) -> None:
        """That the API will be able to listen, unless it is in its own way."""
        if api_process.SERVICE in self._services and fresh.api.port != self._config.api.port:
            api_process.listening(fresh.api).close()


def changed(before: Config, after: Config) -> list[str]:
    """The names of the settings that differ."""
    return [f.name for f in fields(Config) if getattr(before, f.name) != getattr(after, f.name)]


def check_change(before: Config, after: Config) -> None:
    """InvalidInput names a setting that cannot change while the farm runs."""
    for name in changed(before, after):
        if name in FIXED:
            raise InvalidInput(name.replace("_", "-"), "cannot change while the farm runs; stop it and start it")


def placed(before: Sequence[ChainConfig], after: Sequence[ChainConfig]) -> tuple[ChainConfig, ...]:
    """`after` in such an order that each chain that stays keeps its place, and with it its process.

    Only where there are fewer chains now do the last ones move into the gaps; their old processes are gone
    before the gaps are filled.
    """
    wanted = {chain.chain_id: chain for chain in after}
    places = [wanted.pop(chain.chain_id, None) for chain in before[: len(after)]]
    rest = iter(wanted.values())
    filled = [next(rest) if chain is None else chain for chain in places]
    return (*filled, *rest)


def _has_terminal() -> bool:
    """Whether one is left; that of a closed window is not one any more."""
    return any(map(os.isatty, _STANDARD_FILES))
