"""The keeper: one process per farm that stands between the board and Redis.

1. It waits for Redis, checks the server's settings, and deletes what an earlier farm of this host, killed before
   it could, still says of its services.
2. Ten times a second it judges each service by its slots and publishes or withdraws its readiness.
3. It performs the duties in its table, each at its own interval, and wakes whoever is told to leave while it
   blocks in Redis.
4. Told to stop, it withdraws all readiness first, says so (QUIET), wakes the workers as the master tells them, and
   leaves when they are gone.

Only it waits for Redis on the farm's behalf; the master goes on reaping and killing meanwhile. A SIGKILL loses
nothing: the keys go with their TTL unless its successor refreshes them.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from hookfarm import logs
from hookfarm.errors import CouldNotBoot
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Slot, State
from hookfarm.keeper import metrics
from hookfarm.keeper.readiness_check import DOUBT_SECONDS, Verdict, backing_off, judge
from hookfarm.outage import Outage
from hookfarm.status import readiness
from hookfarm.store import server_checks
from hookfarm.store.clients import command_client

log = logs.get("keeper")

SERVICE = "keeper"
TICK_SECONDS = 0.1
STARTING_TICK_SECONDS = 0.005
STATUS_SECONDS = 0.5
REDIS_TIMEOUT_SECONDS = 2.0
REDIS_BOOT_SECONDS = 8.0
PROMISE_SECONDS = 10.0


@dataclass(frozen=True)
class Watched:
    """A service this farm runs. `report` adds to its status; `confirm` must agree before it is first ready;
    `measure` is asked for its metrics."""

    service: str
    report: Callable[[Sequence[Slot]], Mapping[str, Any]]
    confirm: Callable[["redis.Redis"], bool] | None = None
    measure: metrics.Measure | None = None


@dataclass(frozen=True)
class Duty:
    """Something to be done every so often while the farm runs."""

    name: str
    every_seconds: float
    perform: Callable[["redis.Redis"], object]


@dataclass(frozen=True)
class Orders:
    """What a keeper is to do: `before` the first service starts, and `after` the last worker has gone.

    `wake` frees the workers that are told to leave and block in Redis; `heard` is told how each look at Redis
    ended.
    """

    redis_url: str
    watched: tuple[Watched, ...]
    duties: tuple[Duty, ...]
    wake: Callable[["redis.Redis"], None] | None = None
    before: Callable[["redis.Redis"], None] | None = None
    after: Callable[["redis.Redis"], None] | None = None
    heard: Callable[["redis.RedisError | None"], None] | None = None


@dataclass
class _Standing:
    """What the keeper last said of a service."""

    published: bool
    refreshed: float = 0.0
    described: float = 0.0
    doubted: float | None = None
    """Since when a published service has looked unready."""
    why: str = field(default="starting")


class Keeper:
    """One keeper; `tick` is one look at everything."""

    def __init__(self, child: Child, orders: Orders, refresh_seconds: float) -> None:
        self._child = child
        self._board = child.board
        self._orders = orders
        self._client = command_client(orders.redis_url, REDIS_TIMEOUT_SECONDS)
        self._refresh_seconds = refresh_seconds
        # What a predecessor has announced is still in Redis, to be refreshed or withdrawn.
        self._standings = {w.service: _Standing(self._board.announced(w.service)) for w in orders.watched}
        self._taken_over = False
        self._due = {duty.name: 0.0 for duty in orders.duties}
        self._failing: dict[str, str] = {}
        self._outage = Outage(child, log)

    def run(self) -> None:
        self._boot()
        while not self._child.wait(self._pause()):
            self._child.slot.promise(PROMISE_SECONDS)
            try:
                self.tick(time.monotonic())
                self._outage.recover("redis")
                self._tell_heard(None)
            except redis.RedisError as error:
                self._on_redis_down(error)
                self._tell_heard(error)
        self._leave()
        self.close()

    def tick(self, now: float) -> None:
        """Judges every service and performs what is due. RedisError where Redis did not do it."""
        if not self._taken_over:
            self._take_over()
        # Duties first: a Redis without room takes no word of readiness, and what they move makes room.
        for duty in self._orders.duties:
            if now >= self._due[duty.name]:
                self._due[duty.name] = now + duty.every_seconds
                self._perform(duty)
        for watched in self._orders.watched:
            if self._board.wanted(watched.service):
                self._attend(watched, now)
            else:
                self._ignore(watched)
        self._wake()

    def _perform(self, duty: Duty) -> None:
        """An error in Redis' answer (it is full, a key has a foreign type) is this duty's alone, no outage."""
        try:
            duty.perform(self._client)
        except redis.ResponseError as error:
            if self._failing.get(duty.name) != str(error):
                self._failing[duty.name] = str(error)
                log.error("duty fails", duty=duty.name, error=str(error))
        else:
            if self._failing.pop(duty.name, None) is not None:
                log.info("duty works again", duty=duty.name)

    def close(self) -> None:
        self._client.close()

    def _boot(self) -> None:
        server_checks.await_server(self._client, self._orders.redis_url, REDIS_BOOT_SECONDS, self._child.wait)
        if self._child.stopping:
            return
        try:
            for warning in server_checks.check(self._client):
                log.warning("redis settings", warning=warning)
            if self._orders.before:
                self._orders.before(self._client)
        except redis.RedisError as error:
            raise CouldNotBoot(f"Redis: {error}") from error
        self._child.mark_up()

    def _take_over(self) -> None:
        """No key of ours, nor of an earlier farm on this host, may say what has not been judged now."""
        for service, standing in self._standings.items():
            if not standing.published:
                readiness.delete_own(self._client, service)
        self._taken_over = True

    def _pause(self) -> float:
        wanted = (w.service for w in self._orders.watched if self._board.wanted(w.service))
        starting = not all(map(self._board.was_announced, wanted))
        return STARTING_TICK_SECONDS if starting and not self._outage.is_ongoing else TICK_SECONDS

    def _attend(self, watched: Watched, now: float) -> None:
        standing = self._standings[watched.service]
        verdict = judge(watched.service, self._wanted_slots(watched), time.monotonic_ns())
        if verdict.ready:
            standing.doubted = None
            if not standing.published and not verdict.excused and self._confirmed(watched):
                self._publish(watched, standing, now)
        elif standing.published:
            standing.doubted = now if standing.doubted is None else standing.doubted
            if now - standing.doubted >= DOUBT_SECONDS:
                self._withdraw(watched, standing, verdict)
        standing.why = verdict.why
        self._keep_fresh(watched, standing, now)

    def _ignore(self, watched: Watched) -> None:
        """A service that has no process, and is to have none, is not spoken of."""
        if self._standings[watched.service].described:
            self._standings[watched.service] = _Standing(published=False)
            self._board.announce(watched.service, False)
            readiness.clear(self._client, [watched.service])

    def _wanted_slots(self, watched: Watched) -> Sequence[Slot]:
        return self._board.slots(watched.service)[: self._board.wanted(watched.service)]

    def _confirmed(self, watched: Watched) -> bool:
        """A service that has been ready needs no second proof: Redis may have lost the first."""
        first = not self._board.was_announced(watched.service)
        return not first or watched.confirm is None or watched.confirm(self._client)

    def _publish(self, watched: Watched, standing: _Standing, now: float) -> None:
        standing.why = ""
        readiness.publish(self._client, watched.service, self._status(watched, standing))
        standing.published, standing.refreshed = True, now
        self._board.announce(watched.service, True)
        log.info("ready", of=watched.service, processes=self._board.wanted(watched.service))

    def _withdraw(self, watched: Watched, standing: _Standing, verdict: Verdict) -> None:
        standing.published, standing.doubted, standing.why = False, None, verdict.why
        self._board.announce(watched.service, False)
        log.warning("not ready", of=watched.service, why=verdict.why)
        readiness.withdraw(self._client, watched.service, self._status(watched, standing))

    def _keep_fresh(self, watched: Watched, standing: _Standing, now: float) -> None:
        service, status = watched.service, None
        certain = standing.published and standing.doubted is None
        if now - standing.described >= STATUS_SECONDS:
            status = self._status(watched, standing)
            readiness.write_status(self._client, service, status, standing.published)
            standing.described = now
            if certain:
                readiness.reassert(self._client, service)
        if certain and now - standing.refreshed >= self._refresh_seconds:
            readiness.publish(self._client, service, status or self._status(watched, standing))
            standing.refreshed = now

    def _status(self, watched: Watched, standing: _Standing) -> dict[str, Any]:
        slots = self._wanted_slots(watched)
        up = sum(slot.pid != 0 and slot.state == State.UP for slot in slots)
        counted = {"workers": len(slots), "workers_up": up, "reason": standing.why}
        waiting = {"backing_off": backing_off(watched.service, slots)}
        return {**counted, **waiting, **watched.report(self._board.slots(watched.service))}

    def _on_redis_down(self, error: redis.RedisError) -> None:
        for watched in self._orders.watched:
            self._board.announce(watched.service, False)
            self._standings[watched.service].published = False
        self._taken_over = False
        self._outage.fail("redis", f"Redis: {error}")

    def _tell_heard(self, error: redis.RedisError | None) -> None:
        if self._orders.heard:
            self._orders.heard(error)

    def _leave(self) -> None:
        try:
            readiness.clear(self._client, [watched.service for watched in self._orders.watched])
        except redis.RedisError as error:
            log.warning("readiness not withdrawn", error=str(error), expires_in_s=readiness.TTL_SECONDS)
        self._child.slot.state = State.QUIET
        try:
            self._see_the_others_off()
        except redis.RedisError as error:  # Nobody blocks in a server that is gone.
            log.warning("the others not seen off", error=str(error))

    def _see_the_others_off(self) -> None:
        while self._others_live():
            if self._child.out_of_grace:
                return
            self._child.slot.promise(PROMISE_SECONDS)
            self._wake()
            time.sleep(TICK_SECONDS / 4)
        if self._orders.after:
            self._orders.after(self._client)

    def _wake(self) -> None:
        if self._orders.wake and any(slot.told and slot.pid for slot in self._others()):
            self._orders.wake(self._client)

    def _others(self) -> Iterator[Slot]:
        return (slot for watched in self._orders.watched for slot in self._board.slots(watched.service))

    def _others_live(self) -> bool:
        """Not once the master is dead: the kernel has killed them with it, and nobody vacates their slots."""
        return not self._child.orphaned and any(slot.pid for slot in self._others())


def run(child: Child, orders: Orders, refresh_seconds: float = readiness.REFRESH_SECONDS) -> None:
    """A keeper's whole life."""
    Keeper(child, orders, refresh_seconds).run()
