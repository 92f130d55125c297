"""The keeper: one process per farm, between the scoreboard and Redis.

1. It waits for Redis, checks the server's settings, and deletes readiness that a killed farm on this host left.
2. Five times a second it checks each service by its slots, and publishes or withdraws its readiness.
3. It runs the periodic duties, each at its own interval, and wakes stopping workers that block in Redis.
4. On SIGTERM it withdraws all readiness and becomes QUIET. It wakes the workers when the master stops them, and
   exits after them.

The keeper does the farm's waiting for Redis, so that the master keeps reaping and killing. A SIGKILL loses
nothing: the keys expire unless the next keeper refreshes them.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from hookfarm import logs
from hookfarm.errors import CouldNotBoot
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Slot, State
from hookfarm.keeper import telemetry
from hookfarm.outage import Outage
from hookfarm.status import readiness
from hookfarm.status.readiness import UNREADY_GRACE_SECONDS, ServiceReadiness, backoffs, check
from hookfarm.store import server_checks
from hookfarm.store.clients import command_client

log = logs.get("keeper")

SERVICE = "keeper"
TICK_SECONDS = 0.2
STARTING_TICK_SECONDS = 0.005
STATUS_SECONDS = 1.0
REDIS_TIMEOUT_SECONDS = 2.0
REDIS_BOOT_SECONDS = 8.0
HEARTBEAT_WITHIN_SECONDS = 10.0


@dataclass(frozen=True)
class WatchedService:
    """A service of this farm.

    `report` returns its part of the status, `measure` its metrics. `confirm` must return True before the service
    is first ready. `part` returns the name of the ready key of a slot's part of the service; "" = none.
    """

    service: str
    report: Callable[[Sequence[Slot]], Mapping[str, Any]]
    confirm: Callable[[redis.Redis], bool] | None = None
    measure: telemetry.Measure | None = None
    part: Callable[[Slot], str] | None = None


@dataclass(frozen=True)
class Duty:
    """A periodic task of the keeper."""

    name: str
    every_seconds: float
    perform: Callable[[redis.Redis], object]


@dataclass(frozen=True)
class KeeperConfig:
    """Services and duties of a keeper.

    `on_start` is called before the first service starts, `on_stop` after the last worker has exited. `wake`
    unblocks stopping workers that block in Redis. `on_redis_result` is called after each tick with its error, or
    None.
    """

    redis_url: str
    services: tuple[WatchedService, ...]
    duties: tuple[Duty, ...]
    wake: Callable[[redis.Redis], None] | None = None
    on_start: Callable[[redis.Redis], None] | None = None
    on_stop: Callable[[redis.Redis], None] | None = None
    on_redis_result: Callable[[redis.RedisError | None], None] | None = None


@dataclass
class _Published:
    """State of a service or of its part, as last published by the keeper."""

    ready: bool
    refreshed_at: float = 0.0
    status_written_at: float = 0.0
    unready_since: float | None = None
    """Time since which a ready service looks unready."""
    reason: str = "starting"

    def is_news(self, checked: ServiceReadiness, now: float) -> bool:
        """Record a check. Return whether the readiness has changed: gained, or lost for the grace period."""
        if checked.ready:
            self.unready_since = None
            return not self.ready and not checked.replacing
        if not self.ready:
            return False
        self.unready_since = now if self.unready_since is None else self.unready_since
        return now - self.unready_since >= UNREADY_GRACE_SECONDS

    @property
    def is_certain(self) -> bool:
        return self.ready and self.unready_since is None


class Keeper:
    """The keeper; `tick` checks everything once."""

    def __init__(self, child: Child, config: KeeperConfig, refresh_seconds: float) -> None:
        self._child = child
        self._scoreboard = child.scoreboard
        self._config = config
        self._client = command_client(config.redis_url, REDIS_TIMEOUT_SECONDS)
        self._refresh_seconds = refresh_seconds
        # Readiness published by a previous keeper is still in Redis, to be refreshed or withdrawn.
        self._published = {w.service: _Published(self._scoreboard.is_ready(w.service)) for w in config.services}
        self._parts_published: dict[str, dict[str, _Published]] = {}
        """By service and name of the part."""
        self._taken_over = False
        self._due = {duty.name: 0.0 for duty in config.duties}
        self._failed_duties: dict[str, str] = {}
        self._outage = Outage(child, log)

    def run(self) -> None:
        self._boot()
        while not self._child.wait(self._pause()):
            self._child.slot.heartbeat(HEARTBEAT_WITHIN_SECONDS)
            try:
                self.tick(time.monotonic())
                self._outage.recover("redis")
                self._on_redis_result(None)
            except redis.RedisError as error:
                self._on_redis_down(error)
                self._on_redis_result(error)
        self._leave()
        self.close()

    def tick(self, now: float) -> None:
        """Run the due duties and check every service. Raises RedisError if Redis fails."""
        if not self._taken_over:
            self._take_over()
        # Duties first: a full Redis refuses to store readiness, and some duties free memory.
        for duty in self._config.duties:
            if now >= self._due[duty.name]:
                self._due[duty.name] = now + duty.every_seconds
                self._perform(duty)
        for watched in self._config.services:
            if self._scoreboard.target(watched.service):
                self._check_service(watched, now)
            else:
                self._skip_service(watched)
        self._wake()

    def _perform(self, duty: Duty) -> None:
        """Run one duty. An error reply (out of memory, WRONGTYPE) fails only this duty and is not an
        outage."""
        try:
            duty.perform(self._client)
        except redis.ResponseError as error:
            if self._failed_duties.get(duty.name) != str(error):
                self._failed_duties[duty.name] = str(error)
                log.error("duty fails", duty=duty.name, error=str(error))
        else:
            if self._failed_duties.pop(duty.name, None) is not None:
                log.info("duty recovered", duty=duty.name)

    def close(self) -> None:
        self._client.close()

    def _boot(self) -> None:
        server_checks.await_server(self._client, self._config.redis_url, REDIS_BOOT_SECONDS, self._child.wait)
        if self._child.stopping:
            return
        try:
            for warning in server_checks.check(self._client):
                log.warning("redis settings", warning=warning)
            if self._config.on_start:
                self._config.on_start(self._client)
        except redis.RedisError as error:
            raise CouldNotBoot(f"Redis: {error}") from error
        self._child.mark_up()

    def _take_over(self) -> None:
        """Delete readiness on this host that no check has confirmed: of this farm or an earlier one."""
        for service, published in self._published.items():
            if not published.ready:
                readiness.delete_own(self._client, service)
        self._taken_over = True

    def _pause(self) -> float:
        wanted = (w.service for w in self._config.services if self._scoreboard.target(w.service))
        starting = not all(map(self._scoreboard.has_been_ready, wanted))
        return STARTING_TICK_SECONDS if starting and not self._outage.is_ongoing else TICK_SECONDS

    def _check_service(self, watched: WatchedService, now: float) -> None:
        published = self._published[watched.service]
        self._check_parts(watched, now)
        processes = self._scoreboard.process_count(watched.service)
        checked = check(watched.service, self._target_slots(watched), time.monotonic_ns(), processes)
        if published.is_news(checked, now):
            if published.ready:
                self._withdraw(watched, published, checked)
            elif self._confirmed(watched):
                self._publish(watched, published, now)
        published.reason = checked.reason
        self._keep_fresh(watched, published, now)

    def _check_parts(self, watched: WatchedService, now: float) -> None:
        """Publish and withdraw the ready keys of the service's parts."""
        slots = self._target_slots(watched) if watched.part else ()
        by_name = {name: slot for slot in slots if watched.part and (name := watched.part(slot))}
        parts = self._parts_published.setdefault(watched.service, {})
        for name in parts.keys() - by_name.keys():
            readiness.withdraw_part(self._client, name)
            del parts[name]
        for name, slot in by_name.items():
            published = parts.setdefault(name, _Published(ready=False))
            if published.is_news(check(watched.service, [slot], time.monotonic_ns()), now):
                self._set_part(name, published, not published.ready, now)
            elif published.is_certain and now - published.refreshed_at >= self._refresh_seconds:
                self._set_part(name, published, True, now)
            elif published.is_certain and now - published.status_written_at >= STATUS_SECONDS:
                readiness.reassert_part(self._client, name)
                published.status_written_at = now

    def _set_part(self, name: str, published: _Published, ready: bool, now: float) -> None:
        (readiness.publish_part if ready else readiness.withdraw_part)(self._client, name)
        published.ready, published.refreshed_at, published.unready_since = ready, now, None

    def _skip_service(self, watched: WatchedService) -> None:
        """Delete readiness and status of a service whose target count is 0, once its processes have exited."""
        self._check_parts(watched, 0.0)
        if self._published[watched.service].status_written_at:
            self._published[watched.service] = _Published(ready=False)
            self._scoreboard.set_ready(watched.service, False)
            readiness.clear(self._client, [watched.service])

    def _target_slots(self, watched: WatchedService) -> Sequence[Slot]:
        return self._scoreboard.slots(watched.service)[: self._scoreboard.target(watched.service)]

    def _confirmed(self, watched: WatchedService) -> bool:
        """Return whether a service may become ready. A service that was ready before is not confirmed again: Redis
        may have lost the counter."""
        first = not self._scoreboard.has_been_ready(watched.service)
        return not first or watched.confirm is None or watched.confirm(self._client)

    def _publish(self, watched: WatchedService, published: _Published, now: float) -> None:
        published.reason = ""
        readiness.publish(self._client, watched.service, self._status(watched, published))
        published.ready, published.refreshed_at = True, now
        self._scoreboard.set_ready(watched.service, True)
        log.info("ready", service=watched.service, processes=self._scoreboard.process_count(watched.service))

    def _withdraw(self, watched: WatchedService, published: _Published, checked: ServiceReadiness) -> None:
        published.ready, published.unready_since, published.reason = False, None, checked.reason
        self._scoreboard.set_ready(watched.service, False)
        log.warning("not ready", service=watched.service, reason=checked.reason)
        readiness.withdraw(self._client, watched.service, self._status(watched, published))

    def _keep_fresh(self, watched: WatchedService, published: _Published, now: float) -> None:
        service, status = watched.service, None
        if now - published.status_written_at >= STATUS_SECONDS:
            status = self._status(watched, published)
            readiness.write_status(self._client, service, status, published.ready, published.is_certain)
            published.status_written_at = now
        if published.is_certain and now - published.refreshed_at >= self._refresh_seconds:
            readiness.publish(self._client, service, status or self._status(watched, published))
            published.refreshed_at = now

    def _status(self, watched: WatchedService, published: _Published) -> dict[str, Any]:
        count = self._scoreboard.process_count(watched.service)
        up = telemetry.processes_up(self._scoreboard, watched.service)
        counted = {"workers": count, "workers_up": up, "reason": published.reason}
        waiting = {"backoff": backoffs(watched.service, self._target_slots(watched)[:count])}
        return {**counted, **waiting, **watched.report(self._scoreboard.slots(watched.service))}

    def _on_redis_down(self, error: redis.RedisError) -> None:
        for watched in self._config.services:
            self._scoreboard.set_ready(watched.service, False)
            self._published[watched.service].ready = False
        self._parts_published.clear()
        self._taken_over = False
        self._outage.fail("redis", f"Redis: {error}")

    def _on_redis_result(self, error: redis.RedisError | None) -> None:
        if self._config.on_redis_result:
            self._config.on_redis_result(error)

    def _leave(self) -> None:
        try:
            parts = [name for of_service in self._parts_published.values() for name in of_service]
            readiness.clear(self._client, [watched.service for watched in self._config.services], parts)
        except redis.RedisError as error:
            log.warning("readiness not withdrawn", error=str(error), expires_in_s=readiness.TTL_SECONDS)
        self._child.slot.state = State.QUIET
        try:
            self._await_workers_exit()
        except redis.RedisError as error:  # Redis is down, so no worker blocks in it.
            log.warning("workers not woken", error=str(error))

    def _await_workers_exit(self) -> None:
        while self._workers_alive():
            if self._child.grace_expired:
                return
            self._child.slot.heartbeat(HEARTBEAT_WITHIN_SECONDS)
            self._wake()
            time.sleep(TICK_SECONDS / 4)
        if self._config.on_stop:
            self._config.on_stop(self._client)

    def _wake(self) -> None:
        if self._config.wake and any(slot.stop_requested and slot.pid for slot in self._worker_slots()):
            self._config.wake(self._client)

    def _worker_slots(self) -> Iterator[Slot]:
        return (slot for watched in self._config.services for slot in self._scoreboard.slots(watched.service))

    def _workers_alive(self) -> bool:
        """Return whether workers are alive. False once the master is dead: then the kernel has killed them."""
        return not self._child.is_orphaned and any(slot.pid for slot in self._worker_slots())


def run(child: Child, config: KeeperConfig, refresh_seconds: float = readiness.REFRESH_SECONDS) -> None:
    """Run a keeper until its child is to stop."""
    Keeper(child, config, refresh_seconds).run()
