"""A command of hookfarm that runs until stopped, like a user's."""

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
        """Return the first complete line on stdout that contains `words`."""

        def line() -> str:
            assert self.process.poll() is None or words in self.stdout, f"the command ended: {self.stderr}"
            whole = self.stdout.rpartition("\n")[0].splitlines()
            return next((line for line in whole if words in line), "")

        return eventually(line, within=within, what=f"a line with {words!r}")

    def interrupt(self) -> None:
        """Send SIGINT, like ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def wait(self, within: float = PATIENCE_SECONDS) -> int:
        """Wait for the exit; return the exit code."""
        return self.process.wait(within)


@contextlib.contextmanager
def running_command(*arguments: str, **variables: str) -> Iterator[RunningCommand]:
    """Run a command during the context; it is killed at the end if still running."""
    with tempfile.TemporaryDirectory(prefix="hf-command-") as place:
        command = RunningCommand(arguments, Path(place), **variables)
        try:
            yield command
        finally:
            command.close()
