import pytest

from hookfarm import logs
from hookfarm.message_processor.outage import LONGEST_WAIT_SECONDS, Outage


def test_the_waits_grow_up_to_the_longest_and_begin_again_after_a_recovery() -> None:
    outage = Outage(logs.get("test"))
    waits = [outage.failed("gone") for _ in range(20)]
    assert waits[0] < 0.1
    assert all(LONGEST_WAIT_SECONDS / 2 <= wait <= LONGEST_WAIT_SECONDS for wait in waits[10:])
    outage.over()
    assert outage.failed("gone") < 0.1


def test_only_the_first_failure_and_the_recovery_are_said(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(logs.get("test"))
    with caplog.at_level("INFO", logger="test"):
        outage.over()
        outage.failed("gone")
        outage.failed("still gone")
        outage.over()
        outage.over()
    assert [record.getMessage() for record in caplog.records] == ["redis lost", "redis back"]
