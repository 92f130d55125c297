import pytest

from hookfarm.backfill.chain_view import ChainView
from hookfarm.delivery_queue import UnconfirmedJob
from hookfarm.delivery_queue.job import Job

JOB = Job("m", "ep", b"{}")


@pytest.mark.parametrize(
    ("view", "settled"),
    [
        (ChainView(1000, safe=990, finalized=980), 980),
        (ChainView(1000), 936),
        (ChainView(1000, finalized=10), 744),
    ],
)
def test_settled_is_what_is_final_or_deeper_than_the_ingestor_remembers(view: ChainView, settled: int) -> None:
    assert view.settled == settled


@pytest.mark.parametrize(
    ("view", "line", "reached"),
    [
        (ChainView(1000), "blocks", 1000),
        (ChainView(1000), "safe", 968),
        (ChainView(1000), "finalized", 936),
        (ChainView(1000, safe=950, finalized=900), "safe", 950),
        (ChainView(1000, safe=950, finalized=900), "finalized", 900),
    ],
)
def test_what_a_job_waits_for_is_reached_with_its_block(view: ChainView, line: str, reached: int) -> None:
    assert view.has_reached(UnconfirmedJob(JOB, line, reached))
    assert not view.has_reached(UnconfirmedJob(JOB, line, reached + 1))


def test_a_block_is_past_once_it_is_settled_and_its_events_have_left_the_stream() -> None:
    view = ChainView(1000, safe=990, finalized=980, handled=970)
    assert view.is_past(970)
    assert not view.is_past(971)
    assert not ChainView(1000, finalized=960, handled=970).is_past(961)
