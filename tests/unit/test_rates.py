from hookfarm.rates import SlidingRate


def test_the_rate_is_that_of_the_window() -> None:
    rate = SlidingRate(10.0)
    assert rate.add(0.0, 0) is None
    assert rate.add(1.0, 1000) == 1000
    for now in range(2, 20):
        rate.add(float(now), 1000 + 10 * now)
    assert rate.add(19.0, 1190) == 10


def test_a_total_that_falls_starts_the_window_again() -> None:
    rate = SlidingRate(10.0)
    rate.add(0.0, 500)
    rate.add(1.0, 600)
    assert rate.add(2.0, 100) is None
    assert rate.add(3.0, 107) == 7


def test_a_cleared_window_has_no_rate() -> None:
    rate = SlidingRate(10.0)
    rate.add(0.0, 500)
    rate.clear()
    assert rate.add(1.0, 600) is None
