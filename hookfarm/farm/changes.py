"""What operators ask of a farm that runs: one process more or fewer, or everything anew.

    SIGTTIN, SIGTTOU   one more and one fewer of the elastic service, within 1 and what the board has room for
    SIGHUP             a fresh plan, and a rolling restart to it. What is wrong with the plan is said in one line
                       and changes nothing; a new child that does not come up brings the plan before it back

The kernel keeps one signal of a kind for a process that is not listening: two sent within the same fork are one.
"""

import signal
from collections.abc import Callable

from hookfarm import logs
from hookfarm.errors import HookfarmError
from hookfarm.farm.plan import Plan, Stage
from hookfarm.farm.rolling_restart import Roll, RollFailed
from hookfarm.farm.timing import Timing
from hookfarm.farm.workers import Crew

log = logs.get("master")

SIGNALS = (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU)

Replan = Callable[[], Plan | None]
"""A fresh plan; HookfarmError where it is not acceptable, None where the farm is to stop instead."""

Standing = tuple[Plan, dict[str, int]]
"""A plan and how many processes each service had of it."""


class Changes:
    """Heard at any moment, begun and driven by `step` once the farm is ready."""

    def __init__(self, crew: Crew, replan: Replan, timing: Timing) -> None:
        self._crew = crew
        self._replan = replan
        self._timing = timing
        self._more = 0
        self._anew = False
        self._roll: Roll | None = None
        self._before: Standing | None = None
        """What to return to where the roll fails."""

    def hear(self, number: int) -> None:
        """One of SIGNALS."""
        if number == signal.SIGHUP:
            self._anew = True
        else:
            self._more += 1 if number == signal.SIGTTIN else -1

    @property
    def rolling(self) -> bool:
        return self._roll is not None

    def step(self) -> bool:
        """Does what was heard and goes on with what has begun; False where the farm is to stop instead."""
        if self._anew:
            self._anew = False
            if not self._reload():
                return False
        if self._more:
            change, self._more = self._more, 0
            self._resize(change)
        if self._roll is not None:
            self._go_on(self._roll)
        return True

    # One more, one fewer

    def _resize(self, change: int) -> None:
        elastic = next((group for group in self._crew.plan.groups if group.elastic), None)
        if elastic is None:
            log.warning("not resized", why="nothing in this farm can be")
            return
        before = len(self._crew.wanted(elastic))
        count = min(max(1, before + change), self._crew.most(elastic))
        if count != before + change:
            why = f"from 1 to {self._crew.most(elastic)} are possible"
            log.warning("not resized so far", of=elastic.service, asked=before + change, why=why)
        if count != before:
            self._crew.want(elastic, count)
            log.info("resized", of=elastic.service, processes=count, before=before)

    # Everything anew

    def _reload(self) -> bool:
        try:
            plan = self._replan()
            if plan is None:
                return False
            counts = {group.service: group.count for group in plan.groups}
            self._check_room(plan)
        except HookfarmError as error:
            log.error("reload refused", why=str(error), consequence="the farm goes on as it is")
            return True
        except Exception as error:  # Whatever is wrong with what is new, the old farm goes on.
            log.exception("reload refused", why=f"{type(error).__name__}: {error}")
            return True
        if self._roll is None:
            self._before = self._crew.plan, self._counts()
        rolled = {g.service: g.count for g in plan.groups if g.stage == Stage.WORK and g.count}
        log.info("reloading", **rolled)
        self._begin(plan, counts)
        return True

    def _check_room(self, plan: Plan) -> None:
        for group in plan.groups:
            most = self._crew.most(group)
            if group.count > most:
                raise RollFailed(f"{group.service}: {group.count} processes, without a restart at most {most}")

    def _counts(self) -> dict[str, int]:
        return {group.service: len(self._crew.wanted(group)) for group in self._crew.plan.groups}

    def _begin(self, plan: Plan, counts: dict[str, int]) -> None:
        self._crew.adopt(plan)
        self._roll = Roll(self._crew, counts, self._timing)

    def _go_on(self, roll: Roll) -> None:
        try:
            if not roll.step():
                return
            log.info("reloaded" if self._before else "as before", after_s=round(roll.seconds, 1))
        except RollFailed as error:
            roll.abandon()
            if self._before is not None:
                log.error("reload failed", why=str(error), consequence="back to the configuration before")
                (plan, counts), self._before = self._before, None
                self._begin(plan, counts)
                return
            log.error("the configuration before does not come up either", why=str(error))
        self._roll = self._before = None
