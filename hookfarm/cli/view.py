"""The live view: a snapshot -> what the terminal shows. Pure; made for 80 columns, and for more."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hookfarm.cli.view_numbers import UNKNOWN, count, duration, elapsed, rate, sparkline
from hookfarm.cli.view_snapshot import ChainLine, Nodes, Proof, Quantiles, ServiceLine, Snapshot
from hookfarm.cli.view_workers import workers
from hookfarm.store import keys

WIDEST = 100
RIGHT_WIDTH = 34
SPARKLINE_SECONDS = 34
_Row = tuple[str, RenderableType, str]
"""A label, a number, and what is to be said of it."""


class View:
    """One snapshot, in the glyphs that the terminal has."""

    def __init__(self, snapshot: Snapshot, title: str) -> None:
        self._snapshot = snapshot
        self._title = title

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        yield Constrain(render(self._snapshot, self._title, ascii_only=options.ascii_only), WIDEST)


def render(snapshot: Snapshot, title: str, *, ascii_only: bool = False) -> RenderableType:
    """The whole view: what flows on the left, the workers and what waits for them on the right."""
    left = Group(_flow(snapshot, ascii_only), _latencies(snapshot), _endpoints(snapshot))
    right = Group(workers(snapshot.activity, ascii_only=ascii_only), _queue(snapshot))
    body = Table.grid(expand=True)
    body.add_column(ratio=1)
    body.add_column(width=RIGHT_WIDTH)
    body.add_row(left, right)
    latest = [_latest(snapshot.proof.latest)] if snapshot.proof else []
    lost = [Text(f" {snapshot.lost}", style="red", no_wrap=True, overflow="ellipsis")] if snapshot.lost else []
    more = [*_under_way(snapshot), *_nodes(snapshot.chains)]
    return Group(_headline(snapshot, title), body, *latest, *lost, *_troubles(snapshot.services), *more)


def _headline(snapshot: Snapshot, title: str) -> RenderableType:
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(ratio=1)
    line.add_column(justify="right")
    state = _state(snapshot)
    line.add_row(Text.assemble(" ", (title, "bold"), "  ", elapsed(snapshot.seconds)), state)
    return line


def _state(snapshot: Snapshot) -> Text:
    if snapshot.lost:
        return Text("no connection ", style="bold red")
    if snapshot.draining:
        return Text("waiting for the last webhooks ", style="yellow")
    if not any(service.workers for service in snapshot.services):
        return Text("no farm ", style="red")
    ready = all(service.well for service in snapshot.services if service.workers)
    return Text("ready ", style="bold green") if ready else Text("not ready ", style="bold red")


def _flow(snapshot: Snapshot, ascii_only: bool) -> RenderableType:
    proof = snapshot.proof
    rows = [row for chain in snapshot.chains for row in _chain(chain, of_demo=proof is not None)] or [
        ("chain", count(None), "")
    ]
    if proof is not None:
        rows.insert(1, ("emitted", count(proof.emitted), "logs on the chain"))
    failures = f"{count(snapshot.failed_attempts)} failed, {count(snapshot.dead)} dead"
    rows.append(("delivered", count(snapshot.delivered), failures))
    if proof is not None:
        rows.append(("verified", _verified(proof), "by the receiver"))
    rows.append(("per second", rate(snapshot.per_second), ""))
    bars = Text(sparkline(snapshot.recent[-SPARKLINE_SECONDS:], ascii_only=ascii_only), style="cyan")
    return _panel("chain to webhook", _rows(rows), Text(), bars)


def _chain(chain: ChainLine, *, of_demo: bool) -> list[_Row]:
    """A demo has one node of its own, and no line to spare on a small terminal."""
    nodes = None if of_demo else chain.nodes
    return [
        (f"chain {chain.chain_id}", count(chain.head), _behind(chain)),
        ("events", count(chain.published), "published"),
        ("stream", count(chain.waiting), "waiting"),
        *([("nodes", f"{nodes.usable} of {nodes.all}", _cost(nodes))] if nodes else []),
    ]


def _cost(nodes: Nodes) -> str:
    return f"{rate(nodes.requests_per_block)} req/block"


def _behind(chain: ChainLine) -> str:
    if not chain.lag_blocks:
        return "head"
    late = "" if not chain.lag_seconds else f", {elapsed(chain.lag_seconds)}"
    return f"{count(chain.lag_blocks)} behind{late}"


def _verified(proof: Proof) -> Text:
    return Text(count(proof.verified), style="green" if proof.verified == proof.emitted else "yellow")


def _latencies(snapshot: Snapshot) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=19)
    table.add_column(justify="right", width=8)
    table.add_column(justify="right", width=8)
    table.add_row("", Text("p50", style="dim"), Text("p99", style="dim"))
    for label, quantiles in (("POST", snapshot.post), ("queued to delivered", snapshot.queued_to_delivered)):
        table.add_row(label, *_pair(quantiles))
    return _panel("latency", table)


def _pair(quantiles: Quantiles) -> tuple[str, str]:
    return duration(quantiles.p50), duration(quantiles.p99)


def _queue(snapshot: Snapshot) -> RenderableType:
    depths = snapshot.queue or {}
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


def _endpoints(snapshot: Snapshot) -> RenderableType:
    told = snapshot.endpoints
    if told is None:
        return _panel("endpoints", Text(UNKNOWN))
    circuits = (f"{count(told.circuit_open)} circuit open", "yellow" if told.circuit_open else "")
    shown = f"{count(told.enabled)} enabled  {count(told.total - told.enabled)} disabled  "
    return _panel("endpoints", Text.assemble(shown, circuits, no_wrap=True, overflow="crop"))


def _latest(latest: Iterable[str]) -> RenderableType:
    lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in latest]
    return _panel("latest webhooks", *lines)


def _troubles(services: Iterable[ServiceLine]) -> list[Text]:
    """A line for each service that is not ready, or of which nothing is heard, and why."""
    lines = []
    for service in services:
        if not service.well:
            lines.append(Text(f" {_trouble(service)}", style="red", no_wrap=True, overflow="ellipsis"))
    return lines


def _under_way(snapshot: Snapshot) -> list[Text]:
    """A line for each chain that catches up, and for each backfill."""
    chains = [f"chain {chain.chain_id}: {chain.catch_up}" for chain in snapshot.chains if chain.catch_up]
    backfills = [f"backfill {line}" for line in snapshot.backfills]
    return [Text(f" {line}", no_wrap=True, overflow="ellipsis") for line in (*chains, *backfills)]


def _nodes(chains: Iterable[ChainLine]) -> list[Text]:
    """The active node where there are several, and a line for each in cooldown."""
    lines = []
    for chain in chains:
        if chain.nodes is not None and chain.nodes.all > 1:
            active = f" chain {chain.chain_id}: {chain.nodes.active} is active"
            lines.append(Text(active, style="dim", no_wrap=True, overflow="ellipsis"))
        for trouble in chain.nodes.troubles if chain.nodes is not None else ():
            lines.append(Text(f" {trouble}", style="yellow", no_wrap=True, overflow="ellipsis"))
    return lines


def _trouble(service: ServiceLine) -> str:
    if service.silent is not None:
        return f"{service.name}: nothing heard of it for {service.silent:.0f} s"
    return f"{service.name} not ready" + (f": {service.why}" if service.why else "")


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
