"""A rolling restart: every worker is replaced by one of the plan in force, a few at a time.

Group by group in the order of the plan, so that each consumer is new before its producer:

    leave   places that are not wanted any more are empty, before anybody takes over what was done there
    turn    while fewer than `at_once` are missing, one more old child is told to leave; whoever was missing
            already is told, or forked anew, at once: the plan may be the cure
    done    every wanted place is filled by a new child that is up

Who is missing for the roll alone is excused, so that the service stays ready. A new child that does not come up
ends the roll: whoever ordered it decides what then.
"""

import time
from collections import deque

from hookfarm.errors import OperatorError
from hookfarm.farm.plan import Group, Stage
from hookfarm.farm.timing import Timing
from hookfarm.farm.worker import Member
from hookfarm.farm.workers import Crew

CHANCES = 3
"""So often may a new child go before it has come up: the first may have been killed by somebody."""


class RollFailed(OperatorError):
    """A child of the new plan did not come up; str() names it and says why."""


class Roll:
    """One rolling restart to `crew.plan`; `step` is one look at it."""

    def __init__(self, crew: Crew, counts: dict[str, int], timing: Timing) -> None:
        """`counts`: how many places each service is to have."""
        self._crew = crew
        self._timing = timing
        self._began = time.monotonic()
        self._left = deque(group for group in crew.plan.groups if group.stage == Stage.WORK)
        for group in self._left:
            self._resize(group, counts[group.service])

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began

    def step(self) -> bool:
        """Goes on as far as it can; True once all is done. RollFailed where a new child did not come up."""
        while self._left:
            if not self._replaced(self._left[0]):
                return False
            self._left.popleft()
        return True

    def abandon(self) -> None:
        """Nobody is excused any more."""
        for member in self._crew.members:
            member.slot.excuse(0)

    def _resize(self, group: Group, count: int) -> None:
        before = len(self._crew.wanted(group))
        self._crew.want(group, count)
        for member in self._crew.wanted(group)[before:]:
            member.slot.excuse(self._timing.boot_seconds)

    def _replaced(self, group: Group) -> bool:
        members = self._crew.wanted(group)
        if any(member.pid for member in self._crew.of(group)[len(members) :]):
            return False
        for member in members:
            self._look_at_new(member)
        self._tell_old(group, members)
        return all(member.up and member.fresh for member in members)

    def _look_at_new(self, member: Member) -> None:
        if not member.fresh:
            return
        if member.up:
            member.slot.excuse(0)
        elif member.pid == 0 and not member.came_up and member.quick_exits >= CHANCES:
            raise RollFailed(f"{member.name} could not start: {member.slot.reason}")
        elif member.pid and not member.came_up and member.lived() > self._timing.roll_seconds:
            raise RollFailed(f"{member.describe()} did not come up within {self._timing.roll_seconds:g}s")

    def _tell_old(self, group: Group, members: list[Member]) -> None:
        missing = sum(not member.up or member.told is not None for member in members)
        for member in members:
            if member.fresh or member.told is not None:
                continue
            if member.pid == 0:
                self._crew.replace_now(member)
            elif not member.up:
                self._crew.ask_to_leave(member)
            elif missing < group.at_once:
                missing += 1
                member.slot.excuse(self._crew.plan.grace_seconds + self._timing.boot_seconds)
                self._crew.ask_to_leave(member)
