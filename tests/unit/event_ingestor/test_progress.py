from hookfarm.event_ingestor import counters
from hookfarm.event_ingestor.counters import Gauges
from hookfarm.event_ingestor.progress import FAR_BLOCKS, LINE_SECONDS, Progress
from hookfarm.event_ingestor.status import report
from hookfarm.farm.scoreboard import Scoreboard, State
from tests.unit.event_ingestor.test_condition import FakeLog


class Setting:
    def __init__(self) -> None:
        [self.slot] = Scoreboard({"event_ingestor": 1}).slots("event_ingestor")
        self.slot.state = State.UP
        self.log = FakeLog()
        self.now = 100.0
        self.progress = Progress(137, Gauges(self.slot, 137), self.log, clock=lambda: self.now)

    @property
    def actions(self) -> list[str]:
        return [action for action, _ in self.log.lines]

    @property
    def shown(self) -> object:
        return report([self.slot])["chains"][0]["catch_up"]


def test_at_the_tip_nothing_is_said() -> None:
    setting = Setting()
    for number in range(100):
        setting.progress.at(number, number + FAR_BLOCKS)
        setting.progress.at(number + FAR_BLOCKS, number + FAR_BLOCKS)
    assert (setting.actions, setting.shown) == ([], None)


def test_far_behind_both_edges_are_said_and_a_line_every_ten_seconds() -> None:
    setting = Setting()
    for checkpoint in range(0, 3000, 10):
        setting.progress.at(checkpoint, 3000)
        setting.now += 0.1
    setting.progress.at(3000, 3000)
    lines = setting.log.lines
    assert setting.actions == ["catching up", "catching up", "catching up", "caught up"]
    assert lines[0][1] == {"chain": 137, "blocks_left": 3000}
    assert lines[1][1]["blocks_per_second"] == 100.0
    assert lines[1][1]["seconds_left"] == round((3000 - 10 * LINE_SECONDS * 10) / 100)
    assert lines[3][1] == {"chain": 137, "checkpoint": 3000, "blocks": 3000, "seconds": 30.0}


def test_the_status_shows_speed_and_time_left_until_it_has_caught_up() -> None:
    setting = Setting()
    setting.progress.at(0, 1000)
    assert setting.shown == {"blocks_per_second": 0.0, "remaining_ms": 0}
    setting.now += 2
    setting.progress.at(100, 1000)
    assert setting.shown == {"blocks_per_second": 50.0, "remaining_ms": 18_000}
    setting.progress.at(1000, 1000)
    assert setting.shown is None


def test_the_speed_is_that_of_the_last_seconds_and_survives_a_reorg() -> None:
    setting = Setting()
    setting.progress.at(0, 10_000)
    setting.now += 100
    setting.progress.at(100, 10_000)
    setting.now += 10
    setting.progress.at(1100, 10_000)
    assert setting.slot.counter(counters.BLOCKS_PER_SECOND) == 100_00
    setting.progress.at(1000, 10_000)
    setting.now += 1
    setting.progress.at(1050, 10_000)
    assert setting.slot.counter(counters.BLOCKS_PER_SECOND) == 50_00
