from hookfarm import logs
from hookfarm.event_ingestor import telemetry
from hookfarm.event_ingestor.publisher import FAR_BLOCKS, LINE_SECONDS, CatchUpLog
from hookfarm.event_ingestor.telemetry import IngestorCounters, Telemetry, report
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard, State
from hookfarm.outage import Outage


class FakeLog(logs.FieldLogger):
    def __init__(self) -> None:
        super().__init__("test")
        self.lines: list[tuple[str, dict[str, object]]] = []

    def _log(self, level: int, action: str, fields: dict[str, object]) -> None:
        self.lines.append((action, fields))


class Setting:
    def __init__(self) -> None:
        child = Child("event_ingestor", 0, Scoreboard({"event_ingestor": 1}))
        self.slot = child.slot
        self.slot.state = State.UP
        self.log = FakeLog()
        self.now = 100.0
        telemetry = Telemetry(IngestorCounters(self.slot, 137), Outage(child, self.log), self.log)
        self.catch_up = CatchUpLog(137, telemetry, clock=lambda: self.now)

    @property
    def actions(self) -> list[str]:
        return [action for action, _ in self.log.lines]

    @property
    def shown(self) -> object:
        return report([self.slot])["chains"][0]["catch_up"]


def test_at_the_tip_nothing_is_said() -> None:
    setting = Setting()
    for number in range(100):
        setting.catch_up.update(number, number + FAR_BLOCKS)
        setting.catch_up.update(number + FAR_BLOCKS, number + FAR_BLOCKS)
    assert (setting.actions, setting.shown) == ([], None)


def test_far_behind_both_edges_are_said_and_a_line_every_ten_seconds() -> None:
    setting = Setting()
    for checkpoint in range(0, 3000, 10):
        setting.catch_up.update(checkpoint, 3000)
        setting.now += 0.1
    setting.catch_up.update(3000, 3000)
    lines = setting.log.lines
    assert setting.actions == ["catching up", "catching up", "catching up", "caught up"]
    assert lines[0][1] == {"chain": 137, "blocks_left": 3000}
    assert lines[1][1]["blocks_per_second"] == 100.0
    assert lines[1][1]["seconds_left"] == round((3000 - 10 * LINE_SECONDS * 10) / 100)
    assert lines[3][1] == {"chain": 137, "checkpoint": 3000, "blocks": 3000, "seconds": 30.0}


def test_the_status_shows_speed_and_time_left_until_it_has_caught_up() -> None:
    setting = Setting()
    setting.catch_up.update(0, 1000)
    assert setting.shown == {"blocks_per_second": 0.0, "remaining_ms": 0}
    setting.now += 2
    setting.catch_up.update(100, 1000)
    assert setting.shown == {"blocks_per_second": 50.0, "remaining_ms": 18_000}
    setting.catch_up.update(1000, 1000)
    assert setting.shown is None


def test_the_speed_is_that_of_the_last_seconds_and_survives_a_reorg() -> None:
    setting = Setting()
    setting.catch_up.update(0, 10_000)
    setting.now += 100
    setting.catch_up.update(100, 10_000)
    setting.now += 10
    setting.catch_up.update(1100, 10_000)
    assert setting.slot.counter(telemetry.BLOCKS_PER_SECOND) == 100_00
    setting.catch_up.update(1000, 10_000)
    setting.now += 1
    setting.catch_up.update(1050, 10_000)
    assert setting.slot.counter(telemetry.BLOCKS_PER_SECOND) == 50_00
