"""A command of hookfarm that runs until it is stopped, as a user runs it."""

import contextlib
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.farm_processes import RunningProcess
from tests.support.waiting import PATIENCE_SECONDS, eventually


class RunningCommand(RunningProcess):
    """A running command."""

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

    def wait(self, within: float = PATIENCE_SECONDS) -> int:
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
            command.close()
