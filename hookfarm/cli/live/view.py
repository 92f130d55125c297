"""The live view: renders a view model for a terminal of at least 80 columns."""

from collections import Counter
from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hookfarm.cli.live.view_model import AuditCounts, ChainLine, NodeSummary, Quantiles, ServiceLine, ViewModel
from hookfarm.cli.output import UNKNOWN, count, duration, elapsed, rate, sparkline
from hookfarm.store import keys

MAX_WIDTH = 100
RIGHT_WIDTH = 34
SPARKLINE_SECONDS = 34
WORKERS_PER_ROW = 10
MAX_IN_ROWS_OF_TEN = 60
WORKERS_PER_DENSE_ROW = 30
MAX_WORKERS_SHOWN = 10 * WORKERS_PER_DENSE_ROW

ACTIVITIES = {
    "b": ("blocked in BRPOP", "■", "#", "green"),
    "p": ("posting", "●", "o", "bold cyan"),
    "r": ("restarting", "○", "r", "yellow"),
    "s": ("stalled", "✗", "s", "bold red"),
}  # fmt: skip
"""Letter of the status field `activity` -> label, glyph, ASCII glyph, colour."""
_UNKNOWN_ACTIVITY = ("unknown", "?", "?", "dim")
_Row = tuple[str, RenderableType, str]
"""Label, number, remark."""


class FarmView:
    """Renderable of a view model, in ASCII if the terminal lacks the glyphs."""

    def __init__(self, model: ViewModel, title: str) -> None:
        self._model = model
        self._title = title

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        yield Constrain(render(self._model, self._title, ascii_only=options.ascii_only), MAX_WIDTH)


def render(model: ViewModel, title: str, *, ascii_only: bool = False) -> RenderableType:
    """Return the view: throughput on the left, workers and their queue on the right."""
    left = Group(_flow(model, ascii_only), _latencies(model), _endpoints(model))
    right = Group(_workers(model.activity, ascii_only=ascii_only), _queue(model))
    body = Table.grid(expand=True)
    body.add_column(ratio=1)
    body.add_column(width=RIGHT_WIDTH)
    body.add_row(left, right)
    latest = [_latest(model.audit.latest)] if model.audit else []
    lost = [Text(f" {model.lost}", style="red", no_wrap=True, overflow="ellipsis")] if model.lost else []
    more = [*_under_way(model), *_nodes(model.chains)]
    return Group(_headline(model, title), body, *latest, *lost, *_problems(model.services), *more)


def _headline(model: ViewModel, title: str) -> RenderableType:
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(ratio=1)
    line.add_column(justify="right")
    state = _state(model)
    line.add_row(Text.assemble(" ", (title, "bold"), "  ", elapsed(model.seconds)), state)
    return line


def _state(model: ViewModel) -> Text:
    if model.lost:
        return Text("no connection ", style="bold red")
    if model.draining:
        return Text("waiting for the last webhooks ", style="yellow")
    if not any(service.workers for service in model.services):
        return Text("no farm ", style="red")
    ready = all(service.is_well for service in model.services if service.workers)
    return Text("ready ", style="bold green") if ready else Text("not ready ", style="bold red")


def _flow(model: ViewModel, ascii_only: bool) -> RenderableType:
    audit = model.audit
    rows = [row for chain in model.chains for row in _chain(chain, of_demo=audit is not None)] or [
        ("chain", count(None), "")
    ]
    if audit is not None:
        rows.insert(1, ("emitted", count(audit.emitted), "logs on the chain"))
    failures = f"{count(model.failed_attempts)} failed, {count(model.dead)} dead"
    rows.append(("delivered", count(model.delivered), failures))
    if audit is not None:
        rows.append(("verified", _verified(audit), "by the receiver"))
    rows.append(("per second", rate(model.per_second), ""))
    bars = Text(sparkline(model.recent[-SPARKLINE_SECONDS:], ascii_only=ascii_only), style="cyan")
    return _panel("chain to webhook", _rows(rows), Text(), bars)


def _chain(chain: ChainLine, *, of_demo: bool) -> list[_Row]:
    """Return the rows of a chain; the demo omits its single node."""
    nodes = None if of_demo else chain.nodes
    return [
        (f"chain {chain.chain_id}", count(chain.head), _behind(chain)),
        ("events", count(chain.published), "published"),
        ("stream", count(chain.waiting), "waiting"),
        *([("nodes", f"{nodes.usable} of {nodes.all}", _cost(nodes))] if nodes else []),
    ]


def _cost(nodes: NodeSummary) -> str:
    return f"{rate(nodes.requests_per_block)} req/block"


def _behind(chain: ChainLine) -> str:
    if not chain.lag_blocks:
        return "head"
    late = "" if not chain.lag_seconds else f", {elapsed(chain.lag_seconds)}"
    return f"{count(chain.lag_blocks)} behind{late}"


def _verified(audit: AuditCounts) -> Text:
    return Text(count(audit.verified), style="green" if audit.verified == audit.emitted else "yellow")


def _latencies(model: ViewModel) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=19)
    table.add_column(justify="right", width=8)
    table.add_column(justify="right", width=8)
    table.add_row("", Text("p50", style="dim"), Text("p99", style="dim"))
    for label, quantiles in (("POST", model.post), ("queued to delivered", model.queued_to_delivered)):
        table.add_row(label, *_pair(quantiles))
    return _panel("latency", table)


def _pair(quantiles: Quantiles) -> tuple[str, str]:
    return duration(quantiles.p50), duration(quantiles.p99)


def _workers(activity: str, *, ascii_only: bool = False) -> RenderableType:
    """Return the delivery processes as a grid; `activity` has a letter for each; unknown letters become `?`."""
    title = f"{len(activity)} workers" if activity else "workers"
    content = Group(*_worker_grid(activity, ascii_only), Text(), _worker_legend(activity, ascii_only))
    return _panel(title, content)


def _worker_grid(activity: str, ascii_only: bool) -> Iterator[Text]:
    roomy = len(activity) <= MAX_IN_ROWS_OF_TEN
    length, gap = (WORKERS_PER_ROW, " ") if roomy else (WORKERS_PER_DENSE_ROW, "")
    shown = activity[:MAX_WORKERS_SHOWN]
    for start in range(0, len(shown), length):
        row = Text(no_wrap=True)
        for letter in shown[start : start + length]:
            _, glyph, plain, colour = ACTIVITIES.get(letter, _UNKNOWN_ACTIVITY)
            row.append((plain if ascii_only else glyph) + gap, style=colour)
        yield row
    if len(activity) > MAX_WORKERS_SHOWN:
        yield Text(f"and {len(activity) - MAX_WORKERS_SHOWN:,} more", style="dim")


def _worker_legend(activity: str, ascii_only: bool) -> Table:
    counts = Counter(activity)
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", min_width=3)
    table.add_column()
    table.add_column()
    for letter, (words, glyph, plain, colour) in ACTIVITIES.items():
        mark = Text(plain if ascii_only else glyph, style=colour)
        number = counts[letter]
        table.add_row(f"{number:,}", mark, Text(words, style="" if number else "dim"))
    return table


def _queue(model: ViewModel) -> RenderableType:
    depths = model.queue or {}
    table = Table.grid(padding=(0, 1))
    for _ in range(2):
        table.add_column(width=6)
        table.add_column(justify="right", width=7)
    for first, second in (("queued", "open"), ("parked", "retry")):
        table.add_row(first, count(depths.get(first)), second, count(depths.get(second)))
    table.add_row("dead", count(depths.get("dead")))
    unconfirmed = Table.grid(padding=(0, 1))
    unconfirmed.add_column(width=21)
    unconfirmed.add_column(justify="right", width=7)
    unconfirmed.add_row("not confirmed yet", count(depths.get("unconfirmed")))
    return _panel(keys.DELIVERY_QUEUE, table, unconfirmed)


def _endpoints(model: ViewModel) -> RenderableType:
    counts = model.endpoints
    if counts is None:
        return _panel("endpoints", Text(UNKNOWN))
    circuits = (f"{count(counts.circuit_open)} circuit open", "yellow" if counts.circuit_open else "")
    shown = f"{count(counts.enabled)} enabled  {count(counts.total - counts.enabled)} disabled  "
    return _panel("endpoints", Text.assemble(shown, circuits, no_wrap=True, overflow="crop"))


def _latest(latest: Iterable[str]) -> RenderableType:
    lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in latest]
    return _panel("latest webhooks", *lines)


def _problems(services: Iterable[ServiceLine]) -> list[Text]:
    """Return a line for each service that is not ready or has a stale status."""
    lines = []
    for service in services:
        if not service.is_well:
            lines.append(Text(f" {_problem(service)}", style="red", no_wrap=True, overflow="ellipsis"))
    return lines


def _under_way(model: ViewModel) -> list[Text]:
    """Return a line for each chain that is catching up, and for each backfill."""
    chains = [f"chain {chain.chain_id}: {chain.catch_up}" for chain in model.chains if chain.catch_up]
    backfills = [f"backfill {line}" for line in model.backfills]
    return [Text(f" {line}", no_wrap=True, overflow="ellipsis") for line in (*chains, *backfills)]


def _nodes(chains: Iterable[ChainLine]) -> list[Text]:
    """Return a line for the active node, if there are several, and one for each unusable node."""
    lines = []
    for chain in chains:
        if chain.nodes is not None and chain.nodes.all > 1:
            active = f" chain {chain.chain_id}: {chain.nodes.active} is active"
            lines.append(Text(active, style="dim", no_wrap=True, overflow="ellipsis"))
        for problem in chain.nodes.problems if chain.nodes is not None else ():
            lines.append(Text(f" {problem}", style="yellow", no_wrap=True, overflow="ellipsis"))
    return lines


def _problem(service: ServiceLine) -> str:
    if service.silent is not None:
        return f"{service.name}: no status for {service.silent:.0f} s"
    return f"{service.name} not ready" + (f": {service.reason}" if service.reason else "")


def _rows(rows: Iterable[_Row]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", min_width=9, no_wrap=True)
    table.add_column(style="dim", no_wrap=True, overflow="crop")
    for row in rows:
        table.add_row(*row)
    return table


def _panel(title: str, *content: RenderableType) -> Panel:
    return Panel(Group(*content), title=Text(title), title_align="left", border_style="dim", padding=(0, 1))
