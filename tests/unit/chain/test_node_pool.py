from hookfarm.chain.node_pool import NodePool, NodeProfile

URLS = ("ws://a", "ws://b", "ws://c")


class Setting:
    def __init__(self) -> None:
        self.now = 100.0
        self.pool = NodePool(URLS, clock=lambda: self.now)
        self.a, self.b, self.c = self.pool.all

    def fail(self, profile: NodeProfile, rest: float | None = None) -> None:
        self.pool.failed(profile, 0.0, rest)


def test_the_preferred_one_is_used_and_after_it_failed_the_next_one() -> None:
    setting = Setting()
    used = []
    for _ in range(3):
        profile, seconds = setting.pool.next()
        used.append((profile.url, seconds))
        setting.fail(profile)
    assert used == [("ws://a", 0.0), ("ws://b", 0.0), ("ws://c", 0.0)]


def test_where_all_rest_the_one_is_waited_for_that_has_rested_soonest() -> None:
    setting = Setting()
    setting.fail(setting.a, 30)
    setting.fail(setting.b, 2)
    setting.fail(setting.c, 5)
    profile, seconds = setting.pool.next()
    assert (profile.url, seconds) == ("ws://b", 2)
    setting.now += 2
    assert setting.pool.next()[1] == 0


def test_rests_double_with_each_failure_in_a_row() -> None:
    setting = Setting()
    rests = []
    for _ in range(9):
        setting.fail(setting.a)
        rests.append(round(setting.a.cooldown_until - setting.now, 3))
    assert rests == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]
    setting.pool.succeeded(setting.a)
    setting.fail(setting.a)
    assert round(setting.a.cooldown_until - setting.now, 3) == 0.1


def test_one_that_names_its_rest_gets_it() -> None:
    setting = Setting()
    setting.fail(setting.a, 120)
    assert setting.a.cooldown_until == setting.now + 120


def test_others_are_those_that_could_be_asked_now() -> None:
    setting = Setting()
    setting.fail(setting.b, 10)
    assert [other.url for other in setting.pool.others(setting.a)] == ["ws://c"]


def test_a_preferred_one_is_asked_again_after_a_while_that_doubles_with_its_failures() -> None:
    setting = Setting()
    setting.fail(setting.a)
    assert setting.pool.preferred_to(setting.b, 30) is None
    setting.now += 30
    assert setting.pool.preferred_to(setting.b, 30) is setting.a
    setting.fail(setting.a)
    setting.now += 30
    assert setting.pool.preferred_to(setting.b, 30) is None
    setting.now += 30
    assert setting.pool.preferred_to(setting.b, 30) is setting.a


def test_nothing_is_preferred_to_the_first_one_and_the_last_one_is_never_preferred() -> None:
    setting = Setting()
    setting.now += 1e6
    assert setting.pool.preferred_to(setting.a, 30) is None
    setting.fail(setting.a, 1e6)
    assert setting.pool.preferred_to(setting.b, 30) is None


def test_only_the_origin_of_a_url_is_shown() -> None:
    assert NodePool(["wss://u:canary@node.example/canary"]).all[0].origin == "wss://node.example"
