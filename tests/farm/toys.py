"""Farms of children that do next to nothing, to see the master alone at work.

The scoreboard is made by the test and shared with the farm, so that a test sees what the master sees, and commands
children through the counters of their slots.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from hookfarm import logs
from hookfarm.errors import HookfarmError
from hookfarm.farm.child import Child
from hookfarm.farm.master import Master
from hookfarm.farm.plan import MasterTimeouts, WorkerGroup, scoreboard_for
from hookfarm.farm.rolling_restart import LoadPlan
from hookfarm.farm.scoreboard import Slot, State
from tests.support.farm_processes import kill_session, processes_of_session
from tests.support.waiting import PATIENCE_SECONDS, eventually

QUICK = MasterTimeouts(boot_seconds=5.0, hang_seconds=0.3, abort_seconds=0.2, second_sigterm_seconds=0.5)

HEARTBEAT_WITHIN_SECONDS = 0.5
SETTLED_TURNS = 25
"""Of a child's loop: half a second and more, longer than all time-outs here."""

LIVES = 0
"""Counter: how many processes have begun to work in this slot."""
ORDER = 1
"""Counter that the test sets, to command the child."""
TURNS = 2
"""Counter: how often children of this slot have come by."""


def work(child: Child) -> None:
    """Comes up and waits for SIGTERM."""
    child.slot.add(LIVES)
    child.slot.heartbeat(HEARTBEAT_WITHIN_SECONDS)
    child.mark_up()
    idle(child)


def idle(child: Child) -> None:
    while not child.wait(0.02):
        child.slot.heartbeat(HEARTBEAT_WITHIN_SECONDS)
        child.slot.add(TURNS)


def await_order(child: Child) -> bool:
    """Waits for ORDER, or for SIGTERM (False)."""
    while not child.slot.counter(ORDER):
        child.slot.heartbeat(HEARTBEAT_WITHIN_SECONDS)
        if child.wait(0.002):
            return False
    return True


def hold() -> None:
    """Waits for ever, in Python code that a traceback can show."""
    while True:
        time.sleep(60)


class ToyFarm:
    """A master over `groups` in a process and session of its own; its output in a file."""

    def __init__(
        self,
        groups: Sequence[WorkerGroup],
        directory: Path,
        grace_seconds: float,
        timeouts: MasterTimeouts,
        before: Callable[[], None],
        load_plan: LoadPlan,
    ) -> None:
        self.scoreboard = scoreboard_for(groups)
        self._groups = groups
        self._grace_seconds = grace_seconds
        self._timeouts = timeouts
        self._before = before
        self._load_plan = load_plan
        self._log = directory / "farm.log"
        self._status: int | None = None
        self.pid = 0

    def start(self) -> None:
        self.pid = os.fork()
        if not self.pid:
            self._live()
        eventually(self._log.exists, what="the farm's first breath")

    def _live(self) -> None:
        code = 70
        try:
            os.setsid()
            self._take_output()
            self._before()
            code = self._run()
        finally:
            with contextlib.suppress(OSError):
                sys.stderr.flush()
            os._exit(code)

    def _take_output(self) -> None:
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        logs.configure("info")

    def _run(self) -> int:
        master = Master(self._groups, self.scoreboard, self._grace_seconds, self._timeouts, self._load_plan)
        try:
            master.run(on_ready=lambda: logs.get("farm").info("ready"))
        except HookfarmError as error:
            logs.get("farm").error(f"failed: {error}")
            return error.exit_code
        return 0

    @property
    def output(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    @property
    def ready(self) -> bool:
        return "info farm ready" in self.output

    @property
    def failure(self) -> str:
        """The error of a failed start."""
        _, _, said = self.output.partition("error farm failed: ")
        return said.partition("\n")[0]

    def wait_ready(self) -> None:
        eventually(lambda: self.ready or self.ended, what="the farm being ready")
        assert self.ready, self.output

    def slot(self, service: str, index: int = 0) -> Slot:
        return self.scoreboard.slots(service)[index]

    @property
    def sizes(self) -> dict[str, int]:
        """How many processes each service is to have."""
        return {service: self.scoreboard.target(service) for service in self.scoreboard.services}

    def pids(self, service: str) -> list[int]:
        return [slot.pid for slot in self.scoreboard.slots(service)]

    def wait_logged(self, words: str, times: int = 1) -> None:
        eventually(lambda: self.output.count(words) >= times, what=f"{words!r} in the farm's log")

    def order(self, service: str, index: int = 0, what: int = 1) -> None:
        self.slot(service, index).set_counter(ORDER, what)

    def lives(self, service: str, index: int = 0) -> int:
        return self.slot(service, index).counter(LIVES)

    def wait_up(self, service: str, index: int = 0, lives: int = 1, within: float = PATIENCE_SECONDS) -> int:
        """Until the `lives`-th process of the slot is up; its pid."""
        slot = self.slot(service, index)
        eventually(
            lambda: slot.counter(LIVES) >= lives and slot.state == State.UP and slot.pid,
            within=within,
            what=f"life {lives} of {service} {index}",
        )
        return slot.pid

    def settle(self, service: str, index: int = 0) -> None:
        """Until so much time has gone by in the slot that whatever threatened its child has happened."""
        slot = self.slot(service, index)
        reached = slot.counter(TURNS) + SETTLED_TURNS
        eventually(lambda: slot.counter(TURNS) >= reached, what=f"{SETTLED_TURNS} turns of {service} {index}")

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    @property
    def ended(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    def wait(self, within: float = PATIENCE_SECONDS) -> int:
        """Its exit code, negative for a death by signal."""
        eventually(lambda: self.ended, within=within, what="the end of the farm")
        return os.waitstatus_to_exitcode(self._status or 0)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children()

    def survivors(self) -> list[psutil.Process]:
        return processes_of_session(self.pid)

    def close(self) -> None:
        kill_session(self.pid)
        eventually(lambda: self.ended, what="the end of the farm")


StartToys = Callable[..., ToyFarm]


@contextlib.contextmanager
def started_toys(directory: Path) -> Iterator[StartToys]:
    """A function that starts toy farms, `start(WorkerGroup(…), …, grace_seconds=…)`; all gone at the end.

    `before` is called in the process of the farm before its master runs, `load_plan` there at each SIGHUP.
    """
    farms: list[ToyFarm] = []

    def start(
        *groups: WorkerGroup,
        grace_seconds: float = 60.0,
        timeouts: MasterTimeouts = QUICK,
        before: Callable[[], None] = lambda: None,
        load_plan: LoadPlan = lambda: None,
    ) -> ToyFarm:
        place = directory / f"toys-{len(farms)}"
        place.mkdir()
        farm = ToyFarm(groups, place, grace_seconds, timeouts, before, load_plan)
        farms.append(farm)
        farm.start()
        return farm

    try:
        yield start
    finally:
        for farm in farms:
            farm.close()
