import pytest

from hookfarm.cli.demo.audit import DeliveryAudit, problem, summary
from hookfarm.cli.live.display import LineDisplay, line
from hookfarm.cli.live.view_model import AuditCounts, ChainLine, Quantiles, ViewModel


def audited(emitted: int, verified: int) -> DeliveryAudit:
    made = DeliveryAudit()
    made.add_logs(f"0xab:{number}" for number in range(emitted))
    for number in range(verified):
        made.add_webhook(f"0xab:{number}", f"msg_{number}")
    return made


def test_the_summary_puts_emitted_and_delivered_under_each_other() -> None:
    lines = summary(audited(1234, 1234), ViewModel(24.7, post_since_start=Quantiles(0.001, 0.02)), 25).splitlines()
    assert lines[1].startswith("  emitted on chain        1,234   25 blocks in 24.7 s")
    assert lines[2].startswith("  delivered and verified  1,234 ")
    assert lines[3] == "  POST                    p50 1.0 ms, p99 20 ms"
    assert problem(audited(1234, 1234), 0) == ""


def test_deliveries_that_came_again_and_failed_attempts_are_shown_where_there_were_any() -> None:
    counted = audited(3, 3)
    counted.add_webhook("0xab:0", "msg_0")
    text = summary(counted, ViewModel(100, failed_attempts=2), 1)
    assert "delivered again         1" in text
    assert "failed attempts         2" in text
    assert "1 block in 1:40" in text


def test_what_is_missing_is_counted_and_the_first_of_it_named() -> None:
    assert problem(audited(5, 3), 0) == (
        "hookfarm: 2 of 5 webhooks did not arrive, the first is log 3 of block 0xab"
    )


def test_other_problems_are_named_too() -> None:
    counted = audited(1, 1)
    counted.add_webhook("0xcd:0", "msg_9")
    text = problem(counted, 4)
    assert "1 webhooks match no log" in text
    assert "4 had an invalid signature" in text
    assert problem(audited(0, 0), 0) == "hookfarm: no logs were emitted"


def test_a_line_of_progress_has_chain_counts_rate_and_latency() -> None:
    model = ViewModel(
        2.0, chains=(ChainLine(1, 5, 5, 9),), per_second=50.0, post=Quantiles(0.001, 0.02),
        queue={"queued": 3}, audit=AuditCounts(10, 9),
    )  # fmt: skip
    assert line(model) == (
        "   2.0 s  block 5  emitted 10  verified 9  50.0/s  POST p50 1.0 ms p99 20 ms  queued 3"
    )


def test_progress_is_said_at_the_first_webhook_and_every_two_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    lines = LineDisplay(2.0)
    for tenths in range(50):
        lines.show(ViewModel(tenths / 10, audit=AuditCounts(1, int(tenths >= 3))))
    times = [text.split(" s ")[0].strip() for text in capsys.readouterr().out.splitlines()]
    assert times == ["0.3", "2.0", "4.0"]


def test_without_an_audit_a_line_has_what_waits_in_the_queue() -> None:
    queue = {"queued": 3, "open": 4, "parked": 5, "retry": 6, "dead": 7}
    assert line(ViewModel(2.0, delivered=8, queue=queue)) == (
        "   2.0 s  delivered 8  -/s  POST p50 - p99 -  queued 3  parked 5  retry 6  dead 7"
    )


def test_progress_can_be_said_from_the_first_look_on(capsys: pytest.CaptureFixture[str]) -> None:
    lines = LineDisplay(1.0, at_once=True)
    for tenths in range(25):
        lines.show(ViewModel(tenths / 10))
    times = [text.split(" s ")[0].strip() for text in capsys.readouterr().out.splitlines()]
    assert times == ["0.0", "1.0", "2.0"]
