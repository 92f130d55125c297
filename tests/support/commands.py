"""A command of hookfarm that runs until it is told to stop, as a user runs it."""

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.farm_processes import CHECKOUT, COMMAND, environment, kill_session
from tests.support.waiting import eventually


class RunningCommand:
    """In a session of its own; what it prints is readable while it runs."""

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

    def wait_for_line(self, words: str, within: float = 60.0) -> str:
        """The first whole line on stdout that contains `words`."""

        def line() -> str:
            assert self.process.poll() is None or words in self.stdout, f"it ended: {self.stderr}"
            whole = self.stdout.rpartition("\n")[0].splitlines()
            return next((line for line in whole if words in line), "")

        return eventually(line, within=within, what=f"a line with {words!r}")

    def interrupt(self) -> None:
        """What ctrl-C sends."""
        self.process.send_signal(signal.SIGINT)

    def wait(self, within: float = 30.0) -> int:
        """Its exit code."""
        return self.process.wait(within)


@contextlib.contextmanager
def running_command(*arguments: str, **variables: str) -> Iterator[RunningCommand]:
    """At the end it is gone, killed where the test has not stopped it."""
    with tempfile.TemporaryDirectory(prefix="hf-command-") as place:
        command = RunningCommand(arguments, Path(place), **variables)
        try:
            yield command
        finally:
            kill_session(command.pid)
            command.process.wait()
