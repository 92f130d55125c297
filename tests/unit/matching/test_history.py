"""What was told of a log: any order of its entries ends with the truth of the newest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.matching.history import Receiver, Step, Told, emitted, finalized, removed

A, B = Receiver("ep_a", "sub_1"), Receiver("ep_b", "sub_2")
C = Receiver("ep:c", "sub_3", "rF")


def kept(step: Step) -> Told:
    assert step.kept is not None
    return step.kept


def test_a_log_is_told_once_and_taken_back_once() -> None:
    first = emitted("1-0", None, [A, B])
    assert (first.emit, first.generation) == ((A, B), 0)
    back = removed("2-0", kept(first))
    assert (back.take_back, back.generation, back.emit) == ((A, B), 0, ())
    assert removed("3-0", kept(back)).take_back == ()


def test_a_log_nobody_wanted_leaves_no_trace_and_its_removal_does() -> None:
    assert emitted("1-0", None, []) == Step(None, 0)
    step = removed("2-0", None)
    assert step.take_back == ()
    assert emitted("1-0", kept(step), [A]).emit == (), "an entry that is older than the removal"


def test_a_log_that_comes_back_is_of_another_generation() -> None:
    gone = removed("2-0", kept(emitted("1-0", None, [A])))
    again = emitted("3-0", kept(gone), [A, B])
    assert (again.emit, again.generation) == ((A, B), 1)
    assert removed("4-0", kept(again)).generation == 1


def test_the_same_log_twice_is_told_only_to_whom_it_is_new() -> None:
    first = kept(emitted("1-0", None, [A]))
    again = emitted("2-0", first, [A, B])
    assert again.emit == (B,)
    assert removed("3-0", kept(again)).take_back == (A, B)


def test_there_and_back_out_of_order_takes_nothing_back() -> None:
    back_already = kept(emitted("3-0", kept(emitted("1-0", None, [A])), [A]))
    assert removed("2-0", back_already) == Step(None, 0)


def test_a_removal_that_overtakes_the_return_it_takes_back_keeps_that_from_being_told() -> None:
    gone = kept(removed("2-0", kept(emitted("1-0", None, [A]))))
    gone_again = kept(removed("4-0", gone))
    assert emitted("3-0", gone_again, [A]) == Step(None, 1)
    assert emitted("5-0", gone_again, [A]).emit == (A,)


@given(st.integers(1, 6).flatmap(lambda newest: st.permutations(range(1, newest + 1))))
def test_in_any_order_a_receiver_ends_with_what_the_newest_entry_says(order: list[int]) -> None:
    """Odd entries emit, even ones remove. Each return is a generation of its own."""
    state: Told | None = None
    standing: set[int] = set()
    for entry in order:
        step = removed(f"{entry}-0", state) if entry % 2 == 0 else emitted(f"{entry}-0", state, [A])
        standing |= {step.generation} if step.emit else set()
        standing -= {step.generation} if step.take_back else set()
        assert len(standing) <= 1
        state = step.kept or state
    assert len(standing) == max(order) % 2


@given(st.permutations(range(1, 6)), st.lists(st.sets(st.sampled_from([A, B])), min_size=6, max_size=6))
def test_in_any_order_the_receivers_end_with_what_the_newest_entry_says(
    order: list[int], wanted: list[set[Receiver]]
) -> None:
    """Odd entries emit, even ones remove; the newest, the fifth, emits."""
    state: Told | None = None
    has = {A: 0, B: 0}
    for entry in order:
        step = (
            removed(f"{entry}-0", state) if entry % 2 == 0 else emitted(f"{entry}-0", state, sorted(wanted[entry]))
        )
        for receiver in step.emit:
            has[receiver] += 1
        for receiver in step.take_back:
            has[receiver] -= 1
        assert set(has.values()) <= {0, 1}, "told twice, or taken back without having been told"
        state = step.kept or state
    assert all(has[receiver] for receiver in wanted[5])


@given(st.integers(1, 10**13), st.booleans(), st.integers(0, 9), st.lists(st.sampled_from([A, B, C])))
def test_what_is_kept_can_be_read(ms: int, stands: bool, generation: int, receivers: list[Receiver]) -> None:
    told = Told(f"{ms}-{generation}", stands, generation, tuple(receivers))
    assert Told.decode(told.encode()) == told
    assert Told.decode("") is None


def wanting(letters: str, endpoint: str = "ep_a") -> Receiver:
    return Receiver(endpoint, "sub_1", letters)


def test_each_receiver_is_told_what_it_asked_for() -> None:
    both, final, usual = wanting("erf", "ep_both"), wanting("rf", "ep_final"), wanting("er", "ep_usual")
    first = emitted("1-0", None, [both, final, usual])
    assert first.emit == (both, usual)
    last = finalized(kept(first))
    assert last.finalize == (both, final)
    assert finalized(kept(last)).finalize == (), "told twice"


@pytest.mark.parametrize(("notify", "told"), [("er", True), ("e", True), ("erf", True), ("rf", False)])
def test_before_it_is_final_a_log_is_taken_back_from_whom_it_was_told_to(notify: str, told: bool) -> None:
    back = removed("2-0", kept(emitted("1-0", None, [wanting(notify)])))
    assert bool(back.take_back) is told
    assert finalized(kept(back)).finalize == (), "final after it was taken back"


def test_after_it_is_final_a_log_is_taken_back_from_whoever_was_told_that_too() -> None:
    last = kept(finalized(kept(emitted("1-0", None, [wanting("rf")]))))
    [back] = removed("2-0", last).take_back
    assert back.notify == "rF"


def test_an_endpoint_that_joins_after_the_end_is_told_the_end_alone() -> None:
    last = kept(finalized(kept(emitted("1-0", None, [wanting("erf", "ep_a")]))))
    joined = kept(emitted("2-0", last, [wanting("erf", "ep_a"), wanting("erf", "ep_b")]))
    assert [receiver.endpoint for receiver in finalized(joined).finalize] == ["ep_b"]


LETTERS = st.sampled_from(["er", "e", "erf", "ef", "f", "rf"])
STEPS = st.lists(st.tuples(st.sampled_from(["emit", "remove", "final"]), st.integers(1, 9)), max_size=12)


@given(LETTERS, LETTERS, STEPS)
def test_in_any_order_each_generation_is_told_once_final_once_and_gone_once(
    first: str, second: str, steps: list[tuple[str, int]]
) -> None:
    """Entries come late and twice; the log becomes final at any moment of its life, which no chain should do."""
    wanted = [wanting(first, "ep_a"), wanting(second, "ep_b")]
    state: Told | None = None
    history: dict[tuple[str, int], str] = {}
    for kind, entry in steps:
        if kind == "final":
            step = finalized(state) if state else Step(None, 0)
        else:
            step = emitted(f"{entry}-0", state, wanted) if kind == "emit" else removed(f"{entry}-0", state)
        for letter, receivers in (("e", step.emit), ("f", step.finalize), ("r", step.take_back)):
            for receiver in receivers:
                of = (receiver.endpoint, step.generation)
                history[of] = history.get(of, "") + letter
        state = step.kept or state
    for (endpoint, _), told in history.items():
        asked = first if endpoint == "ep_a" else second
        assert told in ("e", "f", "ef", "er", "fr", "efr")
        assert ("e" in told) == ("e" in asked)
        assert "f" not in told or "f" in asked
