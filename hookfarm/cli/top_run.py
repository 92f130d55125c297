"""The loop of `hookfarm top`: look, show, wait; until q, ctrl-C, or the end of the terminal."""

import os
import sys
import time
from dataclasses import replace

import click
import orjson
import redis
from rich.console import Console

from hookfarm import status
from hookfarm.cli.interrupts import Interrupts
from hookfarm.cli.tables import plain
from hookfarm.cli.view import View
from hookfarm.cli.view_display import Display, Lines, display
from hookfarm.cli.view_poller import Poller
from hookfarm.cli.view_snapshot import Snapshot
from hookfarm.status import Rates
from hookfarm.store import keys

TITLE = "hookfarm top"
ONCE_SECONDS = 1.0
"""Between the two looks that a rate takes."""
_QUIT = b"qQ\x03\x04"


def run_top(client: "redis.Redis", every_seconds: float, *, once: bool) -> None:
    """Shows the farm until told to stop, or once. RedisError where Redis does not answer the first look."""
    watch = Watch(client)
    first = watch.look()
    if once:
        time.sleep(ONCE_SECONDS if first.delivered is not None else 0)
        Console(highlight=False).print(View(watch.look(), TITLE))
        return
    with Interrupts() as interrupts:
        lines = Lines(every_seconds, at_once=True)
        with display(TITLE, lines, every_seconds, full_screen=True) as shown:
            _watch(watch, shown, max(shown.step_seconds, every_seconds), interrupts)


def run_json(client: "redis.Redis", every_seconds: float, *, once: bool) -> None:
    """A picture a line, with the rate that two looks take. RedisError ends it: a program must know."""
    rates = Rates()
    if once:
        _look(client, rates)
        time.sleep(ONCE_SECONDS)
        click.echo(orjson.dumps(_look(client, rates)))
        return
    with Interrupts() as interrupts:
        while not interrupts.count:
            click.echo(orjson.dumps(_look(client, rates)))
            interrupts.wait(every_seconds)


def _look(client: "redis.Redis", rates: Rates) -> status.Snapshot:
    found = status.take_snapshot(client)
    rates.observe(found["services"][keys.WEBHOOK_DELIVERY])
    found["delivery"]["per_second"] = rates.per_second
    return found


class Watch:
    """Looks at the farm. A look that fails after the first shows what was last seen, and since when it is old."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._poller = Poller()
        self._began = time.monotonic()
        self._last: Snapshot | None = None
        self._lost_at: str | None = None

    def look(self) -> Snapshot:
        """What there is to show now."""
        seconds = time.monotonic() - self._began
        try:
            self._last = self._poller.snapshot(status.take_snapshot(self._client), seconds)
        except redis.RedisError as error:
            if self._last is None:
                raise
            self._lost_at = self._lost_at or time.strftime("%H:%M:%S")
            return replace(
                self._last, seconds=seconds, lost=plain(f"Redis does not answer since {self._lost_at}: {error}")
            )
        self._lost_at = None
        return self._last


def _watch(watch: Watch, shown: Display, step_seconds: float, interrupts: Interrupts) -> None:
    stdin = [sys.stdin.fileno()] if sys.stdin.isatty() else []
    while not interrupts.count:
        shown.show(watch.look())
        if not sys.stdout.isatty():
            sys.stdout.flush()
        if interrupts.wait(step_seconds, *stdin) and _quits(os.read(stdin[0], 64)):
            return


def _quits(typed: bytes) -> bool:
    """Also where the terminal has ended."""
    return not typed or any(key in _QUIT for key in typed)
