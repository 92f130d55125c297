"""`hookfarm start …` like a user's, observed from outside: processes, keys, output and leftovers."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import redis

from hookfarm.status.readiness import is_ready
from hookfarm.store import keys
from hookfarm.store.clients import command_client
from tests.support.waiting import PATIENCE_SECONDS, eventually

CHECKOUT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "hookfarm")
READY_SECONDS = 60.0
"""Deadline for a farm's start on a busy machine; tests of the start time pass their own."""
TITLE = "hookfarm: "


def environment(**variables: str) -> dict[str, str]:
    """Return a command's environment, without settings from the developer's shell."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOOKFARM_")}
    return {**kept, **variables}


def hookfarm(
    *arguments: str, within: float = READY_SECONDS, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=CHECKOUT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )


def title(process: psutil.Process) -> str:
    """Return the process title as in ps; empty for a zombie."""
    return " ".join(process.cmdline()).strip()


def processes_of_session(session: int) -> list[psutil.Process]:
    """Return all live processes of the session, with any parent, without zombies."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(psutil.Process(pid))
    return found


def kill_session(session: int) -> None:
    """Send SIGKILL to the session's processes and wait for their exit."""

    def killed() -> bool:
        left = processes_of_session(session)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return not left

    eventually(killed, what=f"the end of session {session}")


class RunningProcess:
    """A command of hookfarm in its own session; its output is readable while it runs."""

    def __init__(self, arguments: tuple[str, ...], output: Path, **variables: str) -> None:
        self._stdout, self._stderr = output / "stdout", output / "stderr"
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments],
                cwd=CHECKOUT,
                env=environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.pid = self.process.pid

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def close(self) -> None:
        """Kill the session."""
        kill_session(self.pid)
        self.process.wait()


class FarmProcess(RunningProcess):
    """A running farm. Its session contains all its processes."""

    def __init__(self, arguments: tuple[str, ...], redis_url: str, output: Path, **variables: str) -> None:
        super().__init__(("start", *arguments), output, **variables)
        self.redis_url = redis_url

    def client(self) -> "redis.Redis":
        return command_client(self.redis_url)

    def wait_ready(self, within: float = READY_SECONDS) -> "FarmProcess":
        """Wait until the farm reports that it is ready."""
        eventually(self._says_ready, within=within, what="the farm being ready")
        return self

    def missed_readiness(self) -> bool:
        """Wait until the farm is ready or has exited; return True if a service was not ready within 10 s."""
        eventually(lambda: self.ended or self._has_said_ready(), READY_SECONDS, "the farm being ready or its end")
        return self.ended and "did not signal readiness within" in self.stderr

    def _says_ready(self) -> bool:
        assert not self.ended, f"the farm ended with {self.process.returncode}: {self.stderr}"
        return self._has_said_ready()

    def _has_said_ready(self) -> bool:
        said = self.stdout
        return "hookfarm is ready" in said and said.endswith("\n")

    def is_ready(self, service: str) -> bool:
        """Return whether the ready key is set; False if Redis does not answer."""
        with contextlib.suppress(redis.RedisError), self.client() as client:
            return is_ready(client, service)
        return False

    def children(self) -> dict[str, psutil.Process]:
        """Return children by title, such as `webhook_delivery 3`; the embedded server is `redis`."""
        found = {}
        for child in psutil.Process(self.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if said := title(child):
                    found[said.removeprefix(TITLE) if said.startswith(TITLE) else "redis"] = child
        return found

    def workers(self) -> dict[str, psutil.Process]:
        wanted = f"{keys.WEBHOOK_DELIVERY} "
        return {name: child for name, child in self.children().items() if name.startswith(wanted)}

    def zombies(self) -> list[psutil.Process]:
        return [c for c in psutil.Process(self.pid).children() if c.status() == psutil.STATUS_ZOMBIE]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, within: float = PATIENCE_SECONDS) -> int:
        """Wait for the exit; return the exit code."""
        return self.process.wait(within)

    def stop(self) -> int:
        """Send SIGTERM; return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def survivors(self) -> list[psutil.Process]:
        return processes_of_session(self.pid)


StartFarm = Callable[..., FarmProcess]


@contextlib.contextmanager
def started_farms() -> Iterator[StartFarm]:
    """Yield a function that starts farms: `start("webhook_delivery", redis_url=…)`, `start(state_dir=…)`.

    At the end, farms that still run are killed.
    """
    place = Path(tempfile.mkdtemp(prefix="hf-farm-"))
    farms: list[FarmProcess] = []

    def start(
        *arguments: str, redis_url: str | None = None, state_dir: Path | None = None, **variables: str
    ) -> FarmProcess:
        output = place / str(len(farms))
        output.mkdir()
        state = state_dir or output / "state"
        options = ["--redis-url", redis_url] if redis_url else ["--state-dir", str(state)]
        url = redis_url or f"unix://{state / 'redis.sock'}"
        farm = FarmProcess((*arguments, *options), url, output, **variables)
        farms.append(farm)
        return farm

    try:
        yield start
    finally:
        for farm in farms:
            farm.close()
        shutil.rmtree(place)
