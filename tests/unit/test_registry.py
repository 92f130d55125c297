"""The parts of the registry that need no server."""

import base64
import hmac

import orjson
from standardwebhooks.webhooks import Webhook

from hookfarm.records import Endpoint, Subscription
from hookfarm.registry import decode, new_secret
from hookfarm.webhook_delivery.signature import signing_key


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
