"""The master: brings the farm's processes up, keeps them up, and stops them.

One loop of named verbs. Signal handlers only wake it; everything is done in the loop. It opens no connection
and waits for nothing but its children and its clock, so it goes on reaping while everything else hangs.

    start   group by group in the given order, each once the one before is ready; a group that is not ready in
            time, or a child that could not boot, ends the start with its reason
    turn    wait for a signal or the next date -> reap -> murder -> respawn -> what operators have asked for
    stop    heralds, then the workers, then what they stand on; one deadline for all of it; a second SIGTERM
            brings the deadline near
"""

import contextlib
import os
import resource
import select
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType

from setproctitle import setproctitle

from hookfarm import logs
from hookfarm.farm import changes
from hookfarm.farm.changes import Changes, Replan
from hookfarm.farm.plan import Group, Plan, Stage
from hookfarm.farm.scoreboard import Board
from hookfarm.farm.timing import Timing
from hookfarm.farm.worker import Member
from hookfarm.farm.workers import Crew, StartFailed, gone

log = logs.get("master")

STARTING_TURN_SECONDS = 0.005
ROLLING_TURN_SECONDS = 0.02
TURN_SECONDS = 0.1
TELL_AGAIN_SECONDS = 0.4
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Master:
    """Runs `groups` until told to stop. One per process; call `run` in the main thread.

    SIGHUP asks `replan` for what to run from now on; it stops a farm that cannot be told anything new.
    """

    def __init__(
        self, groups: Sequence[Group], board: Board, grace_seconds: float, timing: Timing | None = None,
        replan: Replan = lambda: None,
    ) -> None:  # fmt: skip
        self._board = board
        self._timing = timing or Timing()
        self._crew = Crew(Plan(groups, grace_seconds), board, self._timing, self._let_go)
        self._changes = Changes(self._crew, replan, self._timing)
        self._begun: set[str] = set()
        """Services whose turn to work has come."""
        self._deadline: float | None = None
        self._hurried = False
        """Whether whoever told it to stop has said so again."""
        self._told_at = 0.0
        """When the workers were last told."""
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Returns once stopped; raises StartFailed, everything stopped too, where the start failed."""
        setproctitle("hookfarm: master")
        self._handle_signals()
        _leave_no_cores()
        try:
            self._start()
            if on_ready and not self._stopping:
                on_ready()
            while not self._stopping:
                self._turn(ROLLING_TURN_SECONDS if self._changes.rolling else TURN_SECONDS)
                if not self._stopping and not self._changes.step():
                    self._told_to_stop(signal.SIGHUP)
        finally:
            self._stop()

    @property
    def _stopping(self) -> bool:
        return self._deadline is not None

    def _let_go(self) -> None:
        """In a child."""
        os.close(self._woken)
        os.close(self._waker)

    # Signals

    def _handle_signals(self) -> None:
        """Their numbers come by the pipe, one for each that the kernel delivers; Python's handlers would see
        several of a kind as one."""
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        heard = (*_STOP_SIGNALS, *changes.SIGNALS, signal.SIGCHLD)
        for number in heard:
            signal.signal(number, _leave_it_to_the_pipe)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)  # Whoever started us may have had them blocked.

    def _take_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                for number in os.read(self._woken, 4096):
                    self._hear(number)

    def _hear(self, number: int) -> None:
        if number in _STOP_SIGNALS:
            self._told_to_stop(number)
        elif number in changes.SIGNALS:
            self._changes.hear(number)

    def _told_to_stop(self, number: int) -> None:
        now = time.monotonic()
        grace_seconds = self._crew.plan.grace_seconds
        if self._deadline is None:
            log.info("stopping", signal=signal.Signals(number).name, grace_seconds=grace_seconds)
            self._deadline = now + grace_seconds
            self._crew.stopping = True
        else:
            self._deadline = min(self._deadline, now + self._timing.shortened_seconds)
            self._hurried = True

    # Start

    def _start(self) -> None:
        groups = self._crew.plan.groups
        for group in groups:
            if group.prepare is not None:
                self._spawn_all(group)
        for group in groups:
            self._begin(group)
            self._await_ready(group)
            if self._stopping:
                return
        self._crew.starting = False

    def _begin(self, group: Group) -> None:
        self._begun.add(group.service)
        if group.prepare is None:
            self._spawn_all(group)
            return
        for member in self._crew.of(group):
            member.slot.promise(self._timing.boot_seconds)
            self._crew.close_gate(member)

    def _spawn_all(self, group: Group) -> None:
        for member in self._crew.of(group):
            self._spawn(member)

    def _spawn(self, member: Member) -> None:
        self._crew.spawn(member, gated=member.group.service not in self._begun)

    def _await_ready(self, group: Group) -> None:
        deadline = time.monotonic() + self._timing.boot_seconds
        while not self._stopping and not self._is_ready(group):
            if time.monotonic() > deadline:
                raise StartFailed(self._why_not_ready(group))
            self._turn(STARTING_TURN_SECONDS)

    def _is_ready(self, group: Group) -> bool:
        if group.announced and group.count:
            return self._board.announced(group.service)
        return all(member.up for member in self._crew.of(group))

    def _why_not_ready(self, group: Group) -> str:
        missing = [member.describe() for member in self._crew.of(group) if not member.up]
        if not missing:
            # All are there, so it is the heralds who could not say so.
            missing = [f"announcing it: {herald.describe()}" for herald in self._crew.in_stage(Stage.HERALD)]
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        who = ", ".join(missing[:5]) + more
        return f"{group.service} did not signal readiness within {self._timing.boot_seconds:g}s: {who}"

    # One turn

    def _turn(self, seconds: float) -> None:
        self._wait_for_signal(seconds)
        self._crew.reap()
        self._crew.murder()
        if not self._stopping:
            for member in self._crew.due():
                self._spawn(member)

    def _wait_for_signal(self, seconds: float) -> None:
        """Until there is one, or somebody is due to be forked, at most so long."""
        select.select([self._woken], [], [], max(0.0, min(seconds, self._crew.next_due_in())))
        self._take_signals()

    # Stop

    def _stop(self) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + min(self._crew.plan.grace_seconds, self._timing.shortened_seconds)
        self._crew.stopping = True
        heralds, workers, base = (self._crew.in_stage(stage) for stage in Stage)
        self._crew.tell(heralds)
        self._wait_until(lambda: all(m.quiet for m in heralds), self._timing.herald_seconds)
        self._tell_workers(workers)
        self._wait_until(lambda: self._see_off(workers), None)
        self._kill(workers)
        self._wait_until(lambda: gone(heralds), self._timing.herald_seconds)
        self._kill(heralds)
        self._crew.tell(base)
        self._wait_until(lambda: gone(base), self._timing.base_seconds)
        self._kill(base)
        signal.set_wakeup_fd(-1)
        log.info("stopped")

    def _wait_until(self, done: Callable[[], bool], seconds: float | None) -> None:
        """Waits for `done`, at most `seconds` (None: until the farm's deadline, which signals may move)."""
        began = time.monotonic()
        while not done():
            now = time.monotonic()
            limit = self._deadline if seconds is None else began + seconds
            if limit is not None and now >= limit:
                return
            select.select([self._woken], [], [], TURN_SECONDS)
            self._take_signals()
            self._crew.reap()

    def _see_off(self, workers: Sequence[Member]) -> bool:
        """Whether they are gone. In a hurry they are told again, after a while: two words at once arrive as one,
        and each interrupts what they wait for."""
        if self._hurried and time.monotonic() - self._told_at >= TELL_AGAIN_SECONDS:
            self._tell_workers(workers)
        return gone(workers)

    def _tell_workers(self, workers: Sequence[Member]) -> None:
        self._told_at = time.monotonic()
        self._crew.tell(workers)

    def _kill(self, members: Sequence[Member]) -> None:
        left = self._crew.kill(members)
        self._wait_until(lambda: gone(left), self._timing.herald_seconds)


def _leave_no_cores() -> None:
    """A core file holds every secret that the farm was given, and SIGABRT is its first word to a child that hangs.

    The hard limit stays, so that whoever needs one can allow it to a process (prlimit).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _leave_it_to_the_pipe(_number: int, _frame: FrameType | None) -> None:
    """Python writes the number of every signal that has a handler into the wakeup descriptor."""
