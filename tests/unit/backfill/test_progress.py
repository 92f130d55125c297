from hookfarm.backfill.state import Progress
from hookfarm.cli.backfill import progress_line

PROGRESS = Progress(
    at_block=1200,
    blocks=200,
    total=1200,
    delivered_new=7,
    already_delivered=1,
    queued=3,
    logs_received=1500,
    blocks_per_second=100.0,
)


def test_the_time_left_follows_from_the_speed() -> None:
    assert PROGRESS.seconds_left == 10
    assert (
        progress_line(PROGRESS)
        == "200 of 1,200 blocks  1,500 logs read  7 matches  3 waiting  100.0 blocks/s  0:10 left"
    )


def test_while_it_does_not_get_on_it_says_why_instead() -> None:
    stuck = Progress(1200, 200, 1200, 7, 1, 3, 1500, 100.0, reason="Redis: gone\x1b[2J")
    assert stuck.seconds_left is None
    assert (
        progress_line(stuck) == "200 of 1,200 blocks  1,500 logs read  7 matches  3 waiting  Redis: gone\\x1b[2J"
    )
