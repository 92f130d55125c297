from hookfarm.webhook_delivery import counters
from hookfarm.webhook_delivery.rolling_quantiles import SECONDS, RecentTimes

FAST, SLOW = counters.bucket(1_000), counters.bucket(1_000_000)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def totals(fast: int, slow: int) -> list[int]:
    counts = [0] * counters.BUCKETS
    counts[FAST], counts[SLOW] = fast, slow
    return counts


def test_what_was_before_the_first_look_does_not_count() -> None:
    assert RecentTimes(Clock()).quantiles(totals(0, 100)) == {"p50": None, "p99": None}


def test_only_the_last_seconds_count() -> None:
    clock = Clock()
    recent = RecentTimes(clock)
    recent.quantiles(totals(0, 0))
    clock.now += 1
    slow = recent.quantiles(totals(0, 100))
    assert slow["p50"] == slow["p99"] == counters.bucket_limit(SLOW) / 1e6
    for second in range(1, int(SECONDS) + 3):
        clock.now += 1
        found = recent.quantiles(totals(second, 100))
    assert found == {name: counters.bucket_limit(FAST) / 1e6 for name in ("p50", "p99")}
    clock.now += SECONDS + 2
    recent.quantiles(totals(int(SECONDS) + 2, 100))
    clock.now += SECONDS + 2
    assert recent.quantiles(totals(int(SECONDS) + 2, 100)) == {"p50": None, "p99": None}


def test_many_looks_a_second_keep_few_samples() -> None:
    clock = Clock()
    recent = RecentTimes(clock)
    for look in range(1000):
        clock.now += 0.1
        found = recent.quantiles(totals(look, 0))
    assert found["p50"] == counters.bucket_limit(FAST) / 1e6
    assert len(recent._kept) <= SECONDS + 3
