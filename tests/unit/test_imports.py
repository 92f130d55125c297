"""The order of imports: down only, never sideways or up (the layers of docs/architecture.md)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hookfarm

PACKAGE = Path(hookfarm.__file__).parent
PARTS = tuple(sorted(p.stem for p in PACKAGE.iterdir() if (p / "__init__.py").exists() or p.suffix == ".py"))

LAYERS = (
    ("errors", "backoff", "event_loop", "timestamps"),
    ("security", "abi", "rates"),
    ("logs", "conditions", "config"),
    ("records", "store"),
    ("farm", "event_stream", "registry", "metrics"),
    ("chain", "delivery_queue", "outage", "devchain"),
    ("matching", "deliveries"),
    ("http_client",),
    ("tracing",),
    ("event_ingestor", "message_processor", "webhook_delivery", "backfill", "receiver"),
    ("status", "sample_webhooks"),
    ("api", "keeper"),
    ("launcher",),
    ("cli",),
)
OUTSIDE = {"__init__", "__main__"}
STDLIB_ONLY_FARM = {"backoff", "errors", "logs", "security"}


def imports_of(part: str) -> set[str]:
    """The parts of hookfarm that any module of `part` imports, inside functions too."""
    place = PACKAGE / part
    files = list(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    found: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    parts = {name.split(".")[1] for name in found if name.startswith("hookfarm.")}
    return parts & set(PARTS) - {part}


def layer_of(part: str) -> int:
    [index] = [index for index, parts in enumerate(LAYERS) if part in parts]
    return index


def test_every_part_has_a_layer() -> None:
    assert {part for layer in LAYERS for part in layer} == set(PARTS) - OUTSIDE


@pytest.mark.parametrize("part", sorted(set(PARTS) - OUTSIDE))
def test_a_part_imports_only_from_layers_below(part: str) -> None:
    wrong = {other for other in imports_of(part) if layer_of(other) >= layer_of(part)}
    assert not wrong, f"{part} imports {wrong} sideways or up"


def test_the_farm_knows_no_redis_no_http_and_no_chain() -> None:
    assert imports_of("farm") <= STDLIB_ONLY_FARM


def test_only_the_farm_forks() -> None:
    forking = [
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if any(call in file.read_text() for call in ("os.fork(", "subprocess.", "multiprocessing."))
    ]
    assert forking == ["farm/spawn.py"]


def test_only_config_reads_the_environment() -> None:
    reading = [str(f.relative_to(PACKAGE)) for f in PACKAGE.rglob("*.py") if "os.environ" in f.read_text()]
    assert reading == ["config/settings.py"]


def test_a_delivery_process_loads_neither_web3_nor_pydantic_nor_the_api() -> None:
    code = "import sys, hookfarm.webhook_delivery.process, hookfarm.launcher.plan\nprint(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    unwanted = {"web3", "pydantic", "fastapi", "uvicorn", "aiohttp", "eth_abi", "eth_hash", "rich"}
    assert not unwanted & set(said.split())
