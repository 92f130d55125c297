"""Search for the best of a peer's settings on a course."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from support import contest, report
from support.contest import Course
from support.peers import InstalledPeer, PeerContestant, Setting

TRIAL_JOBS = 10_000
TRIAL_SECONDS = 2.0
SPARE = 2.0
"""Jobs of a backlog as a multiple of the expected deliveries."""


@dataclass(frozen=True)
class TriedPeer(PeerContestant):
    """A peer with its best setting, and its deliveries a second in the trial; 0 = no trial."""

    rate: float = 0.0


def best_setting(peer: InstalledPeer, settings: Sequence[Setting], course: Course) -> TriedPeer:
    """Return the peer with its best setting; without a trial if there is only one."""
    if len(settings) == 1:
        return TriedPeer(peer, settings[0])
    tried = [_try(peer, setting, course) for setting in settings]
    rates = {str(one.setting): one.rate for one in tried}
    report.print_numbers(f"{peer.peer.name}: deliveries a second by processes x tasks", rates)
    return max(tried, key=lambda one: one.rate)


def sized(contestant: TriedPeer, course: Course) -> Course:
    """Return the course with a backlog for this contestant: some peers enqueue much slower than they deliver."""
    if not contestant.rate:
        return course
    seconds = contest.warm_up_seconds(course) + course.seconds
    return replace(course, jobs=min(course.jobs, max(TRIAL_JOBS, int(SPARE * contestant.rate * seconds))))


def _try(peer: InstalledPeer, setting: Setting, course: Course) -> TriedPeer:
    seconds = min(course.seconds, max(TRIAL_SECONDS, course.delay_seconds))
    short = replace(course, jobs=min(course.jobs, TRIAL_JOBS), seconds=seconds)
    rate = float(contest.run(PeerContestant(peer, setting), short)["deliveries_per_second"])
    return TriedPeer(peer, setting, rate)
