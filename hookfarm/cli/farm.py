"""Putting a farm together: which groups, in which order, each with what it needs."""

import gc
import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

import click
import redis

from hookfarm import delivery_log, delivery_queue, embedded_server, keys, logs
from hookfarm.api import process as api_process
from hookfarm.config import Config
from hookfarm.delivery_log import Trimming
from hookfarm.embedded_server import StateDirectory
from hookfarm.event_ingestor import process as ingestor_process
from hookfarm.event_ingestor import status as ingestor_status
from hookfarm.farm.board import Board
from hookfarm.farm.child import Child
from hookfarm.farm.group import Group, Stage
from hookfarm.farm.master import Master
from hookfarm.keeper import process as keeper_process
from hookfarm.keeper.process import Duty, Orders, Watched
from hookfarm.message_processor import process as processor_process
from hookfarm.message_processor import status as processor_status
from hookfarm.redaction import redis_address
from hookfarm.redis_clients import unblock
from hookfarm.webhook_delivery import duties as delivery_duties
from hookfarm.webhook_delivery import process as delivery_process
from hookfarm.webhook_delivery.sweep import SWEEP_SECONDS, Sweep
from hookfarm.webhook_delivery.worker import Policy

log = logs.get("master")

REDIS = "redis"
_FOREVER_SECONDS = 100 * 365 * 24 * 3600.0


def run_farm(config: Config, services: Sequence[str]) -> None:
    """Runs the services until told to stop. StartFailed (exit 1) where one does not get ready."""
    embedded = None if config.redis_url else StateDirectory(config.state_dir)
    release = embedded.lock() if embedded else lambda: None
    try:
        url = config.redis_url or StateDirectory(config.state_dir).redis_url
        groups = plan(config, services, url, embedded)
        board = Board({group.service: group.count for group in groups})
        gc.collect()
        gc.freeze()
        Master(groups, board, config.grace_seconds).run(on_ready=partial(_say_ready, config, url, groups, board))
    finally:
        release()


def plan(config: Config, services: Sequence[str], url: str, embedded: StateDirectory | None) -> list[Group]:
    """The groups in the order in which they start: each consumer before its producer."""
    run = secrets.token_hex(6)
    work: list[Group] = []
    watched: list[Watched] = []
    if keys.MESSAGE_PROCESSOR in services:
        work.append(_processors(config, url))
        watched.append(Watched(keys.MESSAGE_PROCESSOR, processor_status.report))
    if keys.WEBHOOK_DELIVERY in services:
        work.append(_delivery(config, url, run))
        confirm = delivery_duties.all_reported(run, config.workers)
        watched.append(Watched(keys.WEBHOOK_DELIVERY, delivery_duties.report, confirm))
    if keys.EVENT_INGESTOR in services and config.chains:
        work.append(_ingestors(config, url))
        watched.append(Watched(keys.EVENT_INGESTOR, ingestor_status.report))
    elif keys.EVENT_INGESTOR in services:
        log.warning("no chain", consequence="event_ingestor is not started", give="--chain ID=URL")
    base = [_embedded(embedded)] if embedded else []
    last = [_api(config, url, watched)] if api_process.SERVICE in services else []
    return [*base, _keeper(config, url, watched, run), *work, *last]


def _embedded(directory: StateDirectory) -> Group:
    def main(child: Child) -> None:
        child.up()
        child.slot.reason = f"its log is {directory.data / 'server.log'}"
        child.slot.promise(_FOREVER_SECONDS)
        embedded_server.become(directory)

    return Group(REDIS, 1, main, stage=Stage.BASE, death_signal=signal.SIGTERM)


def _keeper(config: Config, url: str, watched: Sequence[Watched], run: str) -> Group:
    def main(child: Child) -> None:
        keeper_process.run(child, _orders(config, url, watched, child.board, run))

    return Group(keeper_process.SERVICE, 1, main, stage=Stage.HERALD, death_signal=signal.SIGTERM)


def _orders(config: Config, url: str, watched: Sequence[Watched], board: Board, run: str) -> Orders:
    """The keeper's work; what the delivery processes need done is only for the farm that has them."""
    wake, heard = partial(_wake, board=board), _silence(board)
    if keys.WEBHOOK_DELIVERY not in board.services:
        return Orders(url, tuple(watched), (), wake, heard=heard)
    trimming = Trimming(config.delivery_log_attempts, config.delivery_log_age)
    sweep = Sweep(board.slots(keys.WEBHOOK_DELIVERY), run)
    duties = (
        Duty("promote", delivery_duties.PROMOTE_SECONDS, delivery_queue.promote),
        Duty("sweep", SWEEP_SECONDS, sweep.perform),
        Duty("trim log", delivery_log.TRIM_SECONDS, trimming.perform),
    )
    leave = partial(delivery_duties.forget_run, sweep=sweep, run=run)
    return Orders(url, tuple(watched), duties, wake, before=sweep.register, after=leave, heard=heard)


def _silence(board: Board) -> Callable[["redis.RedisError | None"], None] | None:
    """Of an embedded server, for which there is a place on the board: it is given up by breaking its promise."""
    if REDIS not in board.services:
        return None
    [slot] = board.slots(REDIS)
    return embedded_server.Silence(give_up=partial(slot.promise, 0.0)).heard


def _wake(client: "redis.Redis", board: Board) -> None:
    """Frees the processes that block in Redis, so that they see at once that they are to stop."""
    blocking = {
        keys.MESSAGE_PROCESSOR: processor_status.blocking_clients,
        keys.WEBHOOK_DELIVERY: delivery_duties.blocking_clients,
    }
    waiting = (of(board.slots(service)) for service, of in blocking.items() if service in board.services)
    unblock(client, chain.from_iterable(waiting))


def _processors(config: Config, url: str) -> Group:
    chain_ids = [watched.chain_id for watched in config.chains]
    host = socket.gethostname()

    def main(child: Child) -> None:
        processor_process.run(child, url, chain_ids, f"{host}-{child.index}")

    return Group(
        keys.MESSAGE_PROCESSOR, config.processors, main, prepare=processor_process.prepare, announced=True
    )


def _delivery(config: Config, url: str, run: str) -> Group:
    policy = Policy(config.retry_schedule, keys.reported(run), config.delivery_log_attempts, config.disable_after)
    shared = delivery_process.deployment(url, policy, config.ca_file, config.allow_private)
    main = partial(delivery_process.run, shared=shared)
    return Group(keys.WEBHOOK_DELIVERY, config.workers, main, announced=True)


def _ingestors(config: Config, url: str) -> Group:
    def main(child: Child) -> None:
        ingestor_process.run(child, config.chains[child.index], url, config.from_block)

    return Group(keys.EVENT_INGESTOR, len(config.chains), main, prepare=ingestor_process.prepare, announced=True)


def _api(config: Config, url: str, watched: Sequence[Watched]) -> Group:
    services = tuple(w.service for w in watched)
    main = partial(api_process.run, redis_url=url, address=config.api, services=services)
    return Group(api_process.SERVICE, 1, main, prepare=api_process.prepare)


def _say_ready(config: Config, url: str, groups: Sequence[Group], board: Board) -> None:
    click.echo("hookfarm is ready: " + ", ".join(g.service for g in groups if g.announced))
    click.echo(f"  redis  {redis_address(url)}")
    for group in groups:
        if group.service == api_process.SERVICE:
            port = board.slots(api_process.SERVICE)[0].counter(api_process.PORT)
            click.echo(f"  api    http://{replace(config.api, port=port)}")
