"""What Prometheus would see of a running farm."""

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

import psutil
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.support.farm_processes import FarmProcess

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@dataclass(frozen=True)
class Scrape:
    """All samples of one answer, by name as it stands in an expression."""

    text: str
    samples: Mapping[str, tuple[tuple[Mapping[str, str], float], ...]]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; the metric must be there."""
        return sum(value for found, value in self.samples[name] if labels.items() <= found.items())

    def values_of(self, name: str, label: str) -> set[str]:
        return {labels[label] for labels, _ in self.samples.get(name, ()) if label in labels}

    def labels_of(self, name: str) -> set[str]:
        return {label for labels, _ in self.samples.get(name, ()) for label in labels}


def api_address(farm: FarmProcess) -> str:
    """Where its API listens now; started anew on no port in particular, it takes another one."""
    connections = farm.children()["api 0"].net_connections(kind="tcp")
    [port] = {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}
    return f"http://127.0.0.1:{port}"


def scrape(farm: FarmProcess) -> Scrape:
    """One scrape as text; another one, as OpenMetrics, must be well-formed too."""
    text = _get(farm, "text/plain")
    named: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            named.setdefault(sample.name, []).append((sample.labels, sample.value))
    assert list(openmetrics.text_string_to_metric_families(_get(farm, OPENMETRICS)))
    return Scrape(text, {name: tuple(samples) for name, samples in named.items()})


def _get(farm: FarmProcess, accept: str) -> str:
    request = urllib.request.Request(f"{api_address(farm)}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith(accept.partition(";")[0])
        content: bytes = answer.read()
    return content.decode()
