"""The history of a log: after any order of its entries it agrees with the newest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.matching.history import History, NotifiedEndpoint, Transition, on_emitted, on_finalized, on_removed

A, B = NotifiedEndpoint("ep_a", "sub_1"), NotifiedEndpoint("ep_b", "sub_2")
C = NotifiedEndpoint("ep:c", "sub_3", "rF")


def after(step: Transition) -> History:
    assert step.after is not None
    return step.after


def test_a_log_is_emitted_once_and_retracted_once() -> None:
    first = on_emitted("1-0", None, [A, B])
    assert (first.emit, first.generation) == ((A, B), 0)
    back = on_removed("2-0", after(first))
    assert (back.retract, back.generation, back.emit) == ((A, B), 0, ())
    assert on_removed("3-0", after(back)).retract == ()


def test_an_unwanted_log_leaves_no_trace_and_its_removal_does() -> None:
    assert on_emitted("1-0", None, []) == Transition(None, 0)
    step = on_removed("2-0", None)
    assert step.retract == ()
    assert on_emitted("1-0", after(step), [A]).emit == (), "an entry that is older than the removal"


def test_a_log_that_comes_back_is_of_another_generation() -> None:
    gone = on_removed("2-0", after(on_emitted("1-0", None, [A])))
    again = on_emitted("3-0", after(gone), [A, B])
    assert (again.emit, again.generation) == ((A, B), 1)
    assert on_removed("4-0", after(again)).generation == 1


def test_the_same_log_twice_notifies_only_new_endpoints() -> None:
    first = after(on_emitted("1-0", None, [A]))
    again = on_emitted("2-0", first, [A, B])
    assert again.emit == (B,)
    assert on_removed("3-0", after(again)).retract == (A, B)


def test_there_and_back_out_of_order_takes_nothing_back() -> None:
    back_already = after(on_emitted("3-0", after(on_emitted("1-0", None, [A])), [A]))
    assert on_removed("2-0", back_already) == Transition(None, 0)


def test_a_removal_that_overtakes_the_return_it_removes_prevents_its_notification() -> None:
    gone = after(on_removed("2-0", after(on_emitted("1-0", None, [A]))))
    gone_again = after(on_removed("4-0", gone))
    assert on_emitted("3-0", gone_again, [A]) == Transition(None, 1)
    assert on_emitted("5-0", gone_again, [A]).emit == (A,)


@given(st.integers(1, 6).flatmap(lambda newest: st.permutations(range(1, newest + 1))))
def test_in_any_order_a_receiver_ends_with_what_the_newest_entry_says(order: list[int]) -> None:
    """Odd entries emit, even ones remove. Each return is a generation of its own."""
    state: History | None = None
    on_chain: set[int] = set()
    for entry in order:
        step = on_removed(f"{entry}-0", state) if entry % 2 == 0 else on_emitted(f"{entry}-0", state, [A])
        on_chain |= {step.generation} if step.emit else set()
        on_chain -= {step.generation} if step.retract else set()
        assert len(on_chain) <= 1
        state = step.after or state
    assert len(on_chain) == max(order) % 2


@given(st.permutations(range(1, 6)), st.lists(st.sets(st.sampled_from([A, B])), min_size=6, max_size=6))
def test_in_any_order_the_receivers_end_with_what_the_newest_entry_says(
    order: list[int], wanted: list[set[NotifiedEndpoint]]
) -> None:
    """Odd entries emit, even ones remove; the newest, the fifth, emits."""
    state: History | None = None
    has = {A: 0, B: 0}
    for entry in order:
        step = (
            on_removed(f"{entry}-0", state)
            if entry % 2 == 0
            else on_emitted(f"{entry}-0", state, sorted(wanted[entry]))
        )
        for receiver in step.emit:
            has[receiver] += 1
        for receiver in step.retract:
            has[receiver] -= 1
        assert set(has.values()) <= {0, 1}, "notified twice, or retracted without an original"
        state = step.after or state
    assert all(has[receiver] for receiver in wanted[5])


@given(st.integers(1, 10**13), st.booleans(), st.integers(0, 9), st.lists(st.sampled_from([A, B, C])))
def test_what_is_kept_can_be_read(
    ms: int, stands: bool, generation: int, receivers: list[NotifiedEndpoint]
) -> None:
    history = History(f"{ms}-{generation}", stands, generation, tuple(receivers))
    assert History.decode(history.encode()) == history
    assert History.decode("") is None


def wanting(letters: str, endpoint: str = "ep_a") -> NotifiedEndpoint:
    return NotifiedEndpoint(endpoint, "sub_1", letters)


def test_each_receiver_gets_the_notifications_it_asked_for() -> None:
    both, final, usual = wanting("erf", "ep_both"), wanting("rf", "ep_final"), wanting("er", "ep_usual")
    first = on_emitted("1-0", None, [both, final, usual])
    assert first.emit == (both, usual)
    last = on_finalized(after(first))
    assert last.finalize == (both, final)
    assert on_finalized(after(last)).finalize == (), "notified twice"


@pytest.mark.parametrize(("notify", "notified"), [("er", True), ("e", True), ("erf", True), ("rf", False)])
def test_before_it_is_final_a_log_is_retracted_from_the_notified_endpoints(notify: str, notified: bool) -> None:
    back = on_removed("2-0", after(on_emitted("1-0", None, [wanting(notify)])))
    assert bool(back.retract) is notified
    assert on_finalized(after(back)).finalize == (), "final after it was taken back"


def test_a_final_log_is_retracted_also_from_endpoints_notified_of_its_finality() -> None:
    last = after(on_finalized(after(on_emitted("1-0", None, [wanting("rf")]))))
    [back] = on_removed("2-0", last).retract
    assert back.notify == "rF"


def test_an_endpoint_that_joins_after_the_end_gets_only_finalized() -> None:
    last = after(on_finalized(after(on_emitted("1-0", None, [wanting("erf", "ep_a")]))))
    joined = after(on_emitted("2-0", last, [wanting("erf", "ep_a"), wanting("erf", "ep_b")]))
    assert [receiver.endpoint for receiver in on_finalized(joined).finalize] == ["ep_b"]


LETTERS = st.sampled_from(["er", "e", "erf", "ef", "f", "rf"])
STEPS = st.lists(st.tuples(st.sampled_from(["emit", "remove", "final"]), st.integers(1, 9)), max_size=12)


@given(LETTERS, LETTERS, STEPS)
def test_in_any_order_each_generation_is_emitted_finalized_and_removed_once(
    first: str, second: str, steps: list[tuple[str, int]]
) -> None:
    """Entries come late and twice; the log becomes final at any time of its life, which no chain should do."""
    wanted = [wanting(first, "ep_a"), wanting(second, "ep_b")]
    state: History | None = None
    history: dict[tuple[str, int], str] = {}
    for kind, entry in steps:
        if kind == "final":
            step = on_finalized(state) if state else Transition(None, 0)
        else:
            step = on_emitted(f"{entry}-0", state, wanted) if kind == "emit" else on_removed(f"{entry}-0", state)
        for letter, receivers in (("e", step.emit), ("f", step.finalize), ("r", step.retract)):
            for receiver in receivers:
                of = (receiver.endpoint, step.generation)
                history[of] = history.get(of, "") + letter
        state = step.after or state
    for (endpoint, _), notified in history.items():
        asked = first if endpoint == "ep_a" else second
        assert notified in ("e", "f", "ef", "er", "fr", "efr")
        assert ("e" in notified) == ("e" in asked)
        assert "f" not in notified or "f" in asked
