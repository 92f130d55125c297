"""Whether there are traces, and what is loaded for them."""

import subprocess
import sys

from hookfarm.config import load
from hookfarm.tracing import TracingSettings, tracing_settings

BLOCKED = "import sys\nfor name in {names!r}: sys.modules[name] = None\n"
START = "from hookfarm.cli.main import main\nsys.argv = ['hookfarm', 'start', 'webhook_delivery']\nmain()"


def python(code: str, *blocked: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs `code` where these modules are not installed."""
    command = [sys.executable, "-c", BLOCKED.format(names=blocked) + code]
    kept = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=kept | variables)


def test_without_an_endpoint_there_are_no_traces() -> None:
    assert tracing_settings(load({}, {})) is None


def test_the_path_of_traces_is_added_to_a_collectors_address_once() -> None:
    wanted = TracingSettings("http://h:4318/v1/traces", 0.25)
    for given in ("http://h:4318", "http://h:4318/", "http://h:4318/v1/traces"):
        assert tracing_settings(load({"otel_endpoint": given, "otel_sample_ratio": "0.25"}, {})) == wanted


def test_a_farm_without_traces_loads_nothing_that_makes_them() -> None:
    code = (
        "import hookfarm.webhook_delivery.process, hookfarm.launcher.plan\n"
        "from hookfarm.config import load\n"
        "from hookfarm.tracing import open_spans, tracing_settings\n"
        "with open_spans(tracing_settings(load({}, {})), None) as spans: print(spans)\n"
        "print(*sys.modules)"
    )
    said = python(code)
    first, modules = said.stdout.splitlines()
    assert first == "None", said.stderr
    unwanted = ("hookfarm.tracing.spans", "opentelemetry.sdk.trace", "opentelemetry.exporter", "google.protobuf")
    assert not set(unwanted) & set(modules.split())


def test_a_farm_without_traces_needs_no_opentelemetry() -> None:
    said = python(
        "import hookfarm.webhook_delivery.process, hookfarm.launcher.plan; print('fine')", "opentelemetry"
    )
    assert said.stdout == "fine\n", said.stderr


def test_traces_are_refused_in_one_line_where_the_extra_is_not_installed() -> None:
    said = python(
        START, "opentelemetry.exporter", HOOKFARM_OTEL_ENDPOINT="http://h", HOOKFARM_REDIS_URL="redis://h"
    )
    assert said.returncode == 2
    [line] = [line for line in said.stderr.splitlines() if "warning" not in line]
    assert line.startswith("hookfarm: otel-endpoint: traces need a missing package (opentelemetry.exporter")
    assert line.endswith("): pip install 'hookfarm[otel]'")
