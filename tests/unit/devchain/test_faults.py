import pytest

from hookfarm.devchain.faults import KINDS, Faults, FaultValue
from hookfarm.errors import InvalidInput


def test_fault_without_a_count_holds_until_cleared() -> None:
    faults = Faults()
    faults.set("silence")
    assert [bool(faults.take("silence")) for _ in range(3)] == [True] * 3
    faults.clear("silence")
    assert faults.take("silence") is None


def test_counted_fault_ends_by_itself() -> None:
    faults = Faults()
    faults.set("silence", count=2)
    assert [bool(faults.take("silence")) for _ in range(3)] == [True, True, False]


def test_faults_of_one_kind_are_kept_apart_by_method() -> None:
    faults = Faults()
    faults.set("error", method="eth_getLogs", code=1)
    faults.set("error", method="eth_chainId", code=2)
    taken = faults.take("error", "eth_chainId")
    assert taken is not None
    assert taken.number("code") == 2
    assert faults.take("error", "eth_blockNumber") is None


def test_fault_without_a_method_concerns_every_call() -> None:
    faults = Faults()
    faults.set("error")
    assert faults.take("error", "eth_anything") is not None


def test_nulls_without_a_method_concern_what_answers_blocks() -> None:
    faults = Faults()
    faults.set("nulls")
    assert faults.take("nulls", "eth_getBlockReceipts") is not None
    assert faults.take("nulls", "eth_chainId") is None


def test_clearing_one_kind_leaves_the_others() -> None:
    faults = Faults()
    faults.set("silence")
    faults.set("lag", blocks=3)
    faults.clear("silence")
    assert faults.listing() == [{"fault": "lag", "count": None, "blocks": 3, "one_in": 1}]
    faults.clear()
    assert faults.listing() == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_set_with_its_defaults_and_listed(kind: str) -> None:
    faults = Faults()
    faults.set(kind)
    assert faults.listing() == [{"fault": kind, "count": None, **KINDS[kind].parameters}]


@pytest.mark.parametrize(
    ("kind", "count", "parameters", "field"),
    [
        ("nonsense", None, {}, "fault"),
        ("silence", 0, {}, "count"),
        ("silence", True, {}, "count"),
        ("lag", None, {"depth": 1}, "depth"),
        ("lag", None, {"blocks": "3"}, "blocks"),
        ("lag", None, {"blocks": -1}, "blocks"),
        ("error", None, {"message": 5}, "message"),
        ("error", None, {"method": 5}, "method"),
    ],
)
def test_wrong_fault_is_refused_by_name(
    kind: str, count: int | None, parameters: dict[str, FaultValue], field: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        Faults().set(kind, count, **parameters)
    assert raised.value.field == field


def test_clearing_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidInput):
        Faults().clear("nonsense")
