"""Changes of a running farm: one process more or less, or a rolling restart of all workers.

    SIGTTIN, SIGTTOU   add and remove a process of the resizable service, from 1 to its capacity
    SIGHUP             load a new plan and restart to it. An invalid plan is logged and ignored. If a new process
                       does not become ready, the farm returns to the previous plan

The kernel merges pending signals of one kind: two signals sent during a fork count as one.

A rolling restart goes group by group in plan order, so that each consumer is new before its producer:

    shrink   wait until the slots beyond the target count are empty, before other workers take over their work
    replace  while fewer than `max_unavailable` workers are missing, retire one more old process. A process that
             is not up is retired, or forked again, at once: the new plan may fix it
    done     each slot within the target count has a new process that is up

Processes missing because of the restart are marked as being replaced, so that the service stays ready.
"""

import signal
import time
from collections import deque
from collections.abc import Callable

from hookfarm import logs
from hookfarm.errors import HookfarmError, OperatorError
from hookfarm.farm.plan import FarmPlan, MasterTimeouts, Stage, WorkerGroup
from hookfarm.farm.scoreboard import Slot, State
from hookfarm.farm.worker import WorkerProcess
from hookfarm.farm.workers import Workers

log = logs.get("master")

SIGNALS = (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU)
MAX_CRASHES = 3
"""Failed boots of one process that fail the restart; a single one may be an accident (an OOM kill)."""

LoadPlan = Callable[[], FarmPlan | None]
"""Function that loads a new plan. Raises HookfarmError if invalid; returns None to stop the farm."""


class RestartFailed(OperatorError):
    """A process of the new plan did not become ready; str() names it and the reason."""


class RollingRestart:
    """A rolling restart to `workers.plan`; call `step` until it returns True."""

    def __init__(self, workers: Workers, counts: dict[str, int], timeouts: MasterTimeouts) -> None:
        """Begin a restart; `counts` are the target counts of the services."""
        self._workers = workers
        self._timeouts = timeouts
        self._began = time.monotonic()
        self._left = deque(group for group in workers.plan.groups if group.stage == Stage.WORKERS)
        for group in self._left:
            self._resize(group, counts[group.service])
        self._excused = {
            slot
            for group in self._left
            if group.required is not None
            for slot in workers.target_slots(group)
            if slot.is_in_trouble
        }
        """Slots in trouble before the restart, in groups that do not require them all."""

    @property
    def seconds(self) -> float:
        """Duration of the restart so far."""
        return time.monotonic() - self._began

    def step(self) -> bool:
        """Advance as far as possible; return whether done. Raises RestartFailed if a process fails."""
        while self._left:
            if not self._advance(self._left[0]):
                return False
            self._left.popleft()
        return True

    def abandon(self) -> None:
        """Clear the replacing marks of all processes."""
        for worker in self._workers.all:
            self._workers.mark_replacing(worker, 0)

    def _resize(self, group: WorkerGroup, count: int) -> None:
        before = self._workers.target(group)
        self._workers.resize(group, count)
        for slot in self._workers.target_slots(group)[before:]:
            slot.mark_replacing(self._timeouts.boot_seconds)

    def _advance(self, group: WorkerGroup) -> bool:
        """Advance one group; return whether all its workers are replaced."""
        workers = self._workers.within_target(group)
        if any(worker.pid for worker in self._workers.of(group)[len(workers) :]):
            return False
        for worker in workers:
            self._check_new(worker)
        self._retire_old(group, workers)
        return all(worker.is_current and not self._missing(worker) for worker in workers)

    def _missing(self, worker: WorkerProcess) -> list[Slot]:
        """Return the slots that are not up, except for those that were in trouble before and are again."""
        return [
            slot for slot in worker.slots if not (slot.is_up or (slot in self._excused and slot.is_in_trouble))
        ]

    def _check_new(self, worker: WorkerProcess) -> None:
        if not worker.is_current:
            return
        timeouts, missing = self._timeouts, self._missing(worker)
        is_stalled = any(slot.state == State.STALLED for slot in missing)
        max_seconds = timeouts.boot_seconds if is_stalled else timeouts.restart_boot_seconds
        if not missing:
            self._workers.mark_replacing(worker, 0)
        elif worker.pid == 0 and not worker.has_come_up and worker.quick_exits >= MAX_CRASHES:
            raise RestartFailed(f"{worker.name} could not start: {worker.reason}")
        elif worker.pid and not worker.come_up.issuperset(missing) and worker.age_seconds() > max_seconds:
            raise RestartFailed(f"{worker.describe()} did not come up within {max_seconds:g}s")

    def _retire_old(self, group: WorkerGroup, workers: list[WorkerProcess]) -> None:
        missing = sum(bool(self._missing(worker)) or worker.retired_at is not None for worker in workers)
        for worker in workers:
            if worker.is_current or worker.retired_at is not None:
                continue
            if worker.pid == 0:
                self._workers.replace_now(worker)
            elif not worker.is_up:
                self._workers.retire(worker)
            elif missing < group.max_unavailable:
                missing += 1
                seconds = self._workers.plan.grace_seconds + self._timeouts.boot_seconds
                self._workers.mark_replacing(worker, seconds)
                self._workers.retire(worker)


class Reconfiguration:
    """Changes requested by signals (TTIN, TTOU, HUP), recorded at once and made by `step` in a ready farm."""

    def __init__(self, workers: Workers, load_plan: LoadPlan, timeouts: MasterTimeouts) -> None:
        self._workers = workers
        self._load_plan = load_plan
        self._timeouts = timeouts
        self._resize_by = 0
        self._reload_requested = False
        self._restart: RollingRestart | None = None
        self._previous: tuple[FarmPlan, dict[str, int]] | None = None
        """Plan and target counts to return to if the restart fails."""

    def receive(self, number: int) -> None:
        """Record a signal, one of SIGNALS."""
        if number == signal.SIGHUP:
            self._reload_requested = True
        else:
            self._resize_by += 1 if number == signal.SIGTTIN else -1

    @property
    def is_restarting(self) -> bool:
        return self._restart is not None

    def step(self) -> bool:
        """Make requested changes and advance the restart. Return False if the farm is to stop."""
        if self._reload_requested:
            self._reload_requested = False
            if not self._reload():
                return False
        if self._resize_by:
            change, self._resize_by = self._resize_by, 0
            self._resize(change)
        if self._restart is not None:
            self._advance(self._restart)
        return True

    # Resize

    def _resize(self, change: int) -> None:
        group = next((group for group in self._workers.plan.groups if group.resizable), None)
        if group is None:
            log.warning("not resized", reason="this farm has no resizable service")
            return
        capacity = self._workers.capacity(group)
        before = self._workers.target(group)
        count = min(max(1, before + change), capacity)
        if count != before + change:
            reason = f"the count must be from 1 to {capacity}"
            log.warning("resize limited", service=group.service, requested=before + change, reason=reason)
        if count != before:
            self._workers.resize(group, count)
            log.info("resized", service=group.service, processes=count, before=before)

    # Reload

    def _reload(self) -> bool:
        try:
            plan = self._load_plan()
            if plan is None:
                return False
            counts = {group.service: group.count for group in plan.groups}
            self._check_capacity(plan)
        except HookfarmError as error:
            log.error("reload refused", reason=str(error), consequence="the current configuration stays")
            return True
        except Exception as error:  # Whatever fails in loading a plan, the farm keeps the old one.
            log.exception("reload refused", reason=f"{type(error).__name__}: {error}")
            return True
        if self._restart is None:
            self._previous = self._workers.plan, self._counts()
        restarted = {g.service: g.count for g in plan.groups if g.stage == Stage.WORKERS and g.count}
        log.info("reloading", **restarted)
        self._begin(plan, counts)
        return True

    def _check_capacity(self, plan: FarmPlan) -> None:
        for group in plan.groups:
            capacity = self._workers.capacity(group)
            if group.count > capacity:
                raise RestartFailed(
                    f"{group.service}: {group.count} processes; without a restart at most {capacity}"
                )

    def _counts(self) -> dict[str, int]:
        return {group.service: self._workers.target(group) for group in self._workers.plan.groups}

    def _begin(self, plan: FarmPlan, counts: dict[str, int]) -> None:
        self._workers.use_plan(plan)
        self._restart = RollingRestart(self._workers, counts, self._timeouts)

    def _advance(self, restart: RollingRestart) -> None:
        try:
            if not restart.step():
                return
            log.info("reloaded" if self._previous else "reverted", duration_s=round(restart.seconds, 1))
        except RestartFailed as error:
            restart.abandon()
            if self._previous is not None:
                log.error("reload failed", reason=str(error), consequence="the previous configuration is restored")
                (plan, counts), self._previous = self._previous, None
                self._begin(plan, counts)
                return
            log.error("revert failed", reason=str(error))
        self._restart = self._previous = None
