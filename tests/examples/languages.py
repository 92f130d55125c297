"""The receivers of examples/receiver: compiled, started on a free port, and read line by line."""

import contextlib
import http.client
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.support.farm_processes import CHECKOUT, environment
from tests.support.waiting import eventually

RECEIVERS = CHECKOUT / "examples/receiver"
BUILD_SECONDS = 300.0
ANSWER_SECONDS = 30.0

Command = tuple[str, ...]


def require(*programs: str) -> None:
    """Skip the test if a program is missing: bin/test installs no compilers."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on PATH")


def built(command: Sequence[str], folder: Path, **variables: str) -> None:
    """Run a compiler; its messages are the reason of the failure."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _python(_output: Path) -> Command:
    return (sys.executable, str(RECEIVERS / "python/receiver.py"))


def _node(_output: Path) -> Command:
    require("node")
    return ("node", str(RECEIVERS / "node/receiver.mjs"))


def _go(output: Path) -> Command:
    require("go")
    program = str(output / "receiver")
    built(("go", "build", "-o", program, "."), RECEIVERS / "go", GOTOOLCHAIN="local")
    return (program,)


def _java(output: Path) -> Command:
    require("javac", "java")
    sources = sorted(map(str, (RECEIVERS / "java").glob("*.java")))
    built(("javac", "-Xlint:all", "-Werror", "-d", str(output), *sources), RECEIVERS / "java")
    return ("java", "-cp", str(output), "Receiver")


def _rust(output: Path) -> Command:
    require("cargo", "rustc")
    folder = RECEIVERS / "rust"
    fetched = subprocess.run(
        ("cargo", "fetch", "--locked"),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if fetched.returncode != 0:
        pytest.skip(f"cargo cannot fetch the crates: {fetched.stderr.strip().splitlines()[-1]}")
    built(("cargo", "build", "--locked", "--offline"), folder, CARGO_TARGET_DIR=str(output))
    return (str(output / "debug/receiver"),)


def _php(_output: Path) -> Command:
    require("php")
    modules = subprocess.run(("php", "-m"), capture_output=True, text=True, check=True).stdout.split()
    if "pdo_sqlite" not in modules:
        pytest.skip("php has no extension pdo_sqlite")
    return ("php", "-S", "127.0.0.1:{port}", str(RECEIVERS / "php/receiver.php"))


def _ruby(_output: Path) -> Command:
    require("ruby")
    if subprocess.run(("ruby", "-rwebrick", "-e", "0"), capture_output=True, check=False).returncode != 0:
        pytest.skip("ruby has no gem webrick")
    return ("ruby", str(RECEIVERS / "ruby/receiver.rb"))


LANGUAGES: Mapping[str, Callable[[Path], Command]] = {
    "python": _python,
    "node": _node,
    "go": _go,
    "java": _java,
    "rust": _rust,
    "php": _php,
    "ruby": _ruby,
}
"""Language -> a function that compiles its receiver into a folder and returns the command that runs it."""
KEEPS_IDS = ("python", "php")
"""Their receivers keep the ids in a database, over restarts."""


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Yield a port of 127.0.0.1 that the kernel assigns to no other socket; a server may listen on it."""
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind(("127.0.0.1", 0))
        yield reservation.getsockname()[1]


@dataclass
class Program:
    """A running server and what it has printed so far."""

    port: int
    process: "subprocess.Popen[bytes]"
    output: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def lines(self) -> list[str]:
        """The whole lines on stdout, without the address that it listens on."""
        whole = self.output.read_text().rpartition("\n")[0].splitlines()
        return [line for line in whole if not line.startswith("listening on ")]

    def post(self, body: bytes, headers: Mapping[str, str], method: str = "POST") -> int:
        """Return the status of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, "/", body, dict(headers))
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()


@contextlib.contextmanager
def running(command: Sequence[str], output: Path, **variables: str) -> Iterator[Program]:
    """Run a server until the end of the block; `{port}` in the command is the port, which it also gets as PORT."""
    stdout, stderr = output / "stdout", output / "stderr"
    with reserved_port() as port, stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(
            [word.replace("{port}", str(port)) for word in command],
            cwd=output,
            env=environment(PORT=str(port), **variables),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        try:
            eventually(lambda: _listens(process, port, stderr), what=f"{command[0]} listening")
            yield Program(port, process, stdout)
        finally:
            process.kill()
            process.wait()


def _listens(process: "subprocess.Popen[bytes]", port: int, stderr: Path) -> bool:
    assert process.poll() is None, stderr.read_text()
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def signed(secret: str, webhook_id: str, body: bytes, age: float = 0) -> dict[str, str]:
    """Return the headers of a webhook that was signed so many seconds ago."""
    at = datetime.fromtimestamp(int(time.time() - age), UTC)
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, body.decode()),
    }
