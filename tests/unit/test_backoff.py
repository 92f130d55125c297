"""How long a retry waits after earlier failures."""

import pytest

from hookfarm.backoff import delay, jittered


def test_delays_double_up_to_the_longest() -> None:
    delays = [delay(failures, 0.1, 30.0, 0.5) for failures in range(11)]
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0])


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2)])
@pytest.mark.parametrize("failures", [0, 4, 100])
def test_a_delay_varies_by_a_fifth(failures: int, chance: float, factor: float) -> None:
    assert delay(failures, 0.1, 30.0, chance) == pytest.approx(factor * delay(failures, 0.1, 30.0, 0.5))
    assert jittered(7.0, chance) == pytest.approx(factor * 7.0)


def test_any_number_of_failures_has_a_delay() -> None:
    assert delay(10**9, 0.1, 30.0, 0.5) == 30.0
