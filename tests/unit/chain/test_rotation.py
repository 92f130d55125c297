from hookfarm.chain.rotation import Rotation

URLS = ("ws://a", "ws://b", "ws://c")


def test_the_preferred_url_comes_first() -> None:
    assert Rotation(URLS).url == "ws://a"


def test_after_a_failure_comes_the_next_one_and_after_the_last_the_first() -> None:
    rotation, used = Rotation(URLS), []
    for _ in range(4):
        used.append(rotation.url)
        rotation.failed()
    assert used == ["ws://a", "ws://b", "ws://c", "ws://a"]


def test_the_one_that_worked_stays() -> None:
    rotation = Rotation(URLS)
    rotation.failed()
    rotation.worked()
    assert rotation.url == "ws://b"


def test_a_round_is_over_when_all_have_failed() -> None:
    rotation = Rotation(URLS)
    seen = []
    for _ in range(6):
        rotation.failed()
        seen.append((rotation.untried, rotation.failed_rounds))
    assert seen == [(True, 0), (True, 0), (False, 1), (True, 1), (True, 1), (False, 2)]


def test_rounds_are_counted_anew_after_one_has_worked() -> None:
    rotation = Rotation(URLS)
    for _ in range(5):
        rotation.failed()
    rotation.worked()
    assert (rotation.untried, rotation.failed_rounds) == (False, 0)
