"""Worker processes of a farm: spawned, reaped, killed and replaced.

Each service has a target count of slots (`resize`), which its processes may share. Processes are forked from the
current plan (`use_plan`). After an unplanned exit, the respawn policy replaces the process. A retired process is
replaced at once if its slots are within the target count, else not. A process is killed if its heartbeat is late,
or if its grace period after SIGTERM is over.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Sequence

from hookfarm import logs
from hookfarm.errors import OperatorError
from hookfarm.farm import respawn
from hookfarm.farm.child import EXIT_COULD_NOT_BOOT, Child
from hookfarm.farm.plan import FarmPlan, MasterTimeouts, Stage, WorkerGroup
from hookfarm.farm.scoreboard import Scoreboard, Slot
from hookfarm.farm.spawn import exit_cause, fork, run_child
from hookfarm.farm.worker import WorkerProcess

log = logs.get("master")


class StartFailed(OperatorError):
    """The farm did not become ready; str() names the process and the reason."""


class Workers:
    """All worker processes of a farm, in the order of their groups.

    `close_inherited` is called in each child, to close the master's file descriptors.
    """

    def __init__(
        self, plan: FarmPlan, scoreboard: Scoreboard, timeouts: MasterTimeouts, close_inherited: Callable[[], None]
    ) -> None:
        self.plan = plan
        self.starting = True
        self.stopping = False
        self._scoreboard = scoreboard
        self._timeouts = timeouts
        self._close_inherited = close_inherited
        self._master_pid = os.getpid()
        self._by_service: dict[str, list[WorkerProcess]] = {group.service: [] for group in plan.groups}
        self._by_pid: dict[int, WorkerProcess] = {}
        for group in plan.groups:
            scoreboard.set_target(group.service, group.count)
            self._add_workers(group)

    @property
    def all(self) -> list[WorkerProcess]:
        return [worker for workers in self._by_service.values() for worker in workers]

    def of(self, group: WorkerGroup) -> list[WorkerProcess]:
        """Return all workers of a service, including workers beyond the target count."""
        return self._by_service[group.service]

    def within_target(self, group: WorkerGroup) -> list[WorkerProcess]:
        return self.of(group)[: self._scoreboard.process_count(group.service)]

    def target(self, group: WorkerGroup) -> int:
        """Return the target count of slots."""
        return self._scoreboard.target(group.service)

    def target_slots(self, group: WorkerGroup) -> Sequence[Slot]:
        return self._scoreboard.slots(group.service)[: self.target(group)]

    def places(self, worker: WorkerProcess) -> range:
        """Return the indices of the slots that the worker has from its next fork on."""
        return self._scoreboard.places(worker.group.service, worker.index)

    def mark_replacing(self, worker: WorkerProcess, seconds: float) -> None:
        """Allow the worker to be missing for `seconds`, while it is replaced; 0 ends this."""
        for place in self.places(worker):
            self._scoreboard.slots(worker.group.service)[place].mark_replacing(seconds)

    def in_stage(self, stage: Stage) -> list[WorkerProcess]:
        return [worker for worker in self.all if worker.group.stage == stage]

    # Plan and counts

    def use_plan(self, plan: FarmPlan) -> None:
        """Fork from this plan from now on."""
        self.plan = plan
        for group in plan.groups:
            for worker in self.of(group):
                worker.group = group

    def resize(self, group: WorkerGroup, count: int) -> None:
        """Set the target count of slots and retire workers beyond it; new ones are forked in the next turn."""
        self._scoreboard.set_target(group.service, count)
        self._add_workers(group)
        within = self.within_target(group)
        for worker in within:
            if worker.pid == 0 and worker.fork_at is None:
                self.replace_now(worker)
        for worker in self.of(group)[len(within) :]:
            self._remove(worker)

    def capacity(self, group: WorkerGroup) -> int:
        """Return the highest possible count of a service."""
        return self._scoreboard.slots(group.service).capacity

    def replace_now(self, worker: WorkerProcess) -> None:
        """Fork into an empty slot in this turn, without back-off."""
        worker.quick_exits = 0
        worker.schedule_fork(0.0)

    def _add_workers(self, group: WorkerGroup) -> None:
        workers, slots = self.of(group), self._scoreboard.slots(group.service)
        missing = range(len(workers), self._scoreboard.process_count(group.service))
        workers += [WorkerProcess(group, index, [slots[index]]) for index in missing]

    def _remove(self, worker: WorkerProcess) -> None:
        worker.fork_at = None
        if worker.pid:
            self.retire(worker)
        else:
            worker.on_exit()

    # Reap

    def reap(self) -> None:
        """Reap all exited children, including orphans that the master inherits as PID 1 of a container."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            worker = self._by_pid.pop(pid, None)
            if worker is not None:
                self._on_exit(worker, status)

    def _on_exit(self, worker: WorkerProcess, status: int) -> None:
        worker.record_up()
        worker.on_exit()
        killed = worker.aborted_at is None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        worker.aborted_at = None
        self.close_gate(worker)
        if self.stopping:
            log.debug("child left", child=worker.name, cause=exit_cause(status))
        elif worker.retired_at is not None:
            self._on_planned_exit(worker, status)
        else:
            self._handle_crash(worker, status, killed)

    def _on_planned_exit(self, worker: WorkerProcess, status: int) -> None:
        worker.retired_at = None
        write = log.warning if status else log.debug
        write("child left", child=worker.name, cause=exit_cause(status))
        if worker.index < self._scoreboard.process_count(worker.group.service):
            self.replace_now(worker)

    def _handle_crash(self, worker: WorkerProcess, status: int, killed: bool) -> None:
        cause, reason = exit_cause(status), worker.reason
        could_not_boot = os.WIFEXITED(status) and os.WEXITSTATUS(status) == EXIT_COULD_NOT_BOOT
        if self.starting and could_not_boot and not self._can_do_without(worker):
            raise StartFailed(f"{worker.name} could not start: {reason}")
        if self.starting and worker.group.stage == Stage.DEPENDENCIES:
            raise StartFailed(f"{worker.name} could not start: {cause}; {reason}")
        wait = self._schedule_respawn(worker, killed)
        log.warning("child died", child=worker.name, cause=cause, reason=reason, retry_in_s=round(wait, 2))
        worker.count_crash(cause)

    def _can_do_without(self, worker: WorkerProcess) -> bool:
        """Return whether the start may still succeed though this worker could not boot."""
        if worker.group.required is None:
            return False
        slots = enumerate(self.target_slots(worker.group))
        return worker.group.has_required(
            [place for place, slot in slots if slot not in worker.slots and not slot.crashes]
        )

    def _schedule_respawn(self, worker: WorkerProcess, killed: bool = False) -> float:
        """Schedule the next fork into a slot; return the seconds until then."""
        age = worker.age_seconds()
        worker.quick_exits = respawn.quick_exits_after(worker.quick_exits, worker.has_come_up, age, killed)
        wait = respawn.backoff_seconds(worker.quick_exits, random.random(), killed)
        worker.schedule_fork(wait)
        return wait

    # Kill

    def kill_overdue(self) -> None:
        """Abort and kill hung workers, and kill retired ones whose grace period is over."""
        now = time.monotonic()
        for worker in self._by_pid.values():
            worker.record_up()
            if worker.aborted_at is not None:
                if now - worker.aborted_at > self._timeouts.abort_seconds:
                    self.signal(worker, signal.SIGKILL)
            elif self._is_hung(worker):
                log.error("child hangs", child=worker.name, seconds_late=round(worker.seconds_late(), 1))
                worker.aborted_at = now
                self.signal(worker, signal.SIGABRT)
            elif worker.retired_at is not None and now - worker.retired_at > self.plan.grace_seconds:
                log.warning("killed", child=worker.name, reason="did not exit in time")
                worker.aborted_at = now
                self.signal(worker, signal.SIGKILL)

    def _is_hung(self, worker: WorkerProcess) -> bool:
        """Return whether a worker's heartbeat is late; False for a child that waits at its gate."""
        return worker.gate < 0 and worker.seconds_late() > self._timeouts.hang_seconds

    # Fork

    def due(self) -> list[WorkerProcess]:
        """Return the workers whose fork is due."""
        now = time.monotonic()
        return [worker for worker in self.all if worker.fork_at is not None and worker.fork_at <= now]

    def next_due_in(self) -> float:
        """Return the seconds until the next fork: negative if overdue, infinite without a scheduled fork."""
        dates = [worker.fork_at for worker in self.all if worker.fork_at is not None]
        return min(dates, default=float("inf")) - time.monotonic()

    def spawn(self, worker: WorkerProcess, *, gated: bool = False) -> None:
        """Fork into a worker's slot; a gated child waits at its gate before it starts its work."""
        slots = self._scoreboard.slots(worker.group.service)
        boot_seconds = respawn.boot_seconds(self._timeouts.boot_seconds, worker.quick_exits)
        worker.on_fork([slots[place] for place in self.places(worker)], boot_seconds)
        try:
            self._fork(worker, gated)
        except OSError as error:
            self._on_fork_failed(worker, error)

    def _fork(self, worker: WorkerProcess, gated: bool) -> None:
        read_end = -1
        if gated:
            read_end, worker.gate = os.pipe()
        try:
            pid = fork(lambda: self._child_main(worker, read_end), worker.group.death_signal)
        finally:
            if read_end >= 0:
                os.close(read_end)
        worker.on_forked(pid)
        self._by_pid[pid] = worker

    def _on_fork_failed(self, worker: WorkerProcess, error: OSError) -> None:
        """Schedule another fork after a failed one: the machine may be short of processes, memory or files."""
        self.close_gate(worker)
        worker.on_exit()
        reason = f"cannot fork: {error.strerror}"
        for slot in worker.slots:
            slot.reason = reason
        if self.starting:
            raise StartFailed(f"{worker.name} could not start: {reason}") from error
        wait = self._schedule_respawn(worker)
        log.error("cannot fork", child=worker.name, error=error.strerror, retry_in_s=round(wait, 2))

    def _child_main(self, worker: WorkerProcess, gate: int) -> int:
        """Run the child's side of the fork: close the master's descriptors, then run the group's `main`."""
        self._close_inherited()
        for other in self.all:
            self.close_gate(other)
        group, places = worker.group, self.places(worker)
        try:
            child = Child(
                group.service, worker.index, self._scoreboard, self.plan.grace_seconds, self._master_pid, places
            )
        except OSError as error:
            worker.slots[0].reason = f"cannot start: {error.strerror}"
            return EXIT_COULD_NOT_BOOT
        return run_child(child, group.prepare, gate, group.main)

    @staticmethod
    def close_gate(worker: WorkerProcess) -> None:
        if worker.gate >= 0:
            os.close(worker.gate)
            worker.gate = -1

    # Signals

    def retire(self, worker: WorkerProcess) -> None:
        """Send SIGTERM to one worker of the running farm, unless it is retired already."""
        if worker.retired_at is None:
            worker.retired_at = time.monotonic()
            self.terminate([worker])

    def terminate(self, workers: Iterable[WorkerProcess]) -> None:
        """Send SIGTERM; a second one ends the grace period."""
        for worker in workers:
            worker.request_stop()
            self.signal(worker, signal.SIGTERM)
            self.close_gate(worker)  # After SIGTERM, so that the child is to stop when its gate opens.

    def kill(self, workers: Iterable[WorkerProcess]) -> list[WorkerProcess]:
        """Send SIGKILL to the workers that have not exited; return them."""
        left = [worker for worker in workers if worker.pid]
        for worker in left:
            log.warning("killed", child=worker.name, reason="did not stop in time")
            self.signal(worker, signal.SIGKILL)
        return left

    @staticmethod
    def signal(worker: WorkerProcess, number: int) -> None:
        """Send a signal to a process that is not reaped yet; the pid of a reaped one may be reused."""
        if worker.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, number)


def all_exited(workers: Sequence[WorkerProcess]) -> bool:
    return all(worker.pid == 0 for worker in workers)
