"""A farm's composition: its worker groups in start order, with their dependencies."""

import gc
import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import click

from hookfarm import logs
from hookfarm.api import process
from hookfarm.api import process as api_process
from hookfarm.api.context import settings as api_settings
from hookfarm.config import MAX_PROCESSORS, MAX_WORKERS, Config
from hookfarm.errors import InvalidInput
from hookfarm.event_ingestor import process as ingestor_process
from hookfarm.event_ingestor import telemetry as ingestor_telemetry
from hookfarm.farm.child import Child
from hookfarm.farm.master import Master
from hookfarm.farm.plan import FarmPlan, Stage, WorkerGroup, scoreboard_for
from hookfarm.farm.scoreboard import Scoreboard, State
from hookfarm.keeper import process as keeper_process
from hookfarm.keeper.process import WatchedService
from hookfarm.launcher.duties import keeper_config
from hookfarm.launcher.reload import Reload
from hookfarm.message_processor import process as processor_process
from hookfarm.message_processor import telemetry as processor_telemetry
from hookfarm.security.redaction import redis_address
from hookfarm.store import embedded_server, keys
from hookfarm.store.embedded_server import StateDirectory
from hookfarm.tracing import TracingSettings, tracing_settings
from hookfarm.webhook_delivery import process as delivery_process
from hookfarm.webhook_delivery import telemetry as delivery_telemetry
from hookfarm.webhook_delivery.attempts import AttemptPolicy
from hookfarm.webhook_delivery.worker import Policy

log = logs.get("master")

MAX_UNAVAILABLE = 5
MAX_CHAINS = 256
"""Maximum chains after a reload without a restart."""
_FOREVER_SECONDS = 100 * 365 * 24 * 3600.0


def run_farm(config: Config, services: Sequence[str], read: Callable[[], Config]) -> None:
    """Run the services until a stop signal. Raises StartFailed (exit 1) if one does not become ready.

    `read` returns new settings at SIGHUP.
    """
    embedded = None if config.redis_url else StateDirectory(config.state_dir)
    release = embedded.lock() if embedded else lambda: None
    try:
        url = config.redis_url or StateDirectory(config.state_dir).redis_url
        run = secrets.token_hex(6)

        def new_plan(fresh: Config) -> FarmPlan:
            groups = plan(fresh, services, url, embedded, run)
            logs.configure(fresh.log_level, fresh.log_format)
            return FarmPlan(groups, fresh.grace_seconds)

        groups = plan(config, services, url, embedded, run)
        scoreboard = scoreboard_for(groups)
        reload = Reload(config, services, read, new_plan)
        gc.collect()
        gc.freeze()
        master = Master(groups, scoreboard, config.grace_seconds, load_plan=reload)
        master.run(on_ready=partial(_print_ready, config, url, groups, scoreboard))
    finally:
        release()


def plan(
    config: Config, services: Sequence[str], url: str, embedded: StateDirectory | None, run: str = ""
) -> list[WorkerGroup]:
    """Return the groups in start order: each consumer before its producer.

    `run` identifies the farm in Redis. Every later plan of a farm has the same groups; a group may be empty.
    Keeper and server outlive all plans, so their groups use only settings that cannot change.
    """
    run = run or secrets.token_hex(6)
    traces = tracing_settings(config)
    work: list[WorkerGroup] = []
    watched: list[WatchedService] = []
    if keys.MESSAGE_PROCESSOR in services:
        work.append(_processors(config, url, traces))
        watched.append(
            WatchedService(
                keys.MESSAGE_PROCESSOR, processor_telemetry.report, measure=processor_telemetry.families
            )
        )
    if keys.WEBHOOK_DELIVERY in services:
        work.append(_delivery(config, url, run, traces))
        confirm = delivery_telemetry.all_polling(run, config.workers)
        watched.append(
            WatchedService(
                keys.WEBHOOK_DELIVERY, delivery_telemetry.DeliveryReporter(), confirm, delivery_telemetry.families
            )
        )
    if keys.EVENT_INGESTOR in services:
        work.append(_ingestors(config, url, traces))
        watched.append(
            WatchedService(
                keys.EVENT_INGESTOR,
                ingestor_telemetry.report,
                measure=ingestor_telemetry.families,
                part=ingestor_telemetry.part,
            )
        )
    if keys.EVENT_INGESTOR in services and not config.chains:
        log.warning("no chain", consequence="event_ingestor is not started", hint="--chain ID=URL")
    if keys.WEBHOOK_DELIVERY in services and not config.master_key:
        log.warning("no master key", consequence="secrets are stored in the clear", hint="HOOKFARM_MASTER_KEY")
    dependencies = [_embedded(embedded)] if embedded else []
    last = [_api(config, url, [g.service for g in work if g.count])] if api_process.SERVICE in services else []
    return [*dependencies, _keeper(config, url, watched, run), *work, *last]


def _embedded(directory: StateDirectory) -> WorkerGroup:
    def main(child: Child) -> None:
        child.mark_up()
        child.slot.reason = f"see its log {directory.data / 'server.log'}"
        child.slot.heartbeat(_FOREVER_SECONDS)
        embedded_server.exec_server(directory)

    return WorkerGroup(embedded_server.SERVICE, 1, main, stage=Stage.DEPENDENCIES, death_signal=signal.SIGTERM)


def _keeper(config: Config, url: str, watched: Sequence[WatchedService], run: str) -> WorkerGroup:
    def main(child: Child) -> None:
        keeper_process.run(child, keeper_config(config, url, watched, child.scoreboard, run))

    return WorkerGroup(keeper_process.SERVICE, 1, main, stage=Stage.KEEPER, death_signal=signal.SIGTERM)


def _processors(config: Config, url: str, traces: TracingSettings | None) -> WorkerGroup:
    chain_ids = [watched.chain_id for watched in config.chains]
    host = socket.gethostname()

    def main(child: Child) -> None:
        processor_process.run(child, url, chain_ids, f"{host}-{child.index}", traces)

    return WorkerGroup(
        keys.MESSAGE_PROCESSOR,
        config.processors,
        main,
        prepare=processor_process.prepare,
        ready_when_announced=True,
        max_count=MAX_PROCESSORS,
        progress=processor_telemetry.loaded,
    )


def _delivery(config: Config, url: str, run: str, traces: TracingSettings | None) -> WorkerGroup:
    policy = Policy(
        keys.reported(run),
        AttemptPolicy(config.retry_schedule, log_delivered=config.log_attempts == "all"),
        config.delivery_log_attempts,
        config.disable_after,
        config.concurrency,
        config.workers,
    )
    try:
        context = delivery_process.worker_context(
            url, policy, config.ca_file, config.allow_private, config.master_key, traces
        )
    except OSError as error:
        raise InvalidInput("ca-file", f"{config.ca_file} cannot be used: {error.strerror or error}") from error
    main = partial(delivery_process.run, context=context)
    return WorkerGroup(
        keys.WEBHOOK_DELIVERY,
        config.workers,
        main,
        ready_when_announced=True,
        max_count=MAX_WORKERS,
        resizable=True,
        max_unavailable=max_unavailable(config.workers),
    )


def max_unavailable(workers: int) -> int:
    """Return how many delivery processes a rolling restart may replace at once: a tenth, at most 5."""
    return max(1, min(MAX_UNAVAILABLE, workers // 10))


def _ingestors(config: Config, url: str, traces: TracingSettings | None) -> WorkerGroup:
    def main(child: Child) -> None:
        chains = [config.chains[place] for place in child.places]
        for slot, chain in zip(child.slots, chains, strict=True):
            if slot.counter(ingestor_telemetry.CHAIN_ID) != chain.chain_id:
                slot.clear_counters()  # The slot may have labels of another chain.
        ingestor_process.run(child, chains, url, config.from_block, traces)

    return WorkerGroup(
        keys.EVENT_INGESTOR,
        len(config.chains),
        main,
        prepare=ingestor_process.prepare,
        ready_when_announced=True,
        max_count=MAX_CHAINS,
        max_processes=config.ingestors,
        required=_required_ingestors(config),
    )


def _required_ingestors(config: Config) -> frozenset[int]:
    """Return the places of the required chains. Raises InvalidInput for one that is not watched."""
    watched = [chain.chain_id for chain in config.chains]
    for chain_id in config.required_chains:
        if chain_id not in watched:
            raise InvalidInput("required-chains", f"chain {chain_id} is not watched; add --chain {chain_id}=URL")
    return frozenset(map(watched.index, config.required_chains))


def _api(config: Config, url: str, services: Sequence[str]) -> WorkerGroup:
    settings = api_settings(config, url, process.load_or_create(config), tuple(services))
    main = partial(api_process.run, address=config.api, settings=settings)
    return WorkerGroup(api_process.SERVICE, 1, main, prepare=api_process.prepare)


def _print_ready(config: Config, url: str, groups: Sequence[WorkerGroup], scoreboard: Scoreboard) -> None:
    announced = [group for group in groups if group.ready_when_announced and group.count]
    click.echo("hookfarm is ready: " + ", ".join(_ready_name(group, scoreboard) for group in announced))
    click.echo(f"  redis  {redis_address(url)}")
    for group in groups:
        if group.service == api_process.SERVICE:
            port = scoreboard.slots(api_process.SERVICE)[0].counter(api_process.PORT)
            click.echo(f"  api    {_dashboard(config, port)}")


def _ready_name(group: WorkerGroup, scoreboard: Scoreboard) -> str:
    """Return the name of a service, with the number of its slots (processes or chains) that are up if not all."""
    up = sum(slot.state == State.UP for slot in scoreboard.slots(group.service))
    return group.service if up == group.count else f"{group.service} ({up} of {group.count} up)"


def _dashboard(config: Config, port: int) -> str:
    """Return the dashboard's URL, with the token if it was generated; a configured token stays out of logs."""
    address = f"http://{replace(config.api, port=port)}/"
    token = None if config.api_token else process.read(config)
    return f"{address}#token={token}" if token else address
