"""Time to readiness of a farm, and memory of its processes."""

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from redis.client import PubSub

from hookfarm.store import keys
from support.environment import directory
from support.farm import Farm, FarmSettings, starting_delivery_farm
from support.redis_server import RedisServer, running_redis

READY_WITHIN_SECONDS = 120.0


def fork_to_ready(settings: FarmSettings) -> dict[str, Any]:
    """Measure from the first delivery process, and from the command, to the notification of the ready key."""
    with directory() as place, running_redis(place / "redis") as server, _announcements(server) as announced:
        began = _now()
        with starting_delivery_farm(place, server, settings) as farm:
            ready = announced(farm)
            first = min(_created(process) for process in farm.workers())
            assert len(farm.workers()) == settings.workers
        return {
            "first_fork_to_ready_seconds": round(ready - first, 3),
            "command_to_ready_seconds": round(ready - began, 3),
        }


def weigh(farm: Farm) -> dict[str, float]:
    """Return the memory of the delivery processes, and of the whole farm, in megabytes (10^6 bytes)."""
    each = [worker.memory_full_info() for worker in farm.workers()]
    uss, pss = [[float(getattr(info, kind)) / 1e6 for info in each] for kind in ("uss", "pss")]
    whole = sum(float(process.memory_full_info().pss) for process in farm.processes()) / 1e6
    figures = {"uss_median_mb": statistics.median(uss), "uss_max_mb": max(uss)}
    figures |= {"pss_median_mb": statistics.median(pss), "pss_max_mb": max(pss), "farm_pss_mb": whole}
    return {name: round(value, 2) for name, value in figures.items()}


@contextlib.contextmanager
def _announcements(server: RedisServer) -> Iterator[Callable[[Farm], float]]:
    """Yield a function that waits for the notification of the ready key and returns its time."""
    server.client.config_set("notify-keyspace-events", "K$")
    channel: PubSub = server.client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    with channel:
        channel.subscribe(f"__keyspace@0__:{keys.ready(keys.WEBHOOK_DELIVERY)}")
        channel.get_message(timeout=1.0)

        def wait(farm: Farm) -> float:
            deadline = time.monotonic() + READY_WITHIN_SECONDS
            while time.monotonic() < deadline:
                if channel.get_message(timeout=1.0) is not None:
                    return _now()
                farm.check_alive()
            raise TimeoutError("webhook_delivery is not ready")

        yield wait


def _now() -> float:
    """Return seconds since boot, the clock of `_created`."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _created(process: psutil.Process) -> float:
    """Return the process's time of creation in seconds since boot, rounded down to a tick (10 ms)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")
