"""The keeper's configuration: duties, wake-up of blocked workers, detection of a hung Redis."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain

import redis

from hookfarm import delivery_queue
from hookfarm.config import Config
from hookfarm.deliveries import trimming
from hookfarm.deliveries.trimming import LogTrimmer
from hookfarm.delivery_queue import FarmLimits, OrphanState, operational
from hookfarm.event_ingestor.telemetry import STALLED_CHECK_SECONDS, StalledChains
from hookfarm.farm.scoreboard import Scoreboard
from hookfarm.keeper import process as keeper_process
from hookfarm.keeper import telemetry as keeper_telemetry
from hookfarm.keeper.process import Duty, KeeperConfig, WatchedService
from hookfarm.message_processor import telemetry as processor_telemetry
from hookfarm.metrics import MetricsResponder
from hookfarm.store import embedded_server, keys
from hookfarm.store.clients import unblock
from hookfarm.webhook_delivery import telemetry as delivery_telemetry
from hookfarm.webhook_delivery.sweep import SWEEP_SECONDS, Sweep

TICK_SECONDS = 0.25
REPAIR_SECONDS = 10.0
METRICS_SECONDS = 0.1
"""Maximum delay of a response to a request for metrics."""


def keeper_config(
    config: Config, url: str, services: Sequence[WatchedService], scoreboard: Scoreboard, run: str
) -> KeeperConfig:
    """Return the keeper's configuration. Only farms with delivery processes have the queue's duties."""
    wake, on_redis_result = partial(_wake, scoreboard=scoreboard), _hang_detector(scoreboard)
    metrics = Duty("metrics", METRICS_SECONDS, _metrics_responder(services, scoreboard).perform)
    always = (metrics, *_stalls(scoreboard))
    if keys.WEBHOOK_DELIVERY not in scoreboard.services:
        return KeeperConfig(url, tuple(services), always, wake, on_redis_result=on_redis_result)
    trimmer = LogTrimmer(config.delivery_log_attempts, config.delivery_log_age, config.delivery_log_bytes)
    sweep = Sweep(
        scoreboard.slots(keys.WEBHOOK_DELIVERY),
        run,
        partial(_limits, config, scoreboard),
        partial(_count_orphan, scoreboard),
    )
    duties = (
        Duty("tick", TICK_SECONDS, delivery_queue.tick),
        Duty("repair pool", REPAIR_SECONDS, delivery_queue.repair_pool),
        Duty("sweep", SWEEP_SECONDS, sweep.perform),
        Duty("trim log", trimming.INTERVAL_SECONDS, trimmer.perform),
        Duty("deliver events", operational.INTERVAL_SECONDS, operational.deliver_events),
        *always,
    )
    return KeeperConfig(url, tuple(services), duties, wake, sweep.register, sweep.leave, on_redis_result)


def _limits(config: Config, scoreboard: Scoreboard) -> FarmLimits:
    """Return the farm's limits in flight, by its current number of workers."""
    workers = scoreboard.target(keys.WEBHOOK_DELIVERY)
    return FarmLimits(workers * config.concurrency, config.max_in_flight)


def _metrics_responder(services: Sequence[WatchedService], scoreboard: Scoreboard) -> MetricsResponder:
    measures = {each.service: each.measure for each in services if each.measure is not None}
    return MetricsResponder(partial(keeper_telemetry.families, scoreboard, measures, keeper_process.SERVICE))


def _stalls(scoreboard: Scoreboard) -> tuple[Duty, ...]:
    if keys.EVENT_INGESTOR not in scoreboard.services:
        return ()
    keeper = scoreboard.slots(keeper_process.SERVICE)[0]
    found = StalledChains(scoreboard.slots(keys.EVENT_INGESTOR), keeper, keeper_telemetry.STALLS)
    return (Duty("stalls", STALLED_CHECK_SECONDS, found.perform),)


def _count_orphan(scoreboard: Scoreboard, became: OrphanState) -> None:
    index = keeper_telemetry.ORPHANS if became is OrphanState.QUEUED else keeper_telemetry.WORKERS_LOST
    scoreboard.slots(keeper_process.SERVICE)[0].add(index)


def _hang_detector(scoreboard: Scoreboard) -> Callable[[redis.RedisError | None], None] | None:
    """Return the detector of a hung embedded server; None without an embedded server.

    It makes the server's heartbeat late, so that the master replaces the server.
    """
    if embedded_server.SERVICE not in scoreboard.services:
        return None
    [slot] = scoreboard.slots(embedded_server.SERVICE)
    return embedded_server.HangDetector(on_hang=partial(slot.heartbeat, 0.0)).record


def _wake(client: redis.Redis, scoreboard: Scoreboard) -> None:
    """Unblock stopping workers that block in Redis."""
    blocking = {
        keys.MESSAGE_PROCESSOR: processor_telemetry.blocking_clients,
        keys.WEBHOOK_DELIVERY: delivery_telemetry.polling_clients,
    }
    stopping = {
        service: [slot for slot in scoreboard.slots(service) if slot.stop_requested]
        for service in blocking
        if service in scoreboard.services
    }
    clients = (blocking[service](slots) for service, slots in stopping.items())
    unblock(client, chain.from_iterable(clients))
