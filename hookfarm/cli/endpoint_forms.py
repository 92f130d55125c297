"""From the options of `hookfarm endpoints` to checked endpoints, and the samples that `test` sends."""

import math
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from eth_abi.abi import encode

from hookfarm import address_guard, operational
from hookfarm.abi import signature
from hookfarm.abi.abi_types import TUPLE, AbiType
from hookfarm.config import Config
from hookfarm.errors import InvalidInput
from hookfarm.jobs import Taken
from hookfarm.message_processor import decoder, payload
from hookfarm.records import Endpoint, Event, Subscription, parse_endpoint
from hookfarm.vault import Vault
from hookfarm.webhook_delivery import outcome
from hookfarm.webhook_delivery.connections import Connections, tls_context
from hookfarm.webhook_delivery.endpoints import prepare
from hookfarm.webhook_delivery.transport import Transport

_ZERO_WORD = f"0x{'0' * 64}"
_ZERO_ADDRESS = f"0x{'0' * 40}"
_MOST_SAMPLE_VALUES = 1000
_SUBSCRIPTION_OPTIONS = ("chains", "addresses", "event", "topics", "where", "confirmations")


def creation(url: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The endpoint that the options of `add` describe, unchecked."""
    return {**changes(options), "url": url}


def changes(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that the options give, unchecked."""
    record: dict[str, Any] = {}
    for field in ("url", "description", "timeout_seconds", "enabled", "ordered"):
        if options.get(field) is not None:
            record[field] = options[field]
    for field, kind in (("max_in_flight", int), ("rate_limit_per_second", float)):
        if options.get(field) is not None:
            record[field] = _limit(options[field], kind)
    if options["headers"]:
        record["headers"] = dict(_header(line) for line in options["headers"])
    if any(options[name] not in (None, ()) for name in _SUBSCRIPTION_OPTIONS):
        record["subscriptions"] = _subscriptions(options)
    return record


def _limit(text: str, kind: type[int] | type[float]) -> int | float | str | None:
    """A limit as a record has it: None for `none`; what is no number is left to the record's check."""
    try:
        return None if text == "none" else kind(text)
    except ValueError:
        return text


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise InvalidInput("header", f"{line!r} is not NAME:VALUE")
    return name.strip(), value.strip()


def _subscriptions(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not options["chains"]:
        raise InvalidInput("chain", "a subscription needs the chain it is for; give --chain ID")
    shared = {"addresses": list(options["addresses"]), "event": options["event"]}
    if options["where"] is not None:
        shared["where"] = options["where"]
    if options["confirmations"] is not None:
        given = options["confirmations"]
        shared["confirmations"] = int(given) if given.isdecimal() and len(given) < 10 else given
    if options["topics"] is not None:
        try:
            shared["topics"] = orjson.loads(options["topics"])
        except ValueError as error:
            raise InvalidInput("topics", f"not JSON: {error}") from error
    return [{"chain_id": chain_id, **shared} for chain_id in options["chains"]]


def parse(record: Mapping[str, Any], config: Config, base: Endpoint | None = None) -> Endpoint:
    """A checked endpoint; InvalidInput names the wrong field."""

    def check_url(url: str) -> str:
        address_guard.parse(url, config.allow_private)
        return url

    return parse_endpoint(record, check_url, base)


def send_samples(endpoint: Endpoint, config: Config) -> list[dict[str, Any]]:
    """Posts a signed sample for each subscription (one without any, if there is none); the replies."""
    prepared = prepare(endpoint, config.allow_private, Vault(config.master_key))
    transport = Transport(Connections(tls_context(config.ca_file), config.allow_private), give_up=lambda: False)
    replies = []
    for subscription in endpoint.subscriptions or (None,):
        taken = _sample(endpoint, subscription)
        result = transport.post(prepared.target, prepared.request(taken, time.time()), endpoint.timeout_seconds)
        delivered = isinstance(result, outcome.Response) and 200 <= result.status < 300
        name = subscription.id if subscription else None
        replies.append({"subscription": name, "delivered": delivered, **outcome.describe(result)})
    transport.close()
    return replies


def _sample(endpoint: Endpoint, subscription: Subscription | None) -> Taken:
    """A delivery of an event that never was: right in form, zero in every argument."""
    if subscription is not None and subscription.is_operational:
        body = operational.sample(subscription)
        return Taken(0, f"msg_test_{secrets.token_hex(12)}", endpoint.id, 1, {}, body)
    event: Event = {
        "chain_id": subscription.chain_id if subscription else 1,
        "block_number": 0,
        "block_hash": f"0x{secrets.token_hex(32)}",
        "block_timestamp": int(time.time()),
        "transaction_hash": _ZERO_WORD,
        "transaction_index": 0,
        "log_index": 0,
        "address": subscription.addresses[0] if subscription and subscription.addresses else _ZERO_ADDRESS,
        "topics": [],
        "data": "0x",
        "removed": False,
    }
    decoded = None
    if subscription is not None and subscription.event is not None:
        declared = signature.parse(subscription.event)
        own_topic = [declared.topic0] if declared.topic0 else []
        event["topics"] = own_topic + [_ZERO_WORD for p in declared.parameters if p.indexed]
        event["data"] = _zero_data([p.type for p in declared.parameters if not p.indexed])
        decoded = decoder.decode(declared, event["topics"], event["data"])
    body = payload.emitted(event, decoded, subscription.id if subscription else "")
    return Taken(0, f"msg_test_{secrets.token_hex(12)}", endpoint.id, 1, {}, body)


def _zero_data(types: Sequence[AbiType]) -> str:
    """The data of a log whose arguments are all zero or empty; none where they would be too many to send."""
    if sum(map(_values, types)) > _MOST_SAMPLE_VALUES:
        return "0x"
    return "0x" + encode([t.canonical for t in types], [_zero(t) for t in types]).hex()


def _values(of: AbiType) -> int:
    one = sum(_values(c.type) for c in of.components) if of.base == TUPLE else 1
    return one * math.prod(0 if size is None else size for size in of.sizes)


def _zero(of: AbiType) -> Any:
    if of.sizes:
        return [_zero(of.element)] * (of.sizes[-1] or 0)
    if of.base == TUPLE:
        return tuple(_zero(c.type) for c in of.components)
    if of.base.startswith(("bytes", "function")):
        return b""
    return {"string": "", "bool": False, "address": _ZERO_ADDRESS}.get(of.base, 0)
