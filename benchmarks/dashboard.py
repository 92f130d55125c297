"""Fluidity of the dashboard with a large delivery log and a busy farm.

    python benchmarks/dashboard.py [--endpoints 100000] [--deliveries 1000000] [--rate 300] [--workers 50]
        [--seconds 8] [--rounds 5] [--minutes 1.5] [--json FILE|-] [--insist]

Headless Chromium on the same machine is a load itself. So the page is first measured on an empty, idle farm. Then
it is measured on a farm with the delivery log of support/record.py and `--rate` webhooks a second to 20 endpoints:

1. Each view is watched for `--seconds`: frames, frames over 50 ms, the longest frame, tasks over 50 ms, and the
   page thread's share of a core.
2. Each click is made `--rounds` times: ms until the frame that shows its result.
3. All views are visited in turn for `--minutes`: the page's memory before and after.
"""

import argparse
import contextlib
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from support import program, record, report
from support.browser import Page, find_chromium, open_page
from support.environment import Environment, directory, running_environment
from support.farm import running_farm
from support.limits import Figures
from support.receivers import find_nginx
from support.redis_server import running_redis
from support.waiting import until
from support.webhooks import Enqueuer, add_endpoint, pace

from hookfarm.delivery_queue import read_depths
from hookfarm.store import keys

RECEIVERS = 20
PREPARED_SECONDS = 1.0


class Click(NamedTuple):
    """A click or an input, and the request or element that marks its result."""

    name: str
    selector: str
    value: str | None = None
    asked: str = ""
    shown: str = ""


def _tab(name: str, path: str) -> Click:
    return Click(f"tab {name}", f'#tabs a[href="#/{path}"]', asked=f"/v1/{path}\\?limit=50$")


OVERVIEW = Click("tab Overview", '#tabs a[href="#/"]', shown="main .overview canvas")
ENDPOINTS = _tab("Endpoints", "endpoints")
DELIVERIES = _tab("Deliveries", "deliveries")
DEAD_LETTERS = _tab("Dead letters", "dead-letters")
TABS = (ENDPOINTS, DELIVERIES, DEAD_LETTERS, OVERVIEW)
_OLDER, _NEWER = ".list footer button:last-child", ".list footer button:nth-last-child(2)"
_STATE, _RESULT, _TIME, _REASON = (
    f'select[aria-label="{name}"]' for name in ("State", "Result", "Time", "Reason")
)
CLICKS = (
    ENDPOINTS,
    Click("endpoints: older", _OLDER, asked="/v1/endpoints.*cursor="),
    Click("endpoints: newer", _NEWER, asked=r"/v1/endpoints\?limit=50$"),
    Click("endpoints: enabled", _STATE, "enabled=true", "/v1/endpoints.*enabled=true"),
    Click(
        "endpoints: search, 250 ms of it pause", "input[type=search]", "customer 99", "/v1/endpoints.*q=customer"
    ),
    DELIVERIES,
    Click("deliveries: older", _OLDER, asked="/v1/deliveries.*cursor="),
    Click("deliveries: newer", _NEWER, asked=r"/v1/deliveries\?limit=50$"),
    Click("deliveries: failed", _RESULT, "failed", "/v1/deliveries.*status=failed"),
    Click("deliveries: in retry", _RESULT, "retry", "/v1/deliveries.*status=retry"),
    Click("deliveries: dead", _RESULT, "dead", "/v1/deliveries.*status=dead"),
    Click("deliveries: all", _RESULT, "", r"/v1/deliveries\?limit=50$"),
    Click("deliveries: last hour", _TIME, "60", "/v1/deliveries.*since="),
    Click("deliveries: one", "tbody .row-link", shown="dialog .attempts li"),
    DEAD_LETTERS,
    Click("dead letters: older", _OLDER, asked="/v1/dead-letters.*cursor="),
    Click("dead letters: workers lost", _REASON, "worker_lost", "/v1/dead-letters.*reason=worker_lost"),
    OVERVIEW,
)

QUICK = {
    "endpoints": 500,
    "deliveries": 20_000,
    "rate": 50.0,
    "workers": 5,
    "seconds": 0.5,
    "rounds": 1,
    "minutes": 0.05,
}


def main() -> int:
    options = _options()
    chromium, nginx = find_chromium(), find_nginx()
    if chromium is None:
        print("no Chromium: install it, or name it in HOOKFARM_CHROMIUM", file=sys.stderr)
        return 2
    result = program.begin("dashboard", options, program.knobs(options), nginx)
    empty = _empty(chromium, options)
    _print_watched("an empty farm", empty["watched"])
    loaded = _loaded(chromium, nginx, options)
    title = f"{loaded['delivered_per_second']:.0f} deliveries/s, {options.deliveries:,} deliveries on record"
    _print_watched(title, loaded["watched"])
    _print_clicks(empty["clicks"], loaded["clicks"])
    report.print_numbers("the page's memory", loaded["memory"])
    program.finish(options, {**result, "empty": empty, "loaded": loaded})
    return 0


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--endpoints", type=int, default=100_000)
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=300, help="webhooks a second meanwhile")
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=8, help="duration per view")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of clicks")
    parser.add_argument("--minutes", type=float, default=1.5, help="between the two measurements of memory")
    return program.parse(parser, QUICK)


def _empty(chromium: Path, options: argparse.Namespace) -> Figures:
    with (
        directory() as place,
        running_redis(place / "redis") as server,
        _dashboard(place, server.url, options.workers) as address,
        _page(chromium, address) as page,
    ):
        watched = {tab.name: _watched(page, tab, options.seconds) for tab in TABS}
        return {"watched": watched, "clicks": _clicked(page, TABS, options.rounds)}


def _loaded(chromium: Path, nginx: Path | None, options: argparse.Namespace) -> Figures:
    with running_environment(nginx) as environment:
        record.fill(environment.server.client, options.endpoints, options.deliveries)
        until(environment.server.settled, "the rewrite of the append-only file", within_seconds=300)
        with (
            _dashboard(environment.place, environment.server.url, options.workers) as address,
            _load(environment, options.rate) as load,
            _page(chromium, address) as page,
        ):
            watched = {tab.name: _watched(page, tab, options.seconds) for tab in TABS}
            clicks = _clicked(page, CLICKS, options.rounds)
            memory = _memory(page, 60 * options.minutes)
            return {
                "watched": watched, "clicks": clicks, "memory": memory, "delivered_per_second": load.per_second()
            }  # fmt: skip


@contextlib.contextmanager
def _dashboard(place: Path, redis_url: str, workers: int) -> Iterator[str]:
    """Run a farm with a dashboard; yield the dashboard's address."""
    options = ("--redis-url", redis_url, "--workers", str(workers), "--api", "127.0.0.1:0")
    said = (place / "farm").with_suffix(".out")
    with running_farm(place / "farm", *options, services=(keys.WEBHOOK_DELIVERY, "api")) as farm:

        def address() -> str:
            farm.check_alive()
            found = re.search(r"http://\S+/#token=\S+(?=\n)", said.read_text())
            return found[0] if found else ""

        yield until(address, "the address of the dashboard", within_seconds=60)


def _page(chromium: Path, address: str) -> contextlib.AbstractContextManager[Page]:
    return open_page(chromium, address, ".link-state.live")


@dataclass
class Load:
    """Webhooks that are enqueued during the measurement."""

    began: float
    handed_off: int = 0

    def per_second(self) -> float:
        return round(self.handed_off / (time.monotonic() - self.began), 1)


@contextlib.contextmanager
def _load(environment: Environment, rate: float) -> Iterator[Load]:
    """Enqueue webhooks at a rate. Raises RuntimeError at the end if enqueueing failed or webhooks are missing."""
    secret = environment.endpoint.secrets[0][0]
    endpoints = [
        add_endpoint(environment.server.client, f"{environment.receiver.url}/{n}", secret)
        for n in range(RECEIVERS)
    ]
    enqueuer = Enqueuer(environment.server.url, *endpoints)
    load, stopping, failed = Load(time.monotonic()), threading.Event(), list[Exception]()

    def work() -> None:
        try:
            while not stopping.is_set():
                load.handed_off += len(pace(enqueuer, enqueuer.prepare(int(rate * PREPARED_SECONDS)), rate))
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield load
    finally:
        stopping.set()
        thread.join()
        enqueuer.close()
    if failed:
        raise RuntimeError("the load stopped") from failed[0]
    until(lambda: read_depths(environment.server.client).open == 0, "the delivery of all jobs")


def _watched(page: Page, tab: Click, seconds: float) -> dict[str, float]:
    _do(page, tab)
    return page.watch(seconds)


def _clicked(page: Page, clicks: Sequence[Click], rounds: int) -> dict[str, dict[str, float]]:
    took: dict[str, list[float]] = {click.name: [] for click in clicks}
    for _ in range(rounds):
        for click in clicks:
            took[click.name].append(_do(page, click))
            if page.count("dialog[open]"):
                page.press("Escape")
    return {name: {"p50": report.quantile(ms, 0.5), "max": max(ms)} for name, ms in took.items()}


def _do(page: Page, click: Click) -> float:
    """Make a click; return the ms until its result. Raises RuntimeError if the page shows an alert."""
    took = page.act(click.selector, click.value, click.asked, click.shown)
    if page.count(".list > .alert:not([hidden])"):
        raise RuntimeError(f"{click.name}: the page shows a problem")
    return took


def _memory(page: Page, seconds: float) -> Figures:
    """Return the page's memory before and after visiting all views in turn for `seconds`."""
    ends = time.monotonic() + seconds
    before, turns = page.memory(), 0
    while time.monotonic() < ends:
        for tab in TABS:
            _do(page, tab)
            page.watch(1.0)
        turns += 1
    return {"before": before, "after": page.memory(), "rounds_of_all_views": turns}


def _print_watched(title: str, watched: dict[str, dict[str, float]]) -> None:
    header = ("watched", "frames", "over 50 ms", "longest ms", "long tasks", "longest ms", "at work")
    rows = [
        (
            name, f"{one['frames']:.0f}", f"{one['frames_over_50_ms']:.0f}", f"{one['longest_frame_ms']:.0f}",
            f"{one['long_tasks']:.0f}", f"{one['longest_task_ms']:.0f}", f"{one['busy_share']:.1%}",
        )
        for name, one in watched.items()
    ]  # fmt: skip
    report.print_table(title, header, rows)


def _print_clicks(empty: dict[str, dict[str, float]], loaded: dict[str, dict[str, float]]) -> None:
    def shown(found: dict[str, float] | None) -> tuple[str, str]:
        return (f"{found['p50']:.0f}", f"{found['max']:.0f}") if found else ("", "")

    rows = [(name, *shown(found), *shown(empty.get(name))) for name, found in loaded.items()]
    report.print_table("ms until painted", ("click", "p50", "max", "empty: p50", "max"), rows)


if __name__ == "__main__":
    sys.exit(main())
