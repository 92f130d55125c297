"""What a file asks of a registry."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint, Subscription, parse_endpoint
from hookfarm.registry import file as registry_file
from hookfarm.registry import reconcile
from hookfarm.registry.reconcile import RegistryDiff

URL = "https://example.com/hook"
TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
SUBSCRIPTION = {"chain_id": 1, "event": TRANSFER}


def plan(records: list[Any], *existing: Endpoint) -> RegistryDiff:
    return reconcile.diff(records, existing, check_url=str)


def endpoint(identity: str = "ep_a", **fields: Any) -> Endpoint:
    record = {"url": URL, "subscriptions": [SUBSCRIPTION], **fields}
    return replace(parse_endpoint(record, str), id=identity, secrets=(("whsec_AAAA", None),))


def test_an_entry_that_the_registry_lacks_is_added() -> None:
    [change] = plan([{"id": "ep_new", "url": URL, "subscriptions": [SUBSCRIPTION]}]).changes
    assert change.before is None
    assert change.after is not None
    assert (change.after.id, change.after.url) == ("ep_new", URL)


def test_an_endpoint_that_the_file_lacks_is_removed() -> None:
    found = plan([], endpoint())
    assert [(change.id, change.after) for change in found.changes] == [("ep_a", None)]
    assert found.removed == 1


def test_an_entry_without_an_id_is_the_endpoint_of_its_url_and_keeps_id_secret_and_subscription() -> None:
    before = endpoint()
    found = plan([{"url": URL, "subscriptions": [SUBSCRIPTION]}], before)
    assert (found.changes, found.unchanged) == ((), 1)
    [change] = plan([{"url": URL, "timeout_seconds": 30, "subscriptions": [SUBSCRIPTION]}], before).changes
    assert change.after == replace(before, timeout_seconds=30.0)
    assert change.fields() == {"timeout_seconds": (15.0, 30.0)}


def test_several_of_one_url_are_distinguished_by_id_and_else_by_content() -> None:
    one, other = endpoint("ep_a", description="one"), endpoint("ep_b", description="other")
    both = [{"url": URL, "description": text, "subscriptions": [SUBSCRIPTION]} for text in ("other", "one")]
    assert plan(both, one, other).changes == ()
    named = {"id": "ep_b", "url": URL, "description": "other", "subscriptions": [SUBSCRIPTION]}
    unnamed = {"url": URL, "description": "one", "subscriptions": [SUBSCRIPTION]}
    assert plan([unnamed, named], one, other).changes == ()
    assert plan([unnamed, {**unnamed, "description": "other"}], one, other).changes == ()


class SeldomCompared(str):
    """A URL that bears being compared with another `most` times."""

    most = 0

    def __eq__(self, other: object) -> bool:
        SeldomCompared.most -= 1
        assert SeldomCompared.most > 0, "each is compared with all"
        return str.__eq__(self, other)

    __hash__ = str.__hash__


@pytest.mark.parametrize("changed", [False, True], ids=["equal", "changed"])
def test_thousands_of_one_url_without_ids_are_not_each_compared_with_all(changed: bool) -> None:
    many = 5000
    fields: dict[str, Any] = {"url": URL, "subscriptions": [{"chain_id": 1}]}
    existing = [
        replace(parse_endpoint({**fields, "description": str(n)}, SeldomCompared), id=f"ep_{n}")
        for n in range(many)
    ]
    if changed:
        fields["timeout_seconds"] = 30
    entries = [{**fields, "description": str(n)} for n in reversed(range(many))]
    SeldomCompared.most = 10 * many
    found = plan(entries, *existing)
    assert (len(found.changes), found.removed, found.unchanged) == ((many, 0, 0) if changed else (0, 0, many))


def test_entries_without_ids_that_differ_only_in_the_ids_of_subscriptions_are_distinguished() -> None:
    one = endpoint("ep_a", subscriptions=[{"id": "sub_a", **SUBSCRIPTION}])
    other = endpoint("ep_b", subscriptions=[{"id": "sub_b", **SUBSCRIPTION}])
    records = [{"url": URL, "subscriptions": [{"id": name, **SUBSCRIPTION}]} for name in ("sub_b", "sub_a")]
    assert plan(records, one, other).changes == ()


def test_what_a_file_leaves_out_goes_back_to_its_default() -> None:
    [change] = plan([{"id": "ep_a", "url": URL, "subscriptions": [SUBSCRIPTION]}], endpoint(ordered=True)).changes
    assert change.fields() == {"ordered": (True, False)}


def test_an_equal_subscription_stays_and_another_one_replaces_what_is_not_there_any_more() -> None:
    before = endpoint(subscriptions=[{"id": "sub_keep", **SUBSCRIPTION}, {"id": "sub_gone", "chain_id": 2}])
    [change] = plan([{"url": URL, "subscriptions": [{"chain_id": 3}, SUBSCRIPTION]}], before).changes
    assert change.after is not None
    added, kept = change.after.subscriptions
    assert kept == before.subscriptions[0]
    assert added.chain_id == 3
    assert added.id not in {"sub_keep", "sub_gone"}


def test_the_order_of_subscriptions_is_no_difference() -> None:
    subscriptions = [{"id": "sub_a", "chain_id": 1}, {"id": "sub_b", "chain_id": 2}]
    assert (
        plan([{"url": URL, "subscriptions": subscriptions[::-1]}], endpoint(subscriptions=subscriptions)).changes
        == ()
    )


def test_an_endpoint_that_hookfarm_disabled_keeps_its_reason_while_the_file_says_disabled() -> None:
    before = replace(endpoint(), enabled=False, disabled_reason="the endpoint answered 410 Gone")
    assert plan([{"url": URL, "enabled": False, "subscriptions": [SUBSCRIPTION]}], before).changes == ()
    [change] = plan([{"url": URL, "subscriptions": [SUBSCRIPTION]}], before).changes
    assert change.fields()["enabled"] == (False, True)


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (["x"], r"endpoints\[0\]\.endpoint: a string is not a JSON object"),
        ([{}], r"endpoints\[0\]\.url: "),
        ([{"url": URL}, {"url": URL, "id": "a"}], r"endpoints\[1\]\.id: 'a' is not an endpoint id"),
        ([{"url": URL, "id": "ep_a"}, {"url": URL, "id": "ep_a"}], r"endpoints\[1\]\.id: 'ep_a' is used twice"),
        ([{"url": URL, "secrets": []}], r"endpoints\[0\]\.secrets: unknown field"),
        ([{"url": URL, "subscriptions": [{"chain_id": 0}]}], r"endpoints\[0\]\.subscriptions\[0\]\.chain_id: "),
    ],
)
def test_a_wrong_entry_is_named(records: list[Any], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        plan(records)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ADDRESSES = st.lists(st.integers(0, 2**160 - 1).map("0x{:040x}".format), max_size=2, unique=True)
WORDS = st.integers(0, 2**256 - 1).map("0x{:064x}".format)
TOPICS = st.lists(st.none() | st.lists(WORDS, min_size=1, max_size=2, unique=True), max_size=4)
FILTERS = st.fixed_dictionaries({}, optional={"topics": TOPICS}) | st.just(
    {"event": TRANSFER, "where": "value > 5"}
)
SUBSCRIPTIONS = st.builds(
    lambda chain_id, addresses, confirmations, kind: {
        "chain_id": chain_id, "addresses": addresses, "confirmations": confirmations, **kind
    },
    st.integers(1, 2**53), ADDRESSES, st.sampled_from([0, 12, "safe", "finalized"]), FILTERS,
)  # fmt: skip
ENDPOINTS = st.fixed_dictionaries(
    {"url": st.sampled_from([URL, "http://a.example/", "http://b.example/?q=1"])},
    optional={
        "description": TEXTS,
        "subscriptions": st.lists(SUBSCRIPTIONS, max_size=3),
        "headers": st.dictionaries(
            st.sampled_from(["X-A", "x-b", "Authorization"]), st.text("abc :\t{", max_size=5)
        ),
        "timeout_seconds": st.floats(0.1, 60),
        "max_in_flight": st.none() | st.integers(1, 100),
        "rate_limit_per_second": st.none() | st.floats(0.01, 1000),
        "ordered": st.booleans(),
        "enabled": st.booleans(),
    },
)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(records=st.lists(ENDPOINTS, max_size=4), kind=st.sampled_from(registry_file.FORMATS))
def test_what_was_exported_is_what_there_is(records: list[Any], kind: str, tmp_path: Path) -> None:
    existing = [parse_endpoint(record, str) for record in records]
    file = tmp_path / f"endpoints.{kind}"
    file.write_text(registry_file.render(existing, kind), encoding="utf-8", newline="")
    found = plan(registry_file.read(file), *existing)
    assert (found.changes, found.unchanged) == ((), len(existing))


@given(wanted=st.lists(ENDPOINTS, max_size=4), before=st.lists(ENDPOINTS, max_size=4))
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(wanted: list[Any], before: list[Any]) -> None:
    existing = {endpoint.id: endpoint for endpoint in (parse_endpoint(record, str) for record in before)}
    for change in plan(wanted, *existing.values()).changes:
        existing.pop(change.id, None)
        if change.after is not None:
            existing[change.id] = change.after
    again = plan(wanted, *existing.values())
    assert (again.changes, again.unchanged) == ((), len(wanted))


def test_defaults_are_left_out_of_an_export() -> None:
    plain = Endpoint("ep_a", URL, subscriptions=(Subscription("sub_a", 1),))
    assert registry_file.render([plain], "toml") == (
        f'[[endpoints]]\nid = "ep_a"\nurl = "{URL}"\nsubscriptions = [\n    {{ id = "sub_a", chain_id = 1 }},\n]\n'
    )


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.ini", b"", r"'a.ini' has an unknown suffix; allowed are .toml, .yaml, .yml, .json"),
        ("a.toml", b"[", "is not TOML: "),
        ("a.json", b"{", "is not JSON: "),
        ("a.yaml", b"a: [", "is not YAML: "),
        ("b.yaml", b"endpoints: !!python/object/apply:os.getcwd []", "is not YAML: "),
        ("a.json", b"\xff", "is not UTF-8"),
        ("a.json", b"[]", "must contain one list named endpoints"),
        ("a.json", b'{"endpoints":{}}', "must contain one list named endpoints"),
        ("a.json", b'{"endpoints":[],"more":1}', "must contain one list named endpoints"),
        ("a.yaml", b"", "must contain one list named endpoints"),
        ("a.json", b"[" * 100_000, "is not JSON: "),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=why) as refused:
        registry_file.read(file)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"cannot read .*a\.toml: No such file"):
        registry_file.read(tmp_path / "a.toml")
