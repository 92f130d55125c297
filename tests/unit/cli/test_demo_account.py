from hypothesis import given
from hypothesis import strategies as st

from hookfarm.cli import demo_account
from hookfarm.cli.demo_account import Account


def test_a_log_counts_as_verified_once_its_webhook_has_arrived() -> None:
    account = Account()
    account.emit(["a:0", "a:1"])
    account.arrive("a:1", "msg_1")
    assert (account.emitted, account.verified, account.missing, account.balanced) == (2, 1, ["a:0"], False)
    account.arrive("a:0", "msg_0")
    assert (account.verified, account.missing, account.balanced) == (2, [], True)


def test_a_webhook_may_be_heard_of_before_its_block() -> None:
    account = Account()
    account.arrive("a:0", "msg_0")
    assert (account.verified, account.unknown) == (0, 1)
    account.emit(["a:0"])
    assert (account.verified, account.unknown, account.balanced) == (1, 0, True)


def test_a_webhook_that_comes_again_with_its_id_is_repeated_and_counts_once() -> None:
    account = Account()
    account.emit(["a:0"])
    for _ in range(3):
        account.arrive("a:0", "msg_0")
    assert (account.verified, account.repeated, account.balanced) == (1, 2, True)


def test_a_webhook_of_no_log_makes_the_account_wrong() -> None:
    account = Account()
    account.emit(["a:0"])
    account.arrive("a:0", "msg_0")
    account.arrive("b:0", "msg_1")
    assert (account.unknown, account.balanced) == (1, False)


def test_a_second_id_for_one_log_makes_the_account_wrong() -> None:
    account = Account()
    account.emit(["a:0"])
    account.arrive("a:0", "msg_0")
    account.arrive("a:0", "msg_1")
    assert (account.verified, account.unknown, account.balanced) == (1, 1, False)


@given(st.permutations([*(("emit", n) for n in range(6)), *(("arrive", n) for n in range(6))]))
def test_the_order_of_hearing_does_not_matter(order: list[tuple[str, int]]) -> None:
    account = Account()
    for what, number in order:
        if what == "emit":
            account.emit([f"a:{number}"])
        else:
            account.arrive(f"a:{number}", f"msg_{number}")
    assert (account.emitted, account.verified, account.repeated, account.balanced) == (6, 6, 0, True)


def test_memory_does_not_grow_with_what_was_delivered() -> None:
    account = Account()
    for number in range(demo_account.REMEMBERED + 10):
        account.emit([f"a:{number}"])
        account.arrive(f"a:{number}", "msg")
    account.arrive("a:9", "msg")
    assert account.unknown == 1
    account.arrive("a:10", "msg")
    assert account.repeated == 1
