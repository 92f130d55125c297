"""The crew: whoever fills the places of a farm. It forks, reaps, buries, murders and replaces, one by one.

A place is wanted or not (`want`), and who is to fill it is what the plan in force says (`adopt`). Whoever dies
unasked is replaced by the respawn policy; whoever was told to leave is replaced at once where the place is still
wanted, and not at all where it is not. A child may be killed for two reasons: its promise is broken, or it was
told to leave, alone or with the whole farm, and has used up its grace.
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
from hookfarm.farm.plan import Group, Plan, Stage
from hookfarm.farm.scoreboard import Board
from hookfarm.farm.spawn import fork, run_child
from hookfarm.farm.timing import Timing
from hookfarm.farm.worker import Member, cause_of_death

log = logs.get("master")


class StartFailed(OperatorError):
    """The farm did not get ready; str() names who and why."""


class Crew:
    """All members of a farm, in the order of their groups. `let_go` is called in each child, to close what the
    master holds open."""

    def __init__(self, plan: Plan, board: Board, timing: Timing, let_go: Callable[[], None]) -> None:
        self.plan = plan
        self.starting = True
        self.stopping = False
        self._board = board
        self._timing = timing
        self._let_go = let_go
        self._master_pid = os.getpid()
        self._places: dict[str, list[Member]] = {group.service: [] for group in plan.groups}
        self._by_pid: dict[int, Member] = {}
        for group in plan.groups:
            board.want(group.service, group.count)
            self._make_places(group, group.count)

    @property
    def members(self) -> list[Member]:
        return [member for places in self._places.values() for member in places]

    def of(self, group: Group) -> list[Member]:
        """All places of its service, also those that are not wanted any more."""
        return self._places[group.service]

    def wanted(self, group: Group) -> list[Member]:
        return self.of(group)[: self._board.wanted(group.service)]

    def in_stage(self, stage: Stage) -> list[Member]:
        return [member for member in self.members if member.group.stage == stage]

    # What is wanted

    def adopt(self, plan: Plan) -> None:
        """Whoever is forked from now on is of this plan."""
        self.plan = plan
        for group in plan.groups:
            for member in self.of(group):
                member.group = group

    def want(self, group: Group, count: int) -> None:
        """So many places from now on: those beyond are told to leave, new ones are filled in the next turn."""
        self._board.want(group.service, count)
        self._make_places(group, count)
        for member in self.of(group)[:count]:
            if member.pid == 0 and member.due is None:
                self.replace_now(member)
        for member in self.of(group)[count:]:
            self._unwant(member)

    def most(self, group: Group) -> int:
        """How many places its service may have."""
        return self._board.slots(group.service).most

    def replace_now(self, member: Member) -> None:
        """Fills an empty place in this turn, whatever became of its last ones."""
        member.quick_exits = 0
        self._fork_in(member, 0.0)

    def _make_places(self, group: Group, count: int) -> None:
        places, slots = self.of(group), self._board.slots(group.service)
        places += [Member(group, index, slots[index]) for index in range(len(places), count)]

    def _unwant(self, member: Member) -> None:
        member.due = None
        if member.pid:
            self.ask_to_leave(member)
        else:
            member.slot.vacate()

    # Reap

    def reap(self) -> None:
        """Waits for whoever is gone, strangers included: as PID 1 of a container the master inherits them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            member = self._by_pid.pop(pid, None)
            if member is not None:
                self._bury(member, status)

    def _bury(self, member: Member, status: int) -> None:
        member.note_up()
        member.slot.vacate()
        member.pid = 0
        killed = member.aborted is None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        member.aborted = None
        self.close_gate(member)
        if self.stopping:
            log.debug("child left", child=member.name, cause=cause_of_death(status))
        elif member.told is not None:
            self._let_leave(member, status)
        else:
            self._mourn(member, status, killed)

    def _let_leave(self, member: Member, status: int) -> None:
        member.told = None
        say = log.warning if status else log.debug
        say("child left", child=member.name, cause=cause_of_death(status))
        if member.index < self._board.wanted(member.group.service):
            self.replace_now(member)

    def _mourn(self, member: Member, status: int, killed: bool) -> None:
        cause = cause_of_death(status)
        could_not_boot = os.WIFEXITED(status) and os.WEXITSTATUS(status) == EXIT_COULD_NOT_BOOT
        if self.starting and could_not_boot:
            raise StartFailed(f"{member.name} could not start: {member.slot.reason}")
        if self.starting and member.group.stage == Stage.BASE:
            raise StartFailed(f"{member.name} could not start: {cause}; {member.slot.reason}")
        member.slot.mourn()
        wait = self._postpone(member, killed)
        log.warning(
            "child died", child=member.name, cause=cause, reason=member.slot.reason, again_in=round(wait, 2)
        )
        member.slot.reason = member.slot.reason or cause

    def _postpone(self, member: Member, killed: bool = False) -> float:
        """Sets the date of its next fork and returns how many seconds that is away."""
        lived = member.lived()
        member.quick_exits = respawn.quick_exits_after(member.quick_exits, member.came_up, lived, killed)
        wait = respawn.wait_seconds(member.quick_exits, random.random(), killed)
        self._fork_in(member, wait)
        return wait

    @staticmethod
    def _fork_in(member: Member, seconds: float) -> None:
        member.due = time.monotonic() + seconds
        member.slot.await_fork(seconds, member.quick_exits)

    # Murder

    def murder(self) -> None:
        now = time.monotonic()
        for member in self._by_pid.values():
            member.note_up()
            if member.aborted is not None:
                if now - member.aborted > self._timing.abort_seconds:
                    self.signal(member, signal.SIGKILL)
            elif self._hangs(member):
                log.error("child hangs", child=member.name, seconds_late=round(member.slot.seconds_late(), 1))
                member.aborted = now
                self.signal(member, signal.SIGABRT)
            elif member.told is not None and now - member.told > self.plan.grace_seconds:
                log.warning("killed", child=member.name, why="did not leave in time")
                member.aborted = now
                self.signal(member, signal.SIGKILL)

    def _hangs(self, member: Member) -> bool:
        """A child that waits for its turn has promised nothing yet."""
        return member.gate < 0 and member.slot.seconds_late() > self._timing.hang_seconds

    # Fork

    def due(self) -> list[Member]:
        """Whose date has come."""
        now = time.monotonic()
        return [member for member in self.members if member.due is not None and member.due <= now]

    def next_due_in(self) -> float:
        """Seconds; negative where the date has passed, infinite where there is none."""
        dates = [member.due for member in self.members if member.due is not None]
        return min(dates, default=float("inf")) - time.monotonic()

    def spawn(self, member: Member, *, gated: bool = False) -> None:
        """Forks into its place; a gated child waits at its gate before it works."""
        member.due = None
        member.came_up = False
        member.spawned = time.monotonic()
        member.made_of = member.group
        member.slot.occupy(respawn.boot_seconds(self._timing.boot_seconds, member.quick_exits))
        try:
            self._fork(member, gated)
        except OSError as error:
            self._could_not_fork(member, error)

    def _fork(self, member: Member, gated: bool) -> None:
        reading = -1
        if gated:
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
        self.close_gate(member)
        member.slot.vacate()
        member.slot.reason = f"cannot fork: {error.strerror}"
        if self.starting:
            raise StartFailed(f"{member.name} could not start: {member.slot.reason}") from error
        wait = self._postpone(member)
        log.error("cannot fork", child=member.name, error=error.strerror, again_in=round(wait, 2))

    def _live(self, member: Member, gate: int) -> int:
        """In the child: lets go of what is the master's and becomes the member."""
        self._let_go()
        for other in self.members:
            self.close_gate(other)
        group = member.group
        try:
            child = Child(group.service, member.index, self._board, self.plan.grace_seconds, self._master_pid)
        except OSError as error:
            member.slot.reason = f"cannot begin: {error.strerror}"
            return EXIT_COULD_NOT_BOOT
        return run_child(child, group.prepare, gate, group.main)

    @staticmethod
    def close_gate(member: Member) -> None:
        if member.gate >= 0:
            os.close(member.gate)
            member.gate = -1

    # Tell

    def ask_to_leave(self, member: Member) -> None:
        """SIGTERM to one while the farm goes on; again has no effect."""
        if member.told is None:
            member.told = time.monotonic()
            self.tell([member])

    def tell(self, members: Iterable[Member]) -> None:
        """SIGTERM; a second one says that the patience is over."""
        for member in members:
            member.slot.tell()
            self.signal(member, signal.SIGTERM)
            self.close_gate(member)  # Only now: it must know that it is to stop when its gate opens.

    def kill(self, members: Iterable[Member]) -> list[Member]:
        """SIGKILL for those that are left; returns them."""
        left = [member for member in members if member.pid]
        for member in left:
            log.warning("killed", child=member.name, why="did not stop in time")
            self.signal(member, signal.SIGKILL)
        return left

    @staticmethod
    def signal(member: Member, number: int) -> None:
        """Only pids not yet waited for are signalled, so never a stranger's."""
        if member.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.pid, number)


def gone(members: Sequence[Member]) -> bool:
    return all(member.pid == 0 for member in members)
