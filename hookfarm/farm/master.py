"""The master: forks the farm's processes, replaces the ones that die, kills the ones that hang, and stops them.

One loop of named verbs. Signal handlers only wake it; everything is done in the loop. It opens no connection
and waits for nothing but its children and its clock, so it goes on reaping while everything else hangs.

    start   group by group in the given order, each once the one before is ready; a group that is not ready in
            time, or a child that could not boot, ends the start with its reason
    turn    wait for a signal or the next date -> reap -> murder -> respawn
    stop    heralds, then the workers, then what they stand on; one deadline for all of it; a second SIGTERM
            brings the deadline near
"""

import contextlib
import os
import random
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import FrameType

from setproctitle import setproctitle

from hookfarm import logs
from hookfarm.errors import OperatorError
from hookfarm.farm import respawn
from hookfarm.farm.board import Board
from hookfarm.farm.child import EXIT_COULD_NOT_BOOT, Child
from hookfarm.farm.group import Group, Stage
from hookfarm.farm.member import Member, cause_of_death
from hookfarm.farm.process import fork, run_child
from hookfarm.farm.timing import Timing

log = logs.get("master")

STARTING_TURN_SECONDS = 0.005
TURN_SECONDS = 0.1
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class StartFailed(OperatorError):
    """The farm did not get ready; str() names who and why."""


class Master:
    """Runs `groups` until told to stop. One per process; call `run` in the main thread."""

    def __init__(
        self, groups: Sequence[Group], board: Board, grace_seconds: float, timing: Timing | None = None
    ) -> None:
        self._groups = groups
        self._board = board
        self._grace_seconds = grace_seconds
        self._timing = timing or Timing()
        self._members = [
            Member(group, index, board.slots(group.service)[index])
            for group in groups
            for index in range(group.count)
        ]
        self._by_pid: dict[int, Member] = {}
        self._begun: set[str] = set()
        """Services whose turn to work has come."""
        self._signals: deque[int] = deque()
        self._deadline: float | None = None
        self._pid = os.getpid()
        self._starting = True
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Returns once stopped; raises StartFailed, everything stopped too, where the start failed."""
        setproctitle("hookfarm: master")
        self._handle_signals()
        try:
            self._start()
            if on_ready and not self._stopping:
                on_ready()
            while not self._stopping:
                self._turn(TURN_SECONDS)
        finally:
            self._stop()

    @property
    def _stopping(self) -> bool:
        return self._deadline is not None

    # Signals

    def _handle_signals(self) -> None:
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        heard = (*_STOP_SIGNALS, signal.SIGCHLD)
        for number in heard:
            signal.signal(number, self._note_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)  # Whoever started us may have had them blocked.

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _take_signals(self) -> None:
        while self._signals:
            number = self._signals.popleft()
            if number in _STOP_SIGNALS:
                self._told_to_stop(number)

    def _told_to_stop(self, number: int) -> None:
        now = time.monotonic()
        if self._deadline is None:
            log.info("stopping", signal=signal.Signals(number).name, grace_seconds=self._grace_seconds)
            self._deadline = now + self._grace_seconds
        else:
            self._deadline = min(self._deadline, now + self._timing.shortened_seconds)
            self._tell(self._in_stage(Stage.WORK))

    # Start

    def _start(self) -> None:
        for group in self._groups:
            if group.prepare is not None:
                self._spawn_all(group)
        for group in self._groups:
            self._begin(group)
            self._await_ready(group)
            if self._stopping:
                return
        self._starting = False

    def _begin(self, group: Group) -> None:
        self._begun.add(group.service)
        if group.prepare is None:
            self._spawn_all(group)
            return
        for member in self._of(group):
            member.slot.promise(self._timing.boot_seconds)
            self._close_gate(member)

    def _await_ready(self, group: Group) -> None:
        deadline = time.monotonic() + self._timing.boot_seconds
        while not self._stopping and not self._is_ready(group):
            if time.monotonic() > deadline:
                raise StartFailed(self._why_not_ready(group))
            self._turn(STARTING_TURN_SECONDS)

    def _is_ready(self, group: Group) -> bool:
        if group.announced:
            return self._board.announced(group.service)
        return all(member.up for member in self._of(group))

    def _why_not_ready(self, group: Group) -> str:
        missing = [member.describe() for member in self._of(group) if not member.up]
        if not missing:
            # All are there, so it is the heralds who could not say so.
            heralds = (m for m in self._members if m.group.stage == Stage.HERALD)
            missing = [f"announcing it: {herald.describe()}" for herald in heralds]
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        who = ", ".join(missing[:5]) + more
        return f"{group.service} did not signal readiness within {self._timing.boot_seconds:g}s: {who}"

    def _of(self, group: Group) -> list[Member]:
        return [member for member in self._members if member.group is group]

    # One turn

    def _turn(self, seconds: float) -> None:
        self._wait_for_signal(seconds)
        self._take_signals()
        self._reap()
        self._murder()
        self._respawn()

    def _wait_for_signal(self, seconds: float) -> None:
        dates = [member.due - time.monotonic() for member in self._members if member.due is not None]
        if not self._signals:
            select.select([self._woken], [], [], max(0.0, min([seconds, *dates])))
        with contextlib.suppress(BlockingIOError):
            while os.read(self._woken, 4096):
                continue

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            member = self._by_pid.pop(pid, None)
            if member is not None:  # As PID 1 of a container we also inherit strangers.
                self._bury(member, status)

    def _bury(self, member: Member, status: int) -> None:
        member.note_up()
        member.slot.vacate()
        member.pid = 0
        killed = member.aborted is None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        member.aborted = None
        self._close_gate(member)
        if self._stopping:
            log.debug("child left", child=member.name, cause=cause_of_death(status))
            return
        could_not_boot = os.WIFEXITED(status) and os.WEXITSTATUS(status) == EXIT_COULD_NOT_BOOT
        cause = cause_of_death(status)
        if self._starting and could_not_boot:
            raise StartFailed(f"{member.name} could not start: {member.slot.reason}")
        if self._starting and member.group.stage == Stage.BASE:
            raise StartFailed(f"{member.name} could not start: {cause}; {member.slot.reason}")
        wait = self._postpone(member, killed)
        log.warning(
            "child died", child=member.name, cause=cause, reason=member.slot.reason, again_in=round(wait, 2)
        )

    @staticmethod
    def _postpone(member: Member, killed: bool = False) -> float:
        """Sets the date of its next fork and returns how many seconds that is away."""
        lived = member.lived()
        member.quick_exits = respawn.quick_exits_after(member.quick_exits, member.came_up, lived, killed)
        wait = respawn.wait_seconds(member.quick_exits, random.random(), killed)
        member.due = time.monotonic() + wait
        return wait

    def _murder(self) -> None:
        now = time.monotonic()
        for member in self._by_pid.values():
            member.note_up()
            if member.aborted is not None and now - member.aborted > self._timing.abort_seconds:
                self._signal(member, signal.SIGKILL)
            elif member.aborted is None and self._hangs(member):
                log.error("child hangs", child=member.name, seconds_late=round(member.slot.seconds_late(), 1))
                member.aborted = now
                self._signal(member, signal.SIGABRT)

    def _hangs(self, member: Member) -> bool:
        """A child that waits for its turn has promised nothing yet."""
        return member.gate < 0 and member.slot.seconds_late() > self._timing.hang_seconds

    def _respawn(self) -> None:
        now = time.monotonic()
        for member in self._members:
            if member.due is not None and member.due <= now and not self._stopping:
                self._spawn(member)

    # Fork

    def _spawn_all(self, group: Group) -> None:
        for member in self._of(group):
            self._spawn(member)

    def _spawn(self, member: Member) -> None:
        member.due = None
        member.came_up = False
        member.spawned = time.monotonic()
        member.slot.occupy(self._timing.boot_seconds)
        try:
            self._fork(member)
        except OSError as error:
            self._could_not_fork(member, error)

    def _fork(self, member: Member) -> None:
        reading = -1
        if member.group.service not in self._begun:
            reading, member.gate = os.pipe()
        try:
            member.pid = fork(lambda: self._live(member, reading), member.group.death_signal)
        finally:
            if reading >= 0:
                os.close(reading)
        member.slot.occupied_by(member.pid)
        self._by_pid[member.pid] = member

    def _could_not_fork(self, member: Member, error: OSError) -> None:
        """The machine is full (processes, memory, files), perhaps for now only; those who live go on."""
        self._close_gate(member)
        member.slot.vacate()
        member.slot.reason = f"cannot fork: {error.strerror}"
        if self._starting:
            raise StartFailed(f"{member.name} could not start: {member.slot.reason}") from error
        wait = self._postpone(member)
        log.error("cannot fork", child=member.name, error=error.strerror, again_in=round(wait, 2))

    def _live(self, member: Member, gate: int) -> int:
        """In the child: lets go of what is the master's and becomes the member."""
        os.close(self._woken)
        os.close(self._waker)
        for other in self._members:
            self._close_gate(other)
        child = Child(member.group.service, member.index, self._board, self._grace_seconds, self._pid)
        return run_child(child, member.group.prepare, gate, member.group.main)

    @staticmethod
    def _close_gate(member: Member) -> None:
        if member.gate >= 0:
            os.close(member.gate)
            member.gate = -1

    # Stop

    def _stop(self) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + min(self._grace_seconds, self._timing.shortened_seconds)
        for member in self._members:
            member.due = None
        heralds, workers, base = (self._in_stage(stage) for stage in Stage)
        self._tell(heralds)
        self._wait_until(lambda: all(m.quiet for m in heralds), self._timing.herald_seconds)
        self._tell(workers)
        self._wait_until(lambda: self._gone(workers), None)
        self._kill(workers)
        self._wait_until(lambda: self._gone(heralds), self._timing.herald_seconds)
        self._kill(heralds)
        self._tell(base)
        self._wait_until(lambda: self._gone(base), self._timing.base_seconds)
        self._kill(base)
        signal.set_wakeup_fd(-1)
        log.info("stopped")

    def _in_stage(self, stage: Stage) -> list[Member]:
        return [member for member in self._members if member.group.stage == stage]

    def _wait_until(self, done: Callable[[], bool], seconds: float | None) -> None:
        """Waits for `done`, at most `seconds` (None: until the farm's deadline, which signals may move)."""
        began = time.monotonic()
        while not done():
            now = time.monotonic()
            limit = self._deadline if seconds is None else began + seconds
            if limit is not None and now >= limit:
                return
            self._wait_for_signal(TURN_SECONDS)
            self._take_signals()
            self._reap()

    @staticmethod
    def _gone(members: Iterable[Member]) -> bool:
        return all(member.pid == 0 for member in members)

    def _tell(self, members: Iterable[Member]) -> None:
        for member in members:
            self._signal(member, signal.SIGTERM)
            self._close_gate(member)  # Only now: it must know that it is to stop when its gate opens.

    def _kill(self, members: Sequence[Member]) -> None:
        left = [member for member in members if member.pid]
        for member in left:
            log.warning("killed", child=member.name, why="did not stop in time")
            self._signal(member, signal.SIGKILL)
        self._wait_until(lambda: self._gone(left), self._timing.herald_seconds)

    def _signal(self, member: Member, number: int) -> None:
        """Only pids not yet waited for are signalled, so never a stranger's."""
        if member.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.pid, number)
