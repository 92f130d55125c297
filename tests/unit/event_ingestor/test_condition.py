from hookfarm import logs
from hookfarm.event_ingestor.condition import Condition
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard, State
from hookfarm.store.keys import EVENT_INGESTOR

BOOTING, UP, STALLED = State.BOOTING, State.UP, State.STALLED


class FakeLog(logs.FieldLogger):
    def __init__(self) -> None:
        super().__init__("test")
        self.lines: list[tuple[str, dict[str, object]]] = []

    def _log(self, level: int, action: str, fields: dict[str, object]) -> None:
        self.lines.append((action, fields))


class Setting:
    def __init__(self) -> None:
        self.child = Child(EVENT_INGESTOR, 0, Scoreboard({EVENT_INGESTOR: 1}))
        self.child.slot.state = State.BOOTING
        self.log = FakeLog()
        self.now = 100.0
        self.condition = Condition(self.child, 137, self.log, clock=lambda: self.now)

    @property
    def state(self) -> State:
        return self.child.slot.state


def test_nothing_is_told_before_the_boot_is_over() -> None:
    setting = Setting()
    setting.condition.wrong("chain", "no node")
    assert setting.state == BOOTING
    setting.condition.right("chain")
    assert setting.state == BOOTING


def test_what_went_wrong_while_booting_is_remembered_as_the_reason() -> None:
    setting = Setting()
    setting.condition.wrong("chain", "no node")
    assert setting.condition.reason == "no node"


def test_booted_with_nothing_wrong_is_up() -> None:
    setting = Setting()
    setting.condition.wrong("chain", "no node")
    setting.condition.right("chain")
    setting.condition.booted()
    assert setting.state == UP


def test_stalled_with_the_reason_until_all_is_right_again() -> None:
    setting = Setting()
    setting.condition.booted()
    setting.condition.wrong("chain", "no node")
    setting.condition.wrong("redis", "no server")
    assert (setting.state, setting.child.slot.reason) == (STALLED, "no node")
    setting.condition.right("chain")
    assert (setting.state, setting.child.slot.reason) == (STALLED, "no server")
    setting.condition.right("redis")
    assert (setting.state, setting.child.slot.reason) == (UP, "")


def test_the_newest_reason_is_shown() -> None:
    setting = Setting()
    setting.condition.booted()
    setting.condition.wrong("chain", "refused")
    setting.condition.wrong("chain", "another chain")
    assert setting.child.slot.reason == "another chain"


def test_only_the_first_failure_and_the_recovery_are_logged_with_the_downtime() -> None:
    setting = Setting()
    for reason in ("refused", "refused", "reset"):
        setting.condition.wrong("redis", reason)
        setting.now += 2
    setting.condition.right("redis")
    setting.condition.right("redis")
    assert setting.log.lines == [
        ("redis unavailable", {"chain": 137, "reason": "refused"}),
        ("redis recovered", {"chain": 137, "down_seconds": 6.0}),
    ]
