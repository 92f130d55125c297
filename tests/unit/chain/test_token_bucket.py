from hookfarm.chain.token_bucket import TokenBucket


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_a_rate_nobody_waits() -> None:
    bucket = TokenBucket(None)
    assert [bucket.reserve(1000) for _ in range(3)] == [0, 0, 0]


def test_a_second_of_requests_may_come_at_once_and_then_each_waits_its_turn() -> None:
    bucket = TokenBucket(4, Clock())
    assert [bucket.reserve(1) for _ in range(7)] == [0, 0, 0, 0, 0.25, 0.5, 0.75]


def test_tokens_come_back_with_time_but_never_more_than_a_second_of_them() -> None:
    clock = Clock()
    bucket = TokenBucket(4, clock)
    bucket.reserve(4)
    clock.now += 0.5
    assert [bucket.reserve(2), bucket.reserve(1)] == [0, 0.25]
    clock.now += 100
    assert [bucket.reserve(4), bucket.reserve(1)] == [0, 0.25]


def test_a_batch_larger_than_the_bucket_waits_for_what_it_lacks() -> None:
    assert TokenBucket(4, Clock()).reserve(10) == 1.5


def test_a_rate_below_one_still_lets_one_through() -> None:
    bucket = TokenBucket(0.5, Clock())
    assert [bucket.reserve(1), bucket.reserve(1)] == [0, 2]
