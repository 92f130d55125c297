"""Processes that a benchmark starts, and their CPU time."""

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
    """CPU seconds as counted by the kernel, in steps of 10 ms per process."""

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
        """Return microseconds per unit of `count`."""
        parts = {"user": self.user, "system": self.system, "total": self.total}
        return {name: round(1e6 * seconds / count, 2) for name, seconds in parts.items()}


Groups = dict[str, list[psutil.Process]]
"""Processes by their role in a run."""


@dataclass(frozen=True)
class Sample:
    """Progress and CPU time of a run at a time (`at`, monotonic); `busy` is the CPU time of the whole machine."""

    at: float
    settled: int
    cpu: dict[str, CpuTime]
    busy: float


def sample(groups: Groups, settled: int, at: float | None = None) -> Sample:
    """Take a sample now; `at` is the time if it was read before."""
    used = {name: cpu_time(processes) for name, processes in groups.items()}
    return Sample(time.monotonic() if at is None else at, settled, used, busy_seconds())


def cpu_time(processes: Sequence[psutil.Process]) -> CpuTime:
    """Return the CPU time of processes since their start."""
    total = CpuTime()
    for process in processes:
        times = process.cpu_times()
        total += CpuTime(times.user, times.system)
    return total


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants."""
    head = psutil.Process(pid)
    return [head, *head.children(recursive=True)]


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], output: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process with its output in a file; stop it at the end."""
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    try:
        yield process
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]") -> int:
    """Stop a process by SIGTERM, or by SIGKILL if it does not end; return the exit status."""
    process.terminate()
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
