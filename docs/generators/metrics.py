"""The page of metrics, from the families that the code makes for a farm with one worker of each service."""

import os
from collections.abc import Iterable, Iterator

from generators.markdown import code, codes, plain, table
from hookfarm.api import metrics as api
from hookfarm.chain.block import Head
from hookfarm.chain.node_pool import NodePool
from hookfarm.delivery_queue import Depths
from hookfarm.event_ingestor import telemetry as ingestor
from hookfarm.event_ingestor.node_telemetry import METHODS
from hookfarm.farm.scoreboard import Scoreboard, State
from hookfarm.keeper import process as keeper_process
from hookfarm.keeper import telemetry as keeper
from hookfarm.message_processor import telemetry as processor
from hookfarm.metrics import CollectedMetrics, Family
from hookfarm.status.snapshot import StreamDepths
from hookfarm.store import keys
from hookfarm.webhook_delivery import telemetry as delivery

_OPEN = {
    "chain_id": "a chain id",
    "node": "scheme, host and port of a node",
    "host": "the farm's host",
    "version": "the version of hookfarm",
    "python": "the version of Python",
}
"""Labels whose values are not known in advance."""
_PARTS = (
    ("Chain to stream", "event_ingestor_"),
    ("Stream", "event_stream_"),
    ("Stream to queue", "message_processor_"),
    ("Queue", "delivery_queue_"),
    ("Queue to endpoint", "webhook_delivery_"),
    ("The farm", "hookfarm_"),
)


def parts() -> dict[str, str]:
    found = merged()
    return {
        "tables": "\n\n".join(f"### {title}\n\n{_table(found, prefix)}" for title, prefix in _PARTS),
        "labels": table(("Label", "Value"), ((code(name), text) for name, text in _OPEN.items())),
    }


def merged() -> dict[str, Family]:
    """Return all families by name, those of one name with the samples of all."""
    found: dict[str, Family] = {}
    for family in families():
        before = found[family.name].samples if family.name in found else ()
        text = found[family.name].help if family.name in found else family.help
        found[family.name] = Family(family.name, family.kind, text, before + family.samples)
    return found


def families() -> Iterator[Family]:
    """Yield what /metrics returns for a farm whose ingestor catches up; farms add the label `host`."""
    yield from (api._build_info(), api._redis_up(1), *api._farms(CollectedMetrics((), 0)))
    streams: list[StreamDepths] = [{"chain_id": 1, "length": 0, "pending": 0, "lag": 0}]
    none = dict.fromkeys(keys.SERVICES, False)
    numbers = api.RedisNumbers(
        Depths(0, 0, 0, 0, 0), 0, 0, 0.0, {"enabled": 0, "disabled": 0}, 0, streams, none, {"used": 0, "max": 0}
    )
    yield from api.redis_families(numbers, keys.SERVICES)
    for family in keeper.families(_scoreboard(), _MEASURES, keeper_process.SERVICE):
        samples = tuple(type(sample)({**sample.labels, "host": "any"}, sample.value) for sample in family.samples)
        yield Family(family.name, family.kind, family.help, samples)


_MEASURES: dict[str, keeper.Measure] = {
    keys.MESSAGE_PROCESSOR: processor.families,
    keys.WEBHOOK_DELIVERY: delivery.families,
    keys.EVENT_INGESTOR: ingestor.families,
}


def _scoreboard() -> Scoreboard:
    found = Scoreboard({keeper_process.SERVICE: 1, **dict.fromkeys(_MEASURES, 1)})
    for service in found.services:
        [slot] = found.slots(service)
        slot.on_fork(1.0)
        slot.on_forked(os.getpid())
        slot.state = State.UP
    processor.set_chains(found.slots(keys.MESSAGE_PROCESSOR)[0], [1])
    _follow(ingestor.IngestorCounters(found.slots(keys.EVENT_INGESTOR)[0], 1))
    return found


def _follow(counters: ingestor.IngestorCounters) -> None:
    """Fill in what an ingestor counts."""
    [node] = NodePool(["wss://node.example"]).all
    counters.nodes.watch([node])
    for method in METHODS:
        node.on_call(method)
    counters.head(Head(2))
    for number in (1, 2):
        counters.checkpoint(number)
        counters.requested()
        counters.at_the_tip()
    counters._slot.set_counter(ingestor.BLOCK_TIMESTAMP, 1)
    counters.catching_up(1.0, 1.0)


def _table(found: dict[str, Family], prefix: str) -> str:
    rows = [
        (code(_name(family)), family.kind, _labels(family), plain(family.help))
        for name, family in found.items()
        if name.startswith(prefix)
    ]
    return table(("Metric", "Type", "Labels", "Meaning"), rows)


def _name(family: Family) -> str:
    return f"{family.name}_total" if family.kind == "counter" else family.name


def _labels(family: Family) -> str:
    names = dict.fromkeys(name for sample in family.samples for name in sample.labels)
    return "; ".join(_label(name, (sample.labels.get(name) for sample in family.samples)) for name in names)


def _label(name: str, values: Iterable[str | None]) -> str:
    """Return a label with its values if these are a closed set."""
    if name in _OPEN:
        return code(name)
    return f"{code(name)}: {codes(dict.fromkeys(value for value in values if value is not None))}"
