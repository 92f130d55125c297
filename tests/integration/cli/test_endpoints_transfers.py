"""`hookfarm endpoints` with subscriptions to transfers."""

import json
from typing import Any

import pytest

from hookfarm.cli.endpoint_options import new_record, parse_record
from hookfarm.config import load
from hookfarm.errors import InvalidInput
from hookfarm.records import parse_chain_event
from tests.support.endpoint_options import NOTHING, TOKEN, TRANSFER, created_with, sent
from tests.support.farm_processes import hookfarm
from tests.support.receivers import running_receiver

A, B = "0x" + "Aa" * 20, "0x" + "bb" * 20
WHERE = "value >= 1_000_000_000_000_000_000"


def test_transfers_are_subscribed_to_shown_and_changed(redis_url: str) -> None:
    def run(*arguments: str) -> str:
        said = hookfarm("endpoints", *arguments, "--redis-url", redis_url)
        assert (said.returncode, said.stderr) == (0, "")
        return said.stdout

    options = ("--chain", "1", "--kind", "transfer", "--from", A, "--from", B, "--where", WHERE)
    added = json.loads(run("add", "https://example.com/h", *options, "--json"))
    [subscription] = added["subscriptions"]
    assert (subscription["kind"], subscription["from"], subscription["to"]) == ("transfer", [A.lower(), B], [])
    assert subscription["where"] == WHERE
    assert f"chain 1: transfers from 2 addresses where {WHERE}" in run("show", added["id"])
    run("update", added["id"], "--chain", "10", "--kind", "transfer", "--to", A)
    assert "chain 10: transfers to 1 address" in run("list")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"kind": "transfer"}, "--chain"),
        ({"senders": (A,)}, "--chain"),
        ({"chains": (1,), "kind": "transfers"}, "--kind"),
        ({"chains": (1,), "kind": ""}, "--kind"),
        ({"chains": (1,), "kind": "transfer", "senders": ("0x1",)}, "--from"),
        ({"chains": (1,), "kind": "transfer", "recipients": (A, "0x1")}, "--to"),
        ({"chains": (1,), "kind": "transfer", "addresses": (TOKEN,)}, "--address"),
        ({"chains": (1,), "kind": "transfer", "event": TRANSFER}, "--event"),
        ({"chains": (1,), "kind": "transfer", "topics": "[null]"}, "--topics"),
        ({"chains": (1,), "kind": "transfer", "where": "amount > 1"}, "--where"),
        ({"chains": (1,), "senders": (A,)}, "--from"),
        ({"chains": (1,), "recipients": (A,)}, "--to"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        created_with({**NOTHING, **options})
    assert caught.value.field == field


def test_a_subscription_to_transfers_has_a_sample() -> None:
    with running_receiver() as receiver:
        config = load({"allow_private": "127.0.0.0/8"}, environment={})
        options = {**NOTHING, "chains": (5,), "kind": "transfer", "recipients": (A,)}
        endpoint = parse_record(new_record(receiver.url, options), config)
        [reply] = sent(endpoint, config)
        assert reply["delivered"]
        body = json.loads(receiver.received[0].body)
        assert (body["type"], body["data"]["to"], body["data"]["event"]) == ("transfer.emitted", A.lower(), None)
        assert parse_chain_event(body["data"])["chain_id"] == 5
