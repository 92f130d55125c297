"""Putting a farm together: which groups, in which order, each with what it needs."""

import gc
import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import click

from hookfarm import logs
from hookfarm.api import process as api_process
from hookfarm.api import token_file
from hookfarm.api.context import settings as api_settings
from hookfarm.config import MAX_PROCESSORS, MAX_WORKERS, Config
from hookfarm.errors import InvalidInput
from hookfarm.event_ingestor import counters as ingestor_gauges
from hookfarm.event_ingestor import metrics as ingestor_metrics
from hookfarm.event_ingestor import process as ingestor_process
from hookfarm.event_ingestor import status as ingestor_status
from hookfarm.farm.child import Child
from hookfarm.farm.master import Master
from hookfarm.farm.plan import Group, Plan, Stage, board_for
from hookfarm.farm.scoreboard import Board
from hookfarm.keeper import process as keeper_process
from hookfarm.keeper.process import Watched
from hookfarm.launcher.duties import orders
from hookfarm.launcher.reload import Reload
from hookfarm.message_processor import process as processor_process
from hookfarm.message_processor import telemetry as processor_telemetry
from hookfarm.security.redaction import redis_address
from hookfarm.store import embedded_server, keys
from hookfarm.store.embedded_server import StateDirectory
from hookfarm.tracing.setup import TracingSettings, tracing_settings
from hookfarm.webhook_delivery import process as delivery_process
from hookfarm.webhook_delivery import telemetry as delivery_telemetry
from hookfarm.webhook_delivery.worker import Policy

log = logs.get("master")

LARGEST_BITE = 5
MOST_CHAINS = 256
"""How many a farm may come to watch without a restart."""
_FOREVER_SECONDS = 100 * 365 * 24 * 3600.0


def run_farm(config: Config, services: Sequence[str], read: Callable[[], Config]) -> None:
    """Runs the services until told to stop. StartFailed (exit 1) where one does not get ready.

    `read` is asked for the settings again at SIGHUP.
    """
    embedded = None if config.redis_url else StateDirectory(config.state_dir)
    release = embedded.lock() if embedded else lambda: None
    try:
        url = config.redis_url or StateDirectory(config.state_dir).redis_url
        run = secrets.token_hex(6)

        def replanned(fresh: Config) -> Plan:
            groups = plan(fresh, services, url, embedded, run)
            logs.configure(fresh.log_level, fresh.log_format)
            return Plan(groups, fresh.grace_seconds)

        groups = plan(config, services, url, embedded, run)
        board = board_for(groups)
        reload = Reload(config, services, read, replanned)
        gc.collect()
        gc.freeze()
        master = Master(groups, board, config.grace_seconds, replan=reload)
        master.run(on_ready=partial(_say_ready, config, url, groups, board))
    finally:
        release()


def plan(
    config: Config, services: Sequence[str], url: str, embedded: StateDirectory | None, run: str = ""
) -> list[Group]:
    """The groups in the order in which they start: each consumer before its producer.

    `run` is the farm's name for itself in Redis. Every later plan of a farm has the same groups, some perhaps of
    nobody; keeper and server live through all of them, so nothing that may change goes into theirs.
    """
    run = run or secrets.token_hex(6)
    traces = tracing_settings(config)
    work: list[Group] = []
    watched: list[Watched] = []
    if keys.MESSAGE_PROCESSOR in services:
        work.append(_processors(config, url, traces))
        watched.append(
            Watched(keys.MESSAGE_PROCESSOR, processor_telemetry.report, measure=processor_telemetry.families)
        )
    if keys.WEBHOOK_DELIVERY in services:
        work.append(_delivery(config, url, run, traces))
        confirm = delivery_telemetry.all_polling(run, config.workers)
        watched.append(
            Watched(
                keys.WEBHOOK_DELIVERY, delivery_telemetry.DeliveryStatus(), confirm, delivery_telemetry.families
            )
        )
    if keys.EVENT_INGESTOR in services:
        work.append(_ingestors(config, url, traces))
        watched.append(Watched(keys.EVENT_INGESTOR, ingestor_status.report, measure=ingestor_metrics.families))
    if keys.EVENT_INGESTOR in services and not config.chains:
        log.warning("no chain", consequence="event_ingestor is not started", give="--chain ID=URL")
    if keys.WEBHOOK_DELIVERY in services and not config.master_key:
        log.warning("no master key", consequence="secrets are stored in the clear", give="HOOKFARM_MASTER_KEY")
    base = [_embedded(embedded)] if embedded else []
    last = [_api(config, url, [g.service for g in work if g.count])] if api_process.SERVICE in services else []
    return [*base, _keeper(config, url, watched, run), *work, *last]


def _embedded(directory: StateDirectory) -> Group:
    def main(child: Child) -> None:
        child.up()
        child.slot.reason = f"its log is {directory.data / 'server.log'}"
        child.slot.promise(_FOREVER_SECONDS)
        embedded_server.exec_server(directory)

    return Group(embedded_server.SERVICE, 1, main, stage=Stage.BASE, death_signal=signal.SIGTERM)


def _keeper(config: Config, url: str, watched: Sequence[Watched], run: str) -> Group:
    def main(child: Child) -> None:
        keeper_process.run(child, orders(config, url, watched, child.board, run))

    return Group(keeper_process.SERVICE, 1, main, stage=Stage.HERALD, death_signal=signal.SIGTERM)


def _processors(config: Config, url: str, traces: TracingSettings | None) -> Group:
    chain_ids = [watched.chain_id for watched in config.chains]
    host = socket.gethostname()

    def main(child: Child) -> None:
        processor_process.run(child, url, chain_ids, f"{host}-{child.index}", traces)

    return Group(
        keys.MESSAGE_PROCESSOR,
        config.processors,
        main,
        prepare=processor_process.prepare,
        announced=True,
        most=MAX_PROCESSORS,
    )


def _delivery(config: Config, url: str, run: str, traces: TracingSettings | None) -> Group:
    policy = Policy(
        config.retry_schedule,
        keys.reported(run),
        config.delivery_log_attempts,
        config.disable_after,
        log_delivered=config.log_attempts == "all",
    )
    try:
        context = delivery_process.worker_context(
            url, policy, config.ca_file, config.allow_private, config.master_key, traces
        )
    except OSError as error:
        raise InvalidInput("ca-file", f"{config.ca_file} cannot be used: {error.strerror or error}") from error
    main = partial(delivery_process.run, context=context)
    return Group(
        keys.WEBHOOK_DELIVERY,
        config.workers,
        main,
        announced=True,
        most=MAX_WORKERS,
        elastic=True,
        at_once=workers_at_once(config.workers),
    )


def workers_at_once(workers: int) -> int:
    """How many delivery processes a rolling restart may take away at a time: a tenth, at most 5."""
    return max(1, min(LARGEST_BITE, workers // 10))


def _ingestors(config: Config, url: str, traces: TracingSettings | None) -> Group:
    def main(child: Child) -> None:
        watched = config.chains[child.index]
        if child.slot.counter(ingestor_gauges.CHAIN_ID) != watched.chain_id:
            child.slot.clear_counters()  # Another chain's, which had this place before.
        ingestor_process.run(child, watched, url, config.from_block, traces)

    return Group(
        keys.EVENT_INGESTOR,
        len(config.chains),
        main,
        prepare=ingestor_process.prepare,
        announced=True,
        most=MOST_CHAINS,
    )


def _api(config: Config, url: str, services: Sequence[str]) -> Group:
    settings = api_settings(config, url, token_file.read_or_make(config), tuple(services))
    main = partial(api_process.run, address=config.api, settings=settings)
    return Group(api_process.SERVICE, 1, main, prepare=api_process.prepare)


def _say_ready(config: Config, url: str, groups: Sequence[Group], board: Board) -> None:
    click.echo("hookfarm is ready: " + ", ".join(g.service for g in groups if g.announced and g.count))
    click.echo(f"  redis  {redis_address(url)}")
    for group in groups:
        if group.service == api_process.SERVICE:
            port = board.slots(api_process.SERVICE)[0].counter(api_process.PORT)
            click.echo(f"  api    {_dashboard(config, port)}")


def _dashboard(config: Config, port: int) -> str:
    """Its address, with the token where hookfarm made it itself: who gave one has it, and keeps it out of logs."""
    address = f"http://{replace(config.api, port=port)}/"
    token = None if config.api_token else token_file.read(config)
    return f"{address}#token={token}" if token else address
