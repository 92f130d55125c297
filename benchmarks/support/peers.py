"""Other task queues as contestants, each in its own virtual environment (benchmarks/peers)."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from support import report
from support.contest import Field, Processes
from support.processes import family, running
from support.webhooks import make_endpoint, match

FOLDER = Path(__file__).parents[1] / "peers"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "hookfarm-benchmarks"
ENQUEUE_SECONDS = 600.0


@dataclass(frozen=True)
class Setting:
    """Number of processes, and of concurrent tasks in each."""

    processes: int
    concurrency: int

    def __str__(self) -> str:
        return f"{self.processes} x {self.concurrency}"


@dataclass(frozen=True)
class Peer:
    """A task queue. `command` runs in its environment, once per process if `copies`. The best setting counts."""

    name: str
    command: str
    settings: tuple[Setting, ...]
    slow_settings: tuple[Setting, ...] = ()
    copies: bool = False
    own_environment: bool = True

    @property
    def module(self) -> str:
        return f"{self.name}_peer" if self.own_environment else self.name

    @property
    def requirements(self) -> Path:
        return FOLDER / "requirements" / f"{self.name}.txt"


def _settings(*pairs: tuple[int, int]) -> tuple[Setting, ...]:
    return tuple(Setting(*pair) for pair in pairs)


_ASYNC = _settings((2, 20), (2, 100), (2, 500))
_ASYNC_SLOW = _settings((2, 100), (2, 500), (2, 1000))
_CELERY = "celery -A celery_peer worker --pool prefork --concurrency {concurrency} --loglevel WARNING"
PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "celery",
            f"{_CELERY} --without-gossip --without-mingle --without-heartbeat",
            _settings((1, 4), (1, 8), (1, 50)),
        ),
        Peer(
            "dramatiq",
            "dramatiq dramatiq_peer --processes {processes} --threads {concurrency}",
            _settings((2, 8), (4, 8), (2, 32)),
        ),
        Peer(
            "rq",
            "rq worker-pool webhooks --url {redis} --num-workers {processes}"
            " --worker-class rq.worker.SimpleWorker --logging-level WARNING --quiet",
            _settings((4, 1), (8, 1), (50, 1)),
        ),
        Peer(
            "huey",
            "huey_consumer huey_peer.huey --workers {concurrency} --worker-type process --no-periodic --quiet",
            _settings((1, 8), (1, 20), (1, 50)),
        ),
        Peer(
            "arq",
            "arq arq_peer.WorkerSettings --custom-log-dict arq_peer.NO_LOG",
            _ASYNC,
            _ASYNC_SLOW,
            copies=True,
        ),
        Peer("saq", "saq saq_peer.settings --workers {processes} --quiet", _ASYNC, _ASYNC_SLOW),
        Peer(
            "taskiq",
            "taskiq worker taskiq_peer:broker --workers {processes} --max-async-tasks {concurrency}"
            " --log-level WARNING",
            _ASYNC,
            _ASYNC_SLOW,
        ),
        Peer("floor", "python {folder}/floor.py", _settings((1, 50)), own_environment=False),
    )
}
ASYNCIO_PEERS = tuple(name for name, peer in PEERS.items() if peer.slow_settings)


@dataclass(frozen=True)
class InstalledPeer:
    """A peer and the directory of its commands."""

    peer: Peer
    commands: Path

    def versions(self) -> str:
        """Return all packages of the environment with their versions."""
        frozen = subprocess.run([self.commands / "python", "-m", "pip", "freeze"], capture_output=True, text=True)
        return ", ".join(line.replace("==", " ") for line in frozen.stdout.split() if "==" in line)


def install(peer: Peer, cache: Path) -> InstalledPeer:
    """Make the peer's environment unless one with the same requirements exists. Raises CalledProcessError."""
    if not peer.own_environment:
        return InstalledPeer(peer, Path(sys.executable).parent)
    place, wanted = cache / peer.name, peer.requirements.read_text()
    stamp = place / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, capture_output=True)
        pip = [str(place / "bin/python"), "-m", "pip", "install", "-q", "-r", str(peer.requirements)]
        subprocess.run(pip, check=True, capture_output=True)
        stamp.write_text(wanted)
    return InstalledPeer(peer, place / "bin")


def install_all(names: Sequence[str], cache: Path) -> tuple[list[InstalledPeer], dict[str, str]]:
    """Install peers; return them, and the reason of each skipped one by name."""
    installed, skipped = [], {}
    for name in names:
        try:
            installed.append(install(PEERS[name], cache))
        except subprocess.CalledProcessError as error:
            skipped[name] = error.stderr.decode()[-300:].strip()
            report.print_numbers(f"{name} is skipped", {"reason": skipped[name]})
    return installed, skipped


@dataclass(frozen=True)
class PeerContestant:
    """A peer with one of its settings."""

    installed: InstalledPeer
    setting: Setting

    @property
    def name(self) -> str:
        return self.installed.peer.name

    def fill(self, field: Field) -> None:
        tasks = field.place / "tasks"
        tasks.write_text("\n".join(json.dumps(task) for task in _tasks(field)))
        python = str(self.installed.commands / "python")
        command = [python, "enqueue.py", self.installed.peer.module, str(tasks)]
        done = subprocess.run(
            command, cwd=FOLDER, env=self._environment(field), capture_output=True, timeout=ENQUEUE_SECONDS
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stderr.decode()[-2000:]}")

    @contextlib.contextmanager
    def running(self, field: Field) -> Iterator[Processes]:
        with contextlib.ExitStack() as stack:
            copies = self.setting.processes if self.installed.peer.copies else 1
            started = [stack.enter_context(self._started(field, number)) for number in range(copies)]
            yield lambda: [process for pid in started for process in family(pid)]

    @contextlib.contextmanager
    def _started(self, field: Field, number: int) -> Iterator[int]:
        """Start a process; kill it at the end with all its children, without draining."""
        command, *arguments = self.installed.peer.command.format(
            processes=self.setting.processes,
            concurrency=self.setting.concurrency,
            redis=field.server.url,
            folder=FOLDER,
        ).split()
        output = field.place / f"{self.name}-{number}.out"
        with running([self.installed.commands / command, *arguments], output, self._environment(field)) as process:
            try:
                yield process.pid
            except (TimeoutError, RuntimeError) as error:
                raise RuntimeError(f"{self.name}: {error}\n{output.read_text()[-2000:]}") from error
            finally:
                _kill(process.pid)

    def _environment(self, field: Field) -> dict[str, str]:
        own = {
            "REDIS_URL": field.server.url,
            "WEBHOOK_SECRET": field.secret,
            "PROCESSES": str(self.setting.processes),
            "CONCURRENCY": str(self.setting.concurrency),
            "PYTHONPATH": str(FOLDER),
        }
        trusted = {"SSL_CERT_FILE": str(field.certificate.certificate)} if field.certificate else {}
        return {**os.environ, **own, **trusted}


def _tasks(field: Field) -> Iterator[tuple[str, str, str]]:
    """Yield tasks with the bodies that hookfarm's endpoints get."""
    urls, endpoint = field.urls(), make_endpoint(field.receiver.url, field.secret)
    for number in range(field.course.jobs):
        _, job = match(number, endpoint)
        yield urls[number % len(urls)], job.id, job.body.decode()


def _kill(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in family(pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
