"""The parts of the registry that need no server."""

import base64
import contextlib
import hmac
from typing import Any

import orjson
import pytest
from standardwebhooks.webhooks import Webhook

from hookfarm.errors import InvalidInput
from hookfarm.http_client.request import signing_key
from hookfarm.records import Endpoint, Subscription
from hookfarm.registry.store import decode, new_secret
from hookfarm.registry.stored_endpoint import decode_all


def test_a_secret_is_32_random_bytes_in_the_form_of_standard_webhooks() -> None:
    first, second = new_secret(), new_secret()
    assert first != second
    assert first.startswith("whsec_")
    assert len(base64.b64decode(first.removeprefix("whsec_"), validate=True)) == 32
    assert signing_key(first).digest() == hmac.digest(Webhook(first)._whsecret, b"", "sha256")


def test_what_the_registry_stores_it_can_read() -> None:
    topics = (None, ("0x" + "11" * 32,))
    endpoint = Endpoint(
        "ep_1", "https://example.com/", "ü", (Subscription("sub_1", 1, (), None, topics),), (("a", "b"),), 1.5,
        7, 2.5, True, False,
        "gone", ((new_secret(), None), (new_secret(), 5.0)),
    )  # fmt: skip
    assert decode(orjson.dumps(endpoint.stored())) == endpoint
    assert decode(orjson.dumps(endpoint.stored()).decode()) == endpoint


WHOLE = Endpoint(
    "ep_1", "https://example.com/", subscriptions=(Subscription("sub_1", 1, ("0x" + "a0" * 20,)),),
    headers=(("x-a", "b"),), secrets=((new_secret(), None),),
).stored()  # fmt: skip


@pytest.mark.parametrize(
    "stored", [b"", b"garbage", b"\xff\xfe", b"null", b"[]", b'"x"', b"7", b"{}", b"[" * 100_000, b"x" * 5_000_000]
)
def test_what_is_no_endpoint_is_said_to_be_none(stored: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^endpoint: cannot be read"):
        decode(stored)


def decoded(stored: dict[str, Any]) -> Endpoint | None:
    """None where it was refused; anything but InvalidInput is the test's."""
    with contextlib.suppress(InvalidInput):
        return decode(orjson.dumps(stored))
    return None


@pytest.mark.parametrize("name", ["id", "url", "subscriptions", "headers", "enabled", "secrets"])
def test_an_endpoint_that_lacks_a_field_is_none(name: str) -> None:
    assert decoded({key: value for key, value in WHOLE.items() if key != name}) is None


@pytest.mark.parametrize("wrong", [7, "x", ["x"], {"x": "y"}, [["x"]], [{}], [None], 1e300, [["whsec_", "x"]]])
@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_field_of_another_type_makes_none_of_it_and_what_is_taken_can_be_used(name: str, wrong: Any) -> None:
    found = decoded({**WHOLE, name: wrong})
    if found is None:
        return
    assert type(found.id) is type(found.url) is type(found.description) is str
    assert all(signing_key(secret) for secret, _ in found.secrets)
    assert all(expires is None or expires > 0 for _, expires in found.secrets)
    assert decode(orjson.dumps(found.stored())) == found


def test_unreadable_endpoints_are_reported_by_id_beside_the_others() -> None:
    good = orjson.dumps(WHOLE)
    endpoints, unreadable = decode_all(
        [(b"ep_1", good), (b"ep_2", good), (b"\xff", b"x"), (b"e" * 5000, b"x"), (b"ep_gone", None)]
    )
    assert {name for name, endpoint in endpoints.items() if endpoint} == {"ep_1"}
    assert set(unreadable) == {"ep_2", "\\xff", "e" * 100}
    assert str(unreadable["ep_2"]) == "id: differs from the key that it is stored under"
    assert endpoints["ep_gone"] is None
