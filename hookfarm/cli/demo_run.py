"""The demo's course: start, watch, drain, stop, sum up. Ctrl-C ends each of these steps cleanly."""

import time
from collections import deque
from dataclasses import dataclass, replace

import click
import redis

from hookfarm import status
from hookfarm.cli.demo_account import Account
from hookfarm.cli.demo_chain import DemoChain
from hookfarm.cli.demo_farm import DemoFarm
from hookfarm.cli.demo_summary import missing, summary
from hookfarm.cli.interrupts import Interrupts
from hookfarm.cli.view_display import Display, Lines, display
from hookfarm.cli.view_poller import Poller
from hookfarm.cli.view_snapshot import Proof, Snapshot
from hookfarm.devchain.options import DevchainOptions
from hookfarm.errors import HookfarmError, OperatorError
from hookfarm.records import parse_endpoint
from hookfarm.registry import registry
from hookfarm.store.clients import command_client

CHAIN_ID = 31337
TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
TITLE = "hookfarm demo"
LINE_SECONDS = 2.0
VIEW_STEP_SECONDS = 0.25
START_STEP_SECONDS = 0.02
DRAIN_STEP_SECONDS = 0.1
DRAIN_SECONDS = 10.0
"""How long nothing may arrive before what is missing counts as missing."""
LATEST = 4
"""How many of the last webhooks are shown."""


@dataclass(frozen=True)
class DemoOptions:
    """`seconds` None runs until told to stop."""

    seconds: float | None
    block_time: float
    logs_per_block: int
    workers: int


def run_demo(options: DemoOptions) -> int:
    """The exit code: 0 where everything emitted was delivered and verified, and that was something."""
    with Interrupts() as interrupts:
        devchain = DevchainOptions(
            chain_id=CHAIN_ID, block_time=options.block_time, logs_per_block=options.logs_per_block
        )
        secret = registry.new_secret()
        click.echo(f"starting a chain, a receiver and a farm of {options.workers} workers …")
        farm = DemoFarm(options.workers, devchain, secret, interrupts.let_go)
        conductor = Conductor(farm, secret, options, interrupts)
        try:
            conductor.run()
        finally:
            conductor.close()
            farm.end(hurry=lambda: interrupts.count > 1)
    return conductor.conclude()


class Conductor:
    """Drives one demo. It reads the farm from Redis and the chain by JSON-RPC, as anybody could."""

    def __init__(self, farm: DemoFarm, secret: str, options: DemoOptions, interrupts: Interrupts) -> None:
        self._farm = farm
        self._secret = secret
        self._options = options
        self._interrupts = interrupts
        self._client = command_client(farm.redis_url)
        self._chain = DemoChain(farm.devchain.host, farm.devchain.port)
        self._account = Account()
        self._poller = Poller()
        self._blocks = 0
        self._began = time.monotonic()
        self._last: Snapshot | None = None
        self._latest: deque[str] = deque([""] * LATEST, maxlen=LATEST)
        self._said: list[str] = []

    def run(self) -> None:
        """Returns when the demo is over, by time, by ctrl-C, or with an error that says why it could not go on."""
        try:
            self._await_ready()
            if self._interrupts.count:
                return
            self._subscribe()
            self._introduce()
            with display(TITLE, Lines(LINE_SECONDS), VIEW_STEP_SECONDS) as shown:
                self._watch(shown)
                self._drain(shown)
        except (redis.RedisError, HookfarmError) as error:
            if self._farm.ended:
                raise self._farm.failure() from error
            raise error if isinstance(error, HookfarmError) else OperatorError(f"Redis: {error}") from error

    def close(self) -> None:
        self._client.close()
        self._chain.close()

    def conclude(self) -> int:
        """Prints the summary; the exit code."""
        if self._last is None:
            click.echo("stopped before it was ready: nothing was emitted")
            return 1
        click.echo(summary(self._account, self._last, self._blocks))
        problem = missing(self._account, self._farm.not_verified)
        if problem:
            click.echo("\n".join([problem, *self._said]), err=True)
        return 1 if problem else 0

    # The steps

    def _await_ready(self) -> None:
        while not self._farm.ready and not self._interrupts.count:
            if self._farm.ended:
                raise self._farm.failure()
            self._interrupts.wait(START_STEP_SECONDS)

    def _subscribe(self) -> None:
        """Before the first block, so that every log of the chain is owed."""
        subscription = {"chain_id": CHAIN_ID, "event": TRANSFER}
        record = {"url": f"http://{self._farm.receiver}/", "subscriptions": [subscription]}
        endpoint = parse_endpoint(record, check_url=str)
        # The receiver has the secret already, so it is given, not made.
        registry.Registry(self._client).update(replace(endpoint, secrets=((self._secret, None),)))

    def _introduce(self) -> None:
        click.echo(f"  hookfarm  http://{self._farm.api}/#token={self._farm.api_token}")
        click.echo(f"  chain     ws://{self._farm.devchain}  {self._pace()}")
        click.echo(f"  receiver  http://{self._farm.receiver}/")
        click.echo(f"  redis     {self._farm.redis_url}")
        click.echo(f"running for {self._options.seconds:g} s …" if self._options.seconds else "ctrl-C ends it")

    def _pace(self) -> str:
        return f"a block of {self._options.logs_per_block:,} transfers every {self._options.block_time:g} s"

    def _watch(self, shown: Display) -> None:
        self._began = time.monotonic()
        self._chain.begin()
        ends = self._began + (self._options.seconds or float("inf"))
        while not self._interrupts.count and time.monotonic() < ends:
            self._look(shown)
            self._interrupts.wait(min(shown.step_seconds, ends - time.monotonic()))

    def _drain(self, shown: Display) -> None:
        """Until every log has its webhook, or no more come, or ctrl-C does once more."""
        self._chain.pause()
        interrupts, verified, since = self._interrupts.count, -1, time.monotonic()
        self._look(shown, draining=True)
        while not self._account.balanced and self._interrupts.count == interrupts:
            if self._account.verified != verified:
                verified, since = self._account.verified, time.monotonic()
            elif time.monotonic() - since > DRAIN_SECONDS:
                break
            self._interrupts.wait(DRAIN_STEP_SECONDS)
            self._look(shown, draining=True)
        if not self._account.balanced:
            self._said = self._farm.last_lines()

    def _look(self, shown: Display, *, draining: bool = False) -> None:
        if self._farm.ended:
            raise self._farm.failure()
        self._count()
        proof = Proof(self._account.emitted, self._account.verified, tuple(self._latest))
        self._last = self._poller.snapshot(
            status.take_snapshot(self._client),
            time.monotonic() - self._began,
            {CHAIN_ID: self._blocks},
            proof,
            draining=draining,
        )
        shown.show(self._last)

    def _count(self) -> None:
        head = self._chain.head()
        if head > self._blocks:
            self._account.emit(self._chain.logs(self._blocks + 1, head))
            self._blocks = head
        for arrival in self._farm.arrivals():
            self._account.arrive(arrival.log, arrival.webhook_id)
            if arrival.text:
                self._latest.append(arrival.text)
