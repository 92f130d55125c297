"""`hookfarm demo`: start, watch, drain, stop, sum up. Ctrl-C ends each step cleanly."""

import sys
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import click
import redis

from hookfarm import status
from hookfarm.cli.demo.audit import DeliveryAudit, DemoChain, problem, summary
from hookfarm.cli.demo.farm import DemoFarm
from hookfarm.cli.live.display import Display, Interrupts, LineDisplay, display
from hookfarm.cli.live.view_model import AuditCounts, ViewModel, ViewModelBuilder
from hookfarm.cli.options import seconds_option, whole_option
from hookfarm.config import MAX_WORKERS
from hookfarm.devchain.chain import MAX_LOGS_PER_BLOCK, DevchainOptions
from hookfarm.errors import HookfarmError, OperatorError
from hookfarm.records import parse_endpoint
from hookfarm.registry import store as registry_store
from hookfarm.store.clients import command_client

CHAIN_ID = 31337
TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
TITLE = "hookfarm demo"
LINE_SECONDS = 2.0
VIEW_STEP_SECONDS = 0.25
START_STEP_SECONDS = 0.02
DRAIN_STEP_SECONDS = 0.1
DRAIN_SECONDS = 10.0
"""Time without a new webhook after which the missing webhooks count as lost."""
MAX_LATEST = 4
"""Number of latest webhooks shown."""


@click.command()
@seconds_option("--seconds", 0.1, 10**9, "Time after which the demo ends")
@seconds_option("--block-time", 0.05, 3600, "Time between blocks", 1)
@whole_option("--logs-per-block", 1, MAX_LOGS_PER_BLOCK, "Transfers per block", 50)
@whole_option("--workers", 1, MAX_WORKERS, "Delivery processes", 50)
def demo(**given: Any) -> None:
    """Run a chain, Redis, the farm and a verifying receiver, and watch them until ctrl-C.

    Everything is local and temporary. At the end, the chain's logs are compared with the received webhooks. Exit
    code: 0 if every log was delivered and verified, else 1. A second ctrl-C skips the comparison.

    \b
    Example: hookfarm demo --seconds 20
    """
    sys.exit(run_demo(DemoOptions(**given)))


@dataclass(frozen=True)
class DemoOptions:
    """Options of a demo; without `seconds` it runs until interrupted."""

    seconds: float | None
    block_time: float
    logs_per_block: int
    workers: int


def run_demo(options: DemoOptions) -> int:
    """Run a demo. Return the exit code: 0 if logs were emitted and all were delivered and verified."""
    with Interrupts() as interrupts:
        devchain = DevchainOptions(
            chain_id=CHAIN_ID, block_time=options.block_time, logs_per_block=options.logs_per_block
        )
        secret = registry_store.new_secret()
        click.echo(f"starting a chain, a receiver and a farm of {options.workers} workers …")
        farm = DemoFarm(options.workers, devchain, secret, interrupts.close)
        run = Demo(farm, secret, options, interrupts)
        try:
            run.run()
        finally:
            run.close()
            farm.end(hurry=lambda: interrupts.count > 1)
    return run.conclude()


class Demo:
    """One run of the demo. It reads the farm from Redis and the chain by JSON-RPC, like any client."""

    def __init__(self, farm: DemoFarm, secret: str, options: DemoOptions, interrupts: Interrupts) -> None:
        self._farm = farm
        self._secret = secret
        self._options = options
        self._interrupts = interrupts
        self._client = command_client(farm.redis_url)
        self._chain = DemoChain(farm.devchain.host, farm.devchain.port)
        self._logs = DeliveryAudit()
        self._builder = ViewModelBuilder()
        self._blocks = 0
        self._began = time.monotonic()
        self._last: ViewModel | None = None
        self._latest: deque[str] = deque([""] * MAX_LATEST, maxlen=MAX_LATEST)
        self._last_lines: list[str] = []

    def run(self) -> None:
        """Run until the time is over or ctrl-C. Raises HookfarmError with the reason if the farm fails."""
        try:
            self._await_ready()
            if self._interrupts.count:
                return
            self._subscribe()
            self._introduce()
            with display(TITLE, LineDisplay(LINE_SECONDS), VIEW_STEP_SECONDS) as screen:
                self._watch(screen)
                self._drain(screen)
        except (redis.RedisError, HookfarmError) as error:
            if self._farm.ended:
                raise self._farm.failure() from error
            raise error if isinstance(error, HookfarmError) else OperatorError(f"Redis: {error}") from error

    def close(self) -> None:
        self._client.close()
        self._chain.close()

    def conclude(self) -> int:
        """Print the summary and return the exit code."""
        if self._last is None:
            click.echo("stopped before the farm was ready: no logs were emitted")
            return 1
        click.echo(summary(self._logs, self._last, self._blocks))
        difference = problem(self._logs, self._farm.not_verified)
        if difference:
            click.echo("\n".join([difference, *self._last_lines]), err=True)
        return 1 if difference else 0

    # The steps

    def _await_ready(self) -> None:
        while not self._farm.ready and not self._interrupts.count:
            if self._farm.ended:
                raise self._farm.failure()
            self._interrupts.wait(START_STEP_SECONDS)

    def _subscribe(self) -> None:
        """Add the endpoint before the first block, so that it receives every log of the chain."""
        subscription = {"chain_id": CHAIN_ID, "event": TRANSFER}
        record = {"url": f"http://{self._farm.receiver}/", "subscriptions": [subscription]}
        endpoint = parse_endpoint(record, check_url=str)
        # The receiver was started with this secret.
        registry_store.Registry(self._client).update(replace(endpoint, secrets=((self._secret, None),)))

    def _introduce(self) -> None:
        click.echo(f"  hookfarm  http://{self._farm.api}/#token={self._farm.api_token}")
        click.echo(f"  chain     ws://{self._farm.devchain}  {self._pace()}")
        click.echo(f"  receiver  http://{self._farm.receiver}/")
        click.echo(f"  redis     {self._farm.redis_url}")
        click.echo(f"running for {self._options.seconds:g} s …" if self._options.seconds else "ctrl-C ends it")

    def _pace(self) -> str:
        return f"a block of {self._options.logs_per_block:,} transfers every {self._options.block_time:g} s"

    def _watch(self, screen: Display) -> None:
        self._began = time.monotonic()
        self._chain.begin()
        ends = self._began + (self._options.seconds or float("inf"))
        while not self._interrupts.count and time.monotonic() < ends:
            self._update(screen)
            self._interrupts.wait(min(screen.step_seconds, ends - time.monotonic()))

    def _drain(self, screen: Display) -> None:
        """Wait until every log has a webhook, no more webhooks arrive, or ctrl-C."""
        self._chain.pause()
        interrupts, verified, since = self._interrupts.count, -1, time.monotonic()
        self._update(screen, draining=True)
        while not self._logs.is_complete and self._interrupts.count == interrupts:
            if self._logs.verified != verified:
                verified, since = self._logs.verified, time.monotonic()
            elif time.monotonic() - since > DRAIN_SECONDS:
                break
            self._interrupts.wait(DRAIN_STEP_SECONDS)
            self._update(screen, draining=True)
        if not self._logs.is_complete:
            self._last_lines = self._farm.last_lines()

    def _update(self, screen: Display, *, draining: bool = False) -> None:
        if self._farm.ended:
            raise self._farm.failure()
        self._count()
        audit = AuditCounts(self._logs.emitted, self._logs.verified, tuple(self._latest))
        self._last = self._builder.build(
            status.take_snapshot(self._client),
            time.monotonic() - self._began,
            {CHAIN_ID: self._blocks},
            audit,
            draining=draining,
        )
        screen.show(self._last)

    def _count(self) -> None:
        head = self._chain.head()
        if head > self._blocks:
            self._logs.add_logs(self._chain.logs(self._blocks + 1, head))
            self._blocks = head
        for arrival in self._farm.arrivals():
            self._logs.add_webhook(arrival.log, arrival.webhook_id)
            if arrival.text:
                self._latest.append(arrival.text)
