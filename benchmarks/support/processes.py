"""Processes that a benchmark starts, and what they cost."""

import contextlib
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from support.conditions import busy_seconds

STOP_SECONDS = 30.0


@dataclass(frozen=True)
class CpuTime:
    """Seconds of CPU, as the kernel accounts them (per process to 10 ms)."""

    user: float = 0.0
    system: float = 0.0

    def __add__(self, other: "CpuTime") -> "CpuTime":
        return CpuTime(self.user + other.user, self.system + other.system)

    def __sub__(self, other: "CpuTime") -> "CpuTime":
        return CpuTime(self.user - other.user, self.system - other.system)

    @property
    def total(self) -> float:
        return self.user + self.system

    def per(self, count: float) -> dict[str, float]:
        """Microseconds for each of `count`."""
        parts = {"user": self.user, "system": self.system, "total": self.total}
        return {name: round(1e6 * seconds / count, 2) for name, seconds in parts.items()}


Groups = dict[str, list[psutil.Process]]
"""Processes by what they do in a run."""


@dataclass(frozen=True)
class Sample:
    """How far a run was (`at`: monotonic), and the CPU time used until then; `busy` is the whole machine's."""

    at: float
    settled: int
    cpu: dict[str, CpuTime]
    busy: float


def sample(groups: Groups, settled: int, at: float | None = None) -> Sample:
    """A sample taken now; `at` where the time was read before."""
    used = {name: cpu_time(processes) for name, processes in groups.items()}
    return Sample(time.monotonic() if at is None else at, settled, used, busy_seconds())


def cpu_time(processes: Sequence[psutil.Process]) -> CpuTime:
    """What these have used since they began."""
    total = CpuTime()
    for process in processes:
        times = process.cpu_times()
        total += CpuTime(times.user, times.system)
    return total


def family(pid: int) -> list[psutil.Process]:
    """A process and all its descendants."""
    head = psutil.Process(pid)
    return [head, *head.children(recursive=True)]


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], output: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its output in a file; told to stop at the end, and killed where it does not."""
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    try:
        yield process
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]") -> int:
    """SIGTERM, and SIGKILL where that does not help; the exit status."""
    process.terminate()
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
