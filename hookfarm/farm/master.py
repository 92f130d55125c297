"""The master: starts the farm's processes, keeps them running, and stops them.

Signal handlers only wake the loop, which does all the work. The master opens no connections and waits only for
signals and timers. It keeps reaping while everything else hangs.

    start   group by group in the given order, each once the previous one is ready. A group that is not ready after
            `boot_seconds` without progress, or a child that could not boot, ends the start with its reason. A
            child that its group does not require is retried while the farm runs
    turn    wait for a signal or the next fork -> reap -> kill overdue workers -> respawn -> resize or reload
    stop    the keeper, then the workers, then the dependencies; one deadline for all, which a second SIGTERM
            shortens
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
from hookfarm.farm import rolling_restart
from hookfarm.farm.plan import FarmPlan, MasterTimeouts, Stage, WorkerGroup
from hookfarm.farm.rolling_restart import LoadPlan, Reconfiguration
from hookfarm.farm.scoreboard import Scoreboard
from hookfarm.farm.worker import WorkerProcess
from hookfarm.farm.workers import StartFailed, Workers, all_exited

log = logs.get("master")

STARTING_TURN_SECONDS = 0.005
RESTARTING_TURN_SECONDS = 0.02
TURN_SECONDS = 0.2
REPEAT_SIGTERM_SECONDS = 0.4
PROGRESS_REPORT_SECONDS = 2.0
"""Interval of log lines about a group that is not ready yet."""
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Master:
    """Master of `groups`, which run until a stop signal. One per process; call `run` in the main thread.

    SIGHUP calls `load_plan` for a new plan; without `load_plan` it stops the farm.
    """

    def __init__(
        self,
        groups: Sequence[WorkerGroup],
        scoreboard: Scoreboard,
        grace_seconds: float,
        timeouts: MasterTimeouts | None = None,
        load_plan: LoadPlan = lambda: None,
    ) -> None:
        self._scoreboard = scoreboard
        self._timeouts = timeouts or MasterTimeouts()
        self._workers = Workers(FarmPlan(groups, grace_seconds), scoreboard, self._timeouts, self._close_inherited)
        self._reconfiguration = Reconfiguration(self._workers, load_plan, self._timeouts)
        self._begun: set[str] = set()
        """Services whose start has begun."""
        self._deadline: float | None = None
        self._stop_repeated = False
        """Whether a second stop signal has arrived."""
        self._last_sigterm_at = 0.0
        """Time of the last SIGTERM to the workers (monotonic)."""
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Run until stopped. Raises StartFailed, after stopping everything, if the start failed."""
        setproctitle("hookfarm: master")
        self._handle_signals()
        _disable_core_dumps()
        try:
            self._start()
            if on_ready and not self._stopping:
                on_ready()
            while not self._stopping:
                self._turn(RESTARTING_TURN_SECONDS if self._reconfiguration.is_restarting else TURN_SECONDS)
                if not self._stopping and not self._reconfiguration.step():
                    self._on_stop_signal(signal.SIGHUP)
        finally:
            self._stop()

    @property
    def _stopping(self) -> bool:
        return self._deadline is not None

    def _close_inherited(self) -> None:
        """Close the master's descriptors in a child."""
        os.close(self._woken)
        os.close(self._waker)

    # Signals

    def _handle_signals(self) -> None:
        """Install the handlers. Each delivered signal's number arrives by a pipe.

        Python's handlers would merge several signals of one kind.
        """
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        handled = (*_STOP_SIGNALS, *rolling_restart.SIGNALS, signal.SIGCHLD)
        for number in handled:
            signal.signal(number, _noop_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)  # The parent may have blocked them.

    def _read_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                for number in os.read(self._woken, 4096):
                    self._on_signal(number)

    def _on_signal(self, number: int) -> None:
        if number in _STOP_SIGNALS:
            self._on_stop_signal(number)
        elif number in rolling_restart.SIGNALS:
            self._reconfiguration.receive(number)

    def _on_stop_signal(self, number: int) -> None:
        now = time.monotonic()
        grace_seconds = self._workers.plan.grace_seconds
        if self._deadline is None:
            log.info("stopping", signal=signal.Signals(number).name, grace_seconds=grace_seconds)
            self._deadline = now + grace_seconds
            self._workers.stopping = True
        else:
            self._deadline = min(self._deadline, now + self._timeouts.second_sigterm_seconds)
            self._stop_repeated = True

    # Start

    def _start(self) -> None:
        groups = self._workers.plan.groups
        for group in groups:
            if group.prepare is not None:
                self._spawn_all(group)
        for group in groups:
            self._begin(group)
            self._await_ready(group)
            if self._stopping:
                return
        self._workers.starting = False

    def _begin(self, group: WorkerGroup) -> None:
        self._begun.add(group.service)
        if group.prepare is None:
            self._spawn_all(group)
            return
        for worker in self._workers.of(group):
            worker.heartbeat(self._timeouts.boot_seconds)
            self._workers.close_gate(worker)

    def _spawn_all(self, group: WorkerGroup) -> None:
        for worker in self._workers.of(group):
            self._spawn(worker)

    def _spawn(self, worker: WorkerProcess) -> None:
        self._workers.spawn(worker, gated=worker.group.service not in self._begun)

    def _await_ready(self, group: WorkerGroup) -> None:
        """Wait until the group is ready. Raises StartFailed after `boot_seconds` without progress."""
        furthest, since = 0, time.monotonic()
        next_report = since + PROGRESS_REPORT_SECONDS
        while not self._stopping and not self._is_ready(group):
            progress, now = self._progress(group), time.monotonic()
            if progress > furthest:
                furthest, since = progress, now
            elif self._can_go_on(group, now > since + self._timeouts.boot_seconds):
                log.warning("started without", service=group.service, missing=self._missing(group))
                return
            elif now > since + self._timeouts.boot_seconds:
                raise StartFailed(self._why_not_ready(group))
            if furthest and now > next_report:
                next_report = now + PROGRESS_REPORT_SECONDS
                log.info("starting", service=group.service, waiting_for=self._missing(group))
            self._turn(STARTING_TURN_SECONDS)

    def _progress(self, group: WorkerGroup) -> int:
        return sum(group.progress(slot) for worker in self._workers.of(group) for slot in worker.slots)

    def _is_ready(self, group: WorkerGroup) -> bool:
        if group.ready_when_announced and group.count:
            return self._scoreboard.is_ready(group.service)
        return all(worker.is_up for worker in self._workers.of(group))

    def _can_go_on(self, group: WorkerGroup, is_overdue: bool) -> bool:
        """Return whether a group has what it requires, and the others have had their time or are in trouble."""
        slots = self._workers.target_slots(group)
        missing = [slot for slot in slots if not slot.is_up]
        if group.required is None or not missing:
            return False
        has_required = group.has_required([place for place, slot in enumerate(slots) if slot.is_up])
        return has_required and (is_overdue or all(slot.is_in_trouble for slot in missing))

    def _why_not_ready(self, group: WorkerGroup) -> str:
        within = f"within {self._timeouts.boot_seconds:g}s"
        return f"{group.service} did not signal readiness {within}: {self._missing(group)}"

    def _missing(self, group: WorkerGroup) -> str:
        """Return the names of workers that are not up, at most five."""
        missing = [worker.describe() for worker in self._workers.of(group) if not worker.is_up]
        if not missing:
            # All workers are up, so the keeper could not publish the readiness.
            missing = [f"not published by {keeper.describe()}" for keeper in self._workers.in_stage(Stage.KEEPER)]
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        return ", ".join(missing[:5]) + more

    # One turn

    def _turn(self, seconds: float) -> None:
        self._wait_for_signal(seconds)
        self._workers.reap()
        self._workers.kill_overdue()
        if not self._stopping:
            for worker in self._workers.due():
                self._spawn(worker)

    def _wait_for_signal(self, seconds: float) -> None:
        """Wait until a signal arrives or a fork is due, at most `seconds`."""
        select.select([self._woken], [], [], max(0.0, min(seconds, self._workers.next_due_in())))
        self._read_signals()

    # Stop

    def _stop(self) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + min(
                self._workers.plan.grace_seconds, self._timeouts.second_sigterm_seconds
            )
        self._workers.stopping = True
        keepers, workers, dependencies = (self._workers.in_stage(stage) for stage in Stage)
        self._workers.terminate(keepers)
        self._wait_until(lambda: all(k.is_quiet for k in keepers), self._timeouts.keeper_stop_seconds)
        self._terminate_workers(workers)
        self._wait_until(lambda: self._await_exit(workers), None)
        self._kill(workers)
        self._wait_until(lambda: all_exited(keepers), self._timeouts.keeper_stop_seconds)
        self._kill(keepers)
        self._workers.terminate(dependencies)
        self._wait_until(lambda: all_exited(dependencies), self._timeouts.dependency_stop_seconds)
        self._kill(dependencies)
        signal.set_wakeup_fd(-1)
        log.info("stopped")

    def _wait_until(self, done: Callable[[], bool], seconds: float | None) -> None:
        """Wait for `done`, at most `seconds`; None = until the farm's deadline, which a signal may shorten."""
        began = time.monotonic()
        while not done():
            now = time.monotonic()
            limit = self._deadline if seconds is None else began + seconds
            if limit is not None and now >= limit:
                return
            select.select([self._woken], [], [], TURN_SECONDS)
            self._read_signals()
            self._workers.reap()

    def _await_exit(self, workers: Sequence[WorkerProcess]) -> bool:
        """Return whether the processes have exited.

        After a second stop signal they get another SIGTERM with a delay: two at once would arrive as one.
        """
        if self._stop_repeated and time.monotonic() - self._last_sigterm_at >= REPEAT_SIGTERM_SECONDS:
            self._terminate_workers(workers)
        return all_exited(workers)

    def _terminate_workers(self, workers: Sequence[WorkerProcess]) -> None:
        self._last_sigterm_at = time.monotonic()
        self._workers.terminate(workers)

    def _kill(self, workers: Sequence[WorkerProcess]) -> None:
        left = self._workers.kill(workers)
        self._wait_until(lambda: all_exited(left), self._timeouts.keeper_stop_seconds)


def _disable_core_dumps() -> None:
    """Disable core dumps, which would contain all secrets: hung children get SIGABRT.

    The hard limit stays, so that an operator can enable them for a process (prlimit).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _noop_handler(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: Python writes each handled signal's number to the wakeup descriptor."""
