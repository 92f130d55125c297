"""The keeper in its own process, with a scoreboard on which the test plays the workers."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from hookfarm import logs
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard, Slot, State
from hookfarm.farm.spawn import fork, run_child
from hookfarm.keeper import process as keeper
from hookfarm.keeper.process import KeeperConfig, WatchedService
from hookfarm.status import readiness
from hookfarm.store import keys
from tests.support.waiting import PATIENCE_SECONDS, eventually

SERVICE = keys.WEBHOOK_DELIVERY
WORKERS = 3
LONG = 3600.0


class KeptFarm:
    """A scoreboard with scripted workers, and a keeper that watches them."""

    def __init__(self, url: str, log: Path) -> None:
        self.scoreboard = Scoreboard({keeper.SERVICE: 1, SERVICE: WORKERS})
        self.url = url
        self.config = KeeperConfig(url, (WatchedService(SERVICE, self._report),), ())
        self.refresh_seconds = readiness.REFRESH_SECONDS
        self._log = log
        self.master_pid: int | None = None
        self._pid = 0

    @staticmethod
    def _report(slots: Sequence[Slot]) -> dict[str, Any]:
        return {"reported_by_the_service": len(slots)}

    @property
    def workers(self) -> Sequence[Slot]:
        return self.scoreboard.slots(SERVICE)

    @property
    def slot(self) -> Slot:
        return self.scoreboard.slots(keeper.SERVICE)[0]

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def come_up(self, *slots: Slot) -> None:
        for slot in slots or self.workers:
            slot.on_fork(LONG)
            slot.on_forked(os.getpid())
            slot.state = State.UP

    def request_stop(self, *slots: Slot) -> None:
        """Mark workers as stopping, like the master."""
        for slot in slots or self.workers:
            slot.request_stop()

    def start(self) -> None:
        self.slot.on_fork(10)
        self._pid = fork(self._live)
        self.slot.on_forked(self._pid)

    def _live(self) -> int:
        with self._log.open("a") as log:
            logs.configure(stream=log)
            child = Child(keeper.SERVICE, 0, self.scoreboard, master_pid=self.master_pid)
            return run_child(child, None, -1, lambda c: keeper.run(c, self.config, self.refresh_seconds))

    def start_and_wait(self) -> None:
        self.start()
        eventually(lambda: self.slot.state == State.UP, what="the keeper being up")

    def signal(self, number: int) -> None:
        os.kill(self._pid, number)

    def wait(self) -> int:
        """Wait for the keeper's exit; return its exit code, negative for a signal."""
        ended = eventually(self._reaped, what="the keeper's end")
        self._pid = 0
        return os.waitstatus_to_exitcode(ended[0])

    def _reaped(self) -> list[int]:
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        return [status] if pid else []

    def kill(self) -> None:
        if self._pid:
            self.signal(signal.SIGKILL)
            self.wait()
            self.slot.on_exit()


def ready(client: redis.Redis) -> bool:
    return readiness.is_ready(client, SERVICE)


def said(client: redis.Redis, name: str) -> Any:
    return (readiness.read_status(client, SERVICE) or {}).get(name)


def wait_ready(client: redis.Redis, farm: KeptFarm) -> None:
    eventually(lambda: ready(client) and farm.scoreboard.is_ready(SERVICE), what="readiness")


def wait_withdrawn(client: redis.Redis, farm: KeptFarm) -> None:
    eventually(lambda: not ready(client) and not farm.scoreboard.is_ready(SERVICE), what="the withdrawal")


def events_of_the_key(client: redis.Redis) -> "redis.client.PubSub":
    """Subscribe to the events of the ready key."""
    client.config_set("notify-keyspace-events", "KA")
    listener: redis.client.PubSub = client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(f"__keyspace@0__:{keys.ready(SERVICE)}")
    listener.get_message(timeout=PATIENCE_SECONDS)
    return listener


def drained(listener: "redis.client.PubSub") -> list[bytes]:
    found = []
    while message := listener.get_message(timeout=0.01):
        found.append(message["data"])
    return found
