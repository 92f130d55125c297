"""Records are checked where they come in, and a wrong one names its field."""

import math
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.errors import InvalidInput
from hookfarm.records import (
    MAX_UINT64,
    Endpoint,
    Subscription,
    endpoint_from_stored,
    parse_endpoint,
    parse_event,
    parse_subscription,
)

WORD, ADDRESS = "0x" + "ab" * 32, "0x" + "cd" * 20
EVENT: dict[str, Any] = {
    "chain_id": 1,
    "block_number": 18_000_000,
    "block_hash": WORD,
    "block_timestamp": 1_795_456_800,
    "transaction_hash": WORD,
    "transaction_index": 0,
    "log_index": 0,
    "address": ADDRESS,
    "topics": [WORD],
    "data": "0xdeadbeef",
    "removed": False,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


def any_url(url: str) -> str:
    return url


def endpoint(**fields: Any) -> Endpoint:
    return parse_endpoint({"url": "https://example.com/", **fields}, any_url)


def field_of(parse: Any, *arguments: Any) -> str:
    """The field that the refusal names, in one line."""
    with pytest.raises(InvalidInput) as caught:
        parse(*arguments)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    return caught.value.field


def test_an_event_passes_unchanged() -> None:
    assert parse_event(EVENT) == EVENT


def test_hexadecimal_becomes_lower_case_and_other_fields_go() -> None:
    shouted = {**EVENT, "address": ADDRESS.upper().replace("0X", "0x"), "topics": ["0X" + "AB" * 32], "extra": 1}
    assert parse_event(shouted) == EVENT


def test_removed_may_be_left_out() -> None:
    assert parse_event({k: v for k, v in EVENT.items() if k != "removed"}) == EVENT


NOT_COUNTS: tuple[object, ...] = (None, -1, 1.0, "1", True, MAX_UINT64 + 1, [], {})
NOT_WORDS = (None, 1, "", "0x", WORD[:-1], WORD + "0", WORD[2:], "0x" + "zz" * 32, ADDRESS, WORD + "\n")
WRONG_VALUES: dict[str, tuple[object, ...]] = {
    "chain_id": (0, *NOT_COUNTS),
    "block_number": NOT_COUNTS,
    "block_timestamp": NOT_COUNTS,
    "transaction_index": NOT_COUNTS,
    "log_index": NOT_COUNTS,
    "block_hash": NOT_WORDS,
    "transaction_hash": NOT_WORDS,
    "address": (None, 1, "", WORD, ADDRESS[:-1], ADDRESS + "\n", [ADDRESS]),
    "data": (None, "", "0x0", "00", "0xzz", b"0x", "0x\n"),
    "topics": (None, WORD, {}, [WORD] * 5),
    "removed": (None, 0, "false"),
}


@pytest.mark.parametrize(
    ("field", "value"), [(name, wrong) for name in WRONG_VALUES for wrong in WRONG_VALUES[name]]
)
def test_a_wrong_field_of_an_event_is_named(field: str, value: object) -> None:
    assert field_of(parse_event, {**EVENT, field: value}) == field


@pytest.mark.parametrize("field", sorted(set(EVENT) - {"removed"}))
def test_a_missing_field_of_an_event_is_named(field: str) -> None:
    assert field_of(parse_event, {k: v for k, v in EVENT.items() if k != field}) == field


def test_a_wrong_topic_is_named_with_its_place() -> None:
    assert field_of(parse_event, {**EVENT, "topics": [WORD, "0x1"]}) == "topics[1]"


@given(JSON)
def test_anything_is_an_event_or_refused(raw: object) -> None:
    assert field_of(parse_event, raw)


@given(st.sampled_from(sorted(EVENT)), JSON)
def test_any_value_of_a_field_is_taken_or_that_field_is_named(field: str, value: object) -> None:
    refused = ""
    try:
        orjson.dumps(parse_event({**EVENT, field: value}))
    except InvalidInput as error:
        refused = error.field
    assert refused.partition("[")[0] in ("", field)


def test_an_endpoint_starts_with_the_defaults_of_the_contract() -> None:
    made = endpoint()
    assert made.id.startswith("ep_")
    assert made.public() == {
        "id": made.id,
        "url": "https://example.com/",
        "description": "",
        "subscriptions": [],
        "headers": {},
        "timeout_seconds": 15.0,
        "max_in_flight": None,
        "rate_limit_per_second": None,
        "ordered": False,
        "enabled": True,
        "disabled_reason": None,
    }


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("url", None, "url"), ("url", 1, "url"), ("url", "x" * 2049, "url"),
        ("description", None, "description"), ("description", "x" * 501, "description"),
        ("description", [], "description"),
        ("description", "\ud800", "description"),
        ("timeout_seconds", None, "timeout_seconds"), ("timeout_seconds", 0, "timeout_seconds"),
        ("timeout_seconds", 60.1, "timeout_seconds"), ("timeout_seconds", "15", "timeout_seconds"),
        ("timeout_seconds", True, "timeout_seconds"), ("timeout_seconds", math.nan, "timeout_seconds"),
        ("timeout_seconds", math.inf, "timeout_seconds"), ("timeout_seconds", 10**400, "timeout_seconds"),
        ("enabled", None, "enabled"), ("enabled", 1, "enabled"), ("enabled", "true", "enabled"),
        ("subscriptions", None, "subscriptions"), ("subscriptions", {}, "subscriptions"),
        ("subscriptions", [{"chain_id": 1}] * 101, "subscriptions"),
        ("subscriptions", [1], "subscriptions[0].subscription"),
        ("subscriptions", [{"chain_id": 1}, {"chain_id": 0}], "subscriptions[1].chain_id"),
        ("subscriptions", [{"chain_id": 1, "addresses": ["0x"]}], "subscriptions[0].addresses[0]"),
        ("subscriptions", [{"chain_id": 1, "id": "sub_a"}] * 2, "subscriptions[1].id"),
        ("headers", None, "headers"), ("headers", [], "headers"),
        ("headers", {f"h{i}": "" for i in range(33)}, "headers"),
        *(("max_in_flight", wrong, "max_in_flight") for wrong in (0, -1, 10_001, 1.5, "5", True, False)),
        *(("rate_limit_per_second", wrong, "rate_limit_per_second") for wrong in (0, -1, 0.009, 1e6, "1", True)),
        *(("rate_limit_per_second", wrong, "rate_limit_per_second") for wrong in (float("nan"), float("inf"))),
        ("ordered", 0, "ordered"), ("ordered", None, "ordered"), ("ordered", "yes", "ordered"),
        ("secret", "whsec_x", "secret"), ("id", "ep_1", "id"), ("nonsense", 1, "nonsense"),
        ("disabled_reason", "x", "disabled_reason"),
    ],
)  # fmt: skip
def test_a_wrong_field_of_an_endpoint_is_named(field: str, value: object, named: str) -> None:
    assert field_of(endpoint_of, {"url": "https://example.com/", field: value}) == named


def endpoint_of(raw: object) -> Endpoint:
    return parse_endpoint(raw, any_url)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            (reserved, "x")
            for reserved in ("Host", "content-length", "Content-Type", "Transfer-Encoding", "CONNECTION")
        ),
        *(
            (reserved, "x")
            for reserved in (
                "webhook-id",
                "Webhook-Signature",
                "webhook-anything",
                "User-Agent",
                "TE",
                "Traceparent",
            )
        ),
        *((bad, "x") for bad in ("", " ", "a b", "a:", "a\r\n", "ü", "a\x00", "x" * 129, "(x)")),
        *(("X-Ok", bad) for bad in ("a\r\nb: c", "a\n", "a\x00", "ü", "x" * 2049, None, 1, ["x"], "\x7f")),
    ],
)
def test_a_header_that_may_not_be_sent_is_named(name: str, value: object) -> None:
    assert field_of(endpoint_of, {"url": "https://e.com/", "headers": {name: value}}).startswith("headers.")


def test_custom_headers_are_kept_as_they_are() -> None:
    assert endpoint(headers={"X-B": "1\t2", "Authorization": "Bearer x"}).headers == (
        ("X-B", "1\t2"),
        ("Authorization", "Bearer x"),
    )


def test_the_urls_check_decides_about_the_url() -> None:
    def refuse(url: str) -> str:
        raise InvalidInput("url", f"{url!r} is refused")

    assert field_of(lambda: parse_endpoint({"url": "x"}, refuse)) == "url"
    assert field_of(lambda: parse_endpoint({}, any_url)) == "url"


def test_an_update_keeps_what_it_does_not_name() -> None:
    subscription = {"chain_id": 1, "addresses": [ADDRESS], "event": "A()"}
    secrets = (("whsec_new", None), ("whsec_old", 5.0))
    base = replace(
        endpoint(description="d", headers={"X-A": "1"}, timeout_seconds=3, subscriptions=[subscription]),
        secrets=secrets,
    )
    updates: list[dict[str, Any]] = [
        {"description": "other"}, {"url": "https://other.example/"}, {"timeout_seconds": 9}, {"headers": {}},
    ]  # fmt: skip
    for changes in updates:
        changed = parse_endpoint(changes, any_url, base)
        [(name, value)] = changes.items()
        expected = {**base.public(), name: value}
        assert changed.public() == expected
        assert changed.secrets == secrets


def test_disabling_gives_a_reason_and_enabling_takes_it_away() -> None:
    disabled = endpoint(enabled=False)
    assert (disabled.enabled, disabled.disabled_reason) == (False, "disabled by its owner")
    enabled = parse_endpoint({"enabled": True}, any_url, disabled)
    assert (enabled.enabled, enabled.disabled_reason) == (True, None)


@given(st.dictionaries(st.sampled_from(sorted(endpoint().public())), JSON))
def test_anything_is_an_endpoint_that_can_be_stored_or_refused(raw: dict[str, object]) -> None:
    try:
        made = parse_endpoint({"url": "https://e.com/", **raw}, any_url)
    except InvalidInput:
        return
    assert endpoint_from_stored(orjson.loads(orjson.dumps(made.stored()))) == made


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (None, "subscription"), ([], "subscription"), ({}, "chain_id"), ({"chain_id": "1"}, "chain_id"),
        ({"chain_id": 1, "addresses": ADDRESS}, "addresses"), ({"chain_id": 1, "addresses": False}, "addresses"),
        ({"chain_id": 1, "addresses": ""}, "addresses"), ({"chain_id": 1, "addresses": {}}, "addresses"),
        ({"chain_id": 1, "addresses": [ADDRESS, WORD]}, "addresses[1]"),
        ({"chain_id": 1, "event": 5}, "event"), ({"chain_id": 1, "event": "x" * 4097}, "event"),
        ({"chain_id": 1, "topics": WORD}, "topics"), ({"chain_id": 1, "topics": [None] * 5}, "topics"),
        ({"chain_id": 1, "topics": [None, ADDRESS]}, "topics[1]"),
        ({"chain_id": 1, "topics": [[WORD, 1]]}, "topics[0][1]"),
        ({"chain_id": 1, "event": "A()", "topics": [WORD]}, "topics"),
        ({"chain_id": 1, "id": ""}, "id"), ({"chain_id": 1, "id": "ep_1"}, "id"),
        ({"chain_id": 1, "id": "sub_ü"}, "id"),
        ({"chain_id": 1, "where": "value > 1"}, "where"), ({"chain_id": 1, "confirmations": -1}, "confirmations"),
        ({"chain_id": 1, "confirmations": "latest"}, "confirmations"),
        ({"chain_id": 1, "confirmations": 10_001}, "confirmations"),
        ({"chain_id": 1, "confirmations": False}, "confirmations"),
        ({"chain_id": 1, "confirmations": [1]}, "confirmations"),
        ({"chain_id": 1, "chain": 1}, "chain"),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_subscription_is_named(raw: object, named: str) -> None:
    assert field_of(parse_subscription, raw) == named


def test_a_subscription_is_normalised() -> None:
    upper = "0x" + "AB" * 32
    parsed = parse_subscription(
        {"chain_id": 1, "id": "sub_1", "addresses": [ADDRESS, ADDRESS.upper().replace("0X", "0x")], "where": None,
         "confirmations": 0, "topics": [None, [], upper, [WORD, upper]]}
    )  # fmt: skip
    assert parsed == Subscription("sub_1", 1, (ADDRESS,), None, (None, None, (WORD,), (WORD,)))


def test_ids_are_made_where_none_are_given() -> None:
    first, second = (parse_subscription({"chain_id": 1, "id": None}).id for _ in range(2))
    assert first != second
    assert first.startswith("sub_")


def test_stored_endpoints_come_back_as_they_were() -> None:
    subscription = {"chain_id": MAX_UINT64, "addresses": [ADDRESS], "topics": [None, WORD, [WORD]]}
    made = replace(
        endpoint(subscriptions=[subscription], headers={"X-A": "1"}), secrets=(("whsec_a", None), ("whsec_b", 1.5))
    )
    assert endpoint_from_stored(orjson.loads(orjson.dumps(made.stored()))) == made


def test_the_public_form_has_no_secret() -> None:
    assert "whsec" not in str(replace(endpoint(), secrets=(("whsec_a", None),)).public())
