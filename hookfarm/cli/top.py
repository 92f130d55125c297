"""`hookfarm top`: the farm live in the terminal, until q, ctrl-C or hang-up."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import orjson
import redis
from rich.console import Console

from hookfarm import status
from hookfarm.cli.live.display import Display, Interrupts, LineDisplay, display
from hookfarm.cli.live.view import FarmView
from hookfarm.cli.live.view_model import ViewModel, ViewModelBuilder
from hookfarm.cli.options import connected, json_option, redis_options, seconds_option, settings
from hookfarm.cli.output import plain
from hookfarm.status import Rates, Snapshot
from hookfarm.store import keys

TITLE = "hookfarm top"
ONCE_SECONDS = 1.0
"""Time between the two snapshots that a rate needs."""
_QUIT = b"qQ\x03\x04"


@click.command()
@click.option("--once", is_flag=True, help="Print once and exit.")
@seconds_option("--interval", 0.1, 3600, "Time between updates", 1)
@json_option
@redis_options
def top(once: bool, interval: float, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Watch the farm: throughput from chain to webhook, the workers, the queue.

    It reads only Redis, so it works on any host. q or ctrl-C ends it. In a pipe it prints one line per update;
    with --json, one object per line in the format of `/v1/stats`.

    \b
    Examples:
      hookfarm top --redis-url redis://10.0.0.5:6379/0
      hookfarm top --once --json
    """
    with connected(settings(config_file, **options)) as client:
        run = run_json if as_json else run_top
        run(client, interval, once=once)


def run_top(client: redis.Redis, interval_seconds: float, *, once: bool) -> None:
    """Show the farm until interrupted, or once. Raises RedisError if Redis does not answer the first time."""
    source = TopSource(client)
    first = source.read()
    if once:
        time.sleep(ONCE_SECONDS if first.delivered is not None else 0)
        Console(highlight=False).print(FarmView(source.read(), TITLE))
        return
    with Interrupts() as interrupts:
        lines = LineDisplay(interval_seconds, at_once=True)
        with display(TITLE, lines, interval_seconds, full_screen=True) as screen:
            _watch(source, screen, max(screen.step_seconds, interval_seconds), interrupts)


def run_json(client: redis.Redis, interval_seconds: float, *, once: bool) -> None:
    """Print a snapshot with its rate per line. Raises RedisError if Redis fails."""
    rates = Rates()
    if once:
        _snapshot(client, rates)
        time.sleep(ONCE_SECONDS)
        click.echo(orjson.dumps(_snapshot(client, rates)))
        return
    with Interrupts() as interrupts:
        while not interrupts.count:
            click.echo(orjson.dumps(_snapshot(client, rates)))
            interrupts.wait(interval_seconds)


def _snapshot(client: redis.Redis, rates: Rates) -> Snapshot:
    found = status.take_snapshot(client)
    rates.observe(found["services"][keys.WEBHOOK_DELIVERY])
    found["delivery"]["per_second"] = rates.per_second
    return found


class TopSource:
    """Source of view models. If Redis fails after the first read, it returns the last one, marked as old."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._builder = ViewModelBuilder()
        self._began = time.monotonic()
        self._last: ViewModel | None = None
        self._lost_at: str | None = None

    def read(self) -> ViewModel:
        seconds = time.monotonic() - self._began
        try:
            self._last = self._builder.build(status.take_snapshot(self._client), seconds)
        except redis.RedisError as error:
            if self._last is None:
                raise
            self._lost_at = self._lost_at or time.strftime("%H:%M:%S")
            lost = plain(f"no answer from Redis since {self._lost_at}: {error}")
            return replace(self._last, seconds=seconds, lost=lost)
        self._lost_at = None
        return self._last


def _watch(source: TopSource, screen: Display, step_seconds: float, interrupts: Interrupts) -> None:
    stdin = [sys.stdin.fileno()] if sys.stdin.isatty() else []
    while not interrupts.count:
        screen.show(source.read())
        if not sys.stdout.isatty():
            sys.stdout.flush()
        if interrupts.wait(step_seconds, *stdin) and _quits(os.read(stdin[0], 64)):
            return


def _quits(typed: bytes) -> bool:
    """Return whether a quit key was typed, or stdin has ended."""
    return not typed or any(key in _QUIT for key in typed)
