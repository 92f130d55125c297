"""Each benchmark runs in its short form. Figures are not checked: the machine is busy with other tests."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.browser import require_chromium
from tests.support.farm_processes import CHECKOUT

BENCHMARKS = CHECKOUT / "benchmarks"
NAMES = sorted(path.stem for path in BENCHMARKS.glob("*.py"))
PLOTTED = {"delivery_throughput", "outage", "peers", "scale", "slow_receivers", "soak"}
NEEDS_CHROMIUM = {"dashboard"}
PATIENCE_SECONDS = 300


def quick(name: str, place: Path, *options: str) -> tuple[int, str]:
    """Exit status and output of a benchmark's short form; its results are in `place`."""
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--quick", "--save", str(place), *options]
    output = place / "output"
    with output.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            process.wait(PATIENCE_SECONDS)
        finally:
            process.terminate()
    return process.returncode, output.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs_in_its_short_form(name: str, tmp_path: Path) -> None:
    if name in NEEDS_CHROMIUM:
        require_chromium()
    status, output = quick(name, tmp_path)
    assert status == 0, output
    assert output.startswith("conditions  ")
    [saved] = tmp_path.glob("*.json")
    result = json.loads(saved.read_text())
    assert (result["benchmark"], result["knobs"].keys() & {"json", "save", "quick"}) == (name, set())
    plots = list(tmp_path.glob("*.svg"))
    assert len(plots) == (name in PLOTTED)
    assert all(ElementTree.parse(path).getroot().tag.endswith("svg") for path in plots)


def test_another_checkout_runs_in_the_same_rounds(tmp_path: Path) -> None:
    status, output = quick("delivery_throughput", tmp_path, "--no-latency", "--base", str(CHECKOUT))
    assert status == 0, output
    [saved] = tmp_path.glob("*.json")
    result = json.loads(saved.read_text())
    assert len(result["base_runs"]) == len(result["runs"]) == 1
    assert result["of_base"]["deliveries_per_second"]["median"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_has_every_benchmark(name: str) -> None:
    assert f"benchmarks/{name}.py" in (BENCHMARKS / "README.md").read_text()
