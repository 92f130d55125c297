"""Scrapes of a running farm, like Prometheus."""

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
    """All samples of one response, by metric name."""

    text: str
    samples: Mapping[str, tuple[tuple[Mapping[str, str], float], ...]]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with these labels; the metric must exist."""
        return sum(value for found, value in self.samples[name] if labels.items() <= found.items())

    def values_of(self, name: str, label: str) -> set[str]:
        return {labels[label] for labels, _ in self.samples.get(name, ()) if label in labels}

    def labels_of(self, name: str) -> set[str]:
        return {label for labels, _ in self.samples.get(name, ()) for label in labels}


def api_address(farm: FarmProcess) -> str:
    """Return the API's current address; it changes when the API restarts on port 0."""
    connections = farm.children()["api 0"].net_connections(kind="tcp")
    [port] = {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}
    return f"http://127.0.0.1:{port}"


def scrape(farm: FarmProcess) -> Scrape:
    """Return a scrape as text; check that a scrape as OpenMetrics is well-formed, too."""
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
