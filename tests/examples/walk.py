"""The commands of an example's README, run as they are written, against a devchain and a farm of the test."""

import contextlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from tests.examples.languages import reserved_port
from tests.support.farm_processes import CHECKOUT, environment, kill_session
from tests.support.waiting import eventually

EXAMPLES = CHECKOUT / "examples"
COMMAND_SECONDS = 120.0
START_SECONDS = 60.0
HOOKFARM = f"{shlex.quote(sys.executable)} -m hookfarm"
MAX_STARTS = 5
READY = "hookfarm is ready"
SMALL_FARM = "--workers 4 --api 127.0.0.1:0"
SECRET, ENDPOINT = "whsec_…", "ep_…"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def commands(readme: str) -> list[str]:
    """Return the commands in the `sh` blocks of a README, one string each."""
    lines = "\n".join(_BLOCK.findall(readme)).replace("\\\n", " ").splitlines()
    return [line.partition("  #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


class Background:
    """A command that runs until the end of the walk."""

    def __init__(self, command: str, folder: Path, variables: Mapping[str, str]) -> None:
        self._stdout, self._stderr = folder / "stdout", folder / "stderr"
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            self.process = subprocess.Popen(
                ("bash", "-c", command),
                cwd=CHECKOUT,
                env=environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def lines(self) -> list[str]:
        """The whole lines on stdout."""
        return self.stdout.rpartition("\n")[0].splitlines()

    def wait_for(self, words: str) -> str:
        """Return the first whole line on stdout that contains `words`."""

        def found() -> str:
            assert self.process.poll() is None, self.stderr
            return next((line for line in self.lines if words in line), "")

        return eventually(found, START_SECONDS, f"a line with {words!r}")

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    def is_ready(self) -> bool:
        """Wait until the farm is ready or has ended; False if it ended because a service was too slow."""
        eventually(
            lambda: READY in self.stdout or self.process.poll() is not None, START_SECONDS, "a farm or its end"
        )
        assert READY in self.stdout or "did not signal readiness within" in self.stderr, self.stderr
        return READY in self.stdout

    def close(self) -> None:
        kill_session(self.process.pid)
        self.process.wait()


class Walk:
    """Runs the commands of one README in any order; `close` requires that each of them was run."""

    def __init__(self, example: str, folder: Path, variables: Mapping[str, str], port: int) -> None:
        self.commands = commands((EXAMPLES / example / "README.md").read_text())
        self.port = port
        self.folder = folder
        self.replaced = {
            "bin/hookfarm": HOOKFARM,
            "127.0.0.1:9000": f"127.0.0.1:{port}",
            "--port 9000": f"--port {port}",
        }
        self.variables = dict(variables)
        self._left = list(self.commands)
        self._running: list[Background] = []
        self._ports = contextlib.ExitStack()
        for command in self.commands:
            self._take_setting(command)

    def run(self, words: str) -> str:
        """Run the command that contains `words` to its end; return its output."""
        finished = subprocess.run(
            ("bash", "-c", self._taken(words)),
            cwd=CHECKOUT,
            env=environment(**self.variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        self._remember(finished.stdout)
        return finished.stdout

    def start(self, words: str) -> Background:
        """Run the command that contains `words` until the end."""
        return self._started(self._taken(words))

    def start_farm(self) -> None:
        """Run `start` with fewer workers and any free port for the API, until the farm is ready.

        On a slow machine a service may miss the 10 s of a start, which other tests are about: it is started again.
        """
        command = self._taken("bin/hookfarm start")
        for _ in range(MAX_STARTS):
            farm = self._started(f"exec {command} {SMALL_FARM}")
            if farm.is_ready():
                return
        raise AssertionError(farm.stderr)

    def use_farm(self, start: str, state_dir: str) -> None:
        """Use a farm that the command `start`, which this README must contain too, has started before."""
        self._left.remove(start)
        self.variables["HOOKFARM_STATE_DIR"] = state_dir

    def _started(self, command: str) -> Background:
        folder = self.folder / str(len(self._running))
        folder.mkdir()
        running = Background(command, folder, self.variables)
        self._running.append(running)
        return running

    def reserve_port(self) -> int:
        """Return another port, reserved until the end."""
        return self._ports.enter_context(reserved_port())

    def close(self) -> None:
        for running in reversed(self._running):
            running.close()
        self._ports.close()

    def assert_all_run(self) -> None:
        assert not self._left, "commands of the README that no test runs"

    def _taken(self, words: str) -> str:
        found = [command for command in self._left if words in command]
        assert found, f"no command with {words!r} is left"
        self._left.remove(found[0])
        command = found[0]
        for file in re.findall(r"\bexamples/\S+\.toml\b", command):
            copy = self.folder / Path(file).name
            copy.write_text(self._replaced((CHECKOUT / file).read_text()))
            command = command.replace(file, str(copy))
        command = self._replaced(command)
        assert "…" not in command, command
        return re.sub(r"(^|[ =])python ", rf"\g<1>{shlex.quote(sys.executable)} ", command)

    def _replaced(self, text: str) -> str:
        for written, actual in self.replaced.items():
            text = text.replace(written, actual)
        return text

    def _take_setting(self, command: str) -> None:
        """Take over `export NAME=VALUE`; check that a package to install is there."""
        words = shlex.split(command)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self.variables[name] = value
        elif words[:2] == ["pip", "install"]:
            name, _, least = words[2].partition(">=")
            assert tuple(map(int, version(name).split("."))) >= tuple(map(int, least.split(".")))
        else:
            return
        self._left.remove(command)

    def _remember(self, printed: str) -> None:
        """Later commands name the endpoint and the secret of the newest one."""
        for placeholder, pattern in ((SECRET, r"whsec_[A-Za-z0-9+/=]+"), (ENDPOINT, r"ep_[0-9a-f]+")):
            if found := re.search(pattern, printed):
                self.replaced[placeholder] = found[0]


@contextlib.contextmanager
def walk(example: str, **variables: str) -> Iterator[Walk]:
    """A walk through examples/<example>/README.md, with a state directory of its own. Everything ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="hf-walk-"))
    with reserved_port() as port:
        own = {"HOOKFARM_STATE_DIR": str(folder / "state"), "PORT": str(port), "PYTHONUNBUFFERED": "1"}
        walking = Walk(example, folder, {**own, **variables}, port)
        try:
            yield walking
            walking.assert_all_run()
        finally:
            walking.close()
            shutil.rmtree(folder)
