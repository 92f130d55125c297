"""When an embedded server that does not answer is given up."""

import pytest
import redis

from hookfarm.store.embedded_server import HANG_SECONDS, HangDetector


class Watched:
    """A HangDetector with a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.given_up = 0
        self.silence = HangDetector(self._give_up, lambda: self.now)

    def _give_up(self) -> None:
        self.given_up += 1

    def record(self, error: redis.RedisError | None, after: float) -> None:
        self.now += after
        self.silence.record(error)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_server_that_is_silent_for_too_long_is_given_up(watched: Watched) -> None:
    watched.record(redis.TimeoutError("no reply"), after=100)
    watched.record(redis.TimeoutError("no reply"), after=HANG_SECONDS - 0.1)
    assert watched.given_up == 0
    watched.record(redis.TimeoutError("no reply"), after=0.1)
    assert watched.given_up == 1


def test_its_successor_is_given_as_much_time_again(watched: Watched) -> None:
    for after in (0, HANG_SECONDS, 0.1, HANG_SECONDS - 0.1):
        watched.record(redis.TimeoutError("no reply"), after)
    assert watched.given_up == 1
    watched.record(redis.TimeoutError("no reply"), after=0.2)
    assert watched.given_up == 2


@pytest.mark.parametrize(
    "answer",
    [
        None,
        redis.ResponseError("WRONGTYPE"),
        redis.BusyLoadingError("Redis is loading the dataset in memory"),
        redis.ConnectionError("refused"),
    ],
)
def test_whatever_is_answered_breaks_the_silence(watched: Watched, answer: redis.RedisError | None) -> None:
    for _ in range(10):
        watched.record(redis.TimeoutError("no reply"), after=HANG_SECONDS / 2)
        watched.record(answer, after=HANG_SECONDS / 2)
    assert watched.given_up == 0
