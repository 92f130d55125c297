"""The recorder as a test sees it: where to send to, and what has arrived."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.farm_processes import CHECKOUT, environment
from tests.support.waiting import PATIENCE_SECONDS, eventually

STOP_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One POST, written down before it was answered; `at` is monotonic, `port` the sender's."""

    id: str
    at: float
    signature_valid: bool
    endpoint: str
    port: int
    attempt: int


class Recording:
    """A running recorder. `arrivals` grows each time it is asked for; so may several readers ask."""

    def __init__(self, process: "subprocess.Popen[bytes]", file: Path) -> None:
        assert process.stdout is not None
        self.process = process
        self.port = int(process.stdout.readline())
        self._file = file.open("rb")
        self._arrivals: list[Arrival] = []
        self._rest = b""

    def url(self, endpoint_id: str, behaviour: str = "200") -> str:
        """`behaviour`: a status, `slow-<ms>` or `hold`."""
        return f"http://127.0.0.1:{self.port}/{behaviour}/{endpoint_id}"

    @property
    def arrivals(self) -> list[Arrival]:
        """Everything so far, in the order of arrival."""
        self._arrivals += map(_parse, self.new_lines())
        return self._arrivals

    def new_lines(self) -> list[bytes]:
        """What has been written down since this was asked for last."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return lines

    def ids(self) -> set[str]:
        return {arrival.id for arrival in self.arrivals}

    def wait_for_ids(self, wanted: set[str], within: float = PATIENCE_SECONDS) -> None:
        """Until each of them has arrived at least once."""
        eventually(lambda: len(self.ids() & wanted) == len(wanted), within, f"{len(wanted)} deliveries")

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(STOP_SECONDS)
        self.process.stdout.close()
        self._file.close()


def _parse(line: bytes) -> Arrival:
    webhook_id, at, valid, endpoint, port, attempt = line.decode().split(" ")
    return Arrival(webhook_id, float(at), valid == "1", endpoint, int(port), int(attempt))


@contextlib.contextmanager
def running_recorder(module: str = "tests.chaos.recorder") -> Iterator[Recording]:
    """A recorder of its own, gone at the end; `module` is run as the process."""
    with tempfile.TemporaryDirectory(prefix="hf-recorder-") as place:
        file = Path(place) / "arrivals"
        file.touch()
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(file)],
            cwd=CHECKOUT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        recording = Recording(process, file)
        try:
            yield recording
        finally:
            recording.close()
