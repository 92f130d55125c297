"""From the options of `hookfarm endpoints` to checked endpoints."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from hookfarm.config import Config
from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint, operational, parse_endpoint
from hookfarm.security import ssrf

_SUBSCRIPTION_OPTIONS = (
    *("chains", "kind", "senders", "recipients", "addresses", "event", "topics", "where", "confirmations"),
    "notify",
)

_OPTIONS = {
    "chain_id": "--chain", "kind": "--kind", "from": "--from", "to": "--to", "addresses": "--address",
    "event": "--event", "topics": "--topics", "where": "--where", "confirmations": "--confirmations",
    "notify": "--notify", "events": "--operational", "description": "--description", "headers": "--header",
    "timeout_seconds": "--timeout", "max_in_flight": "--max-in-flight", "rate_limit_per_second": "--rate-limit",
}  # fmt: skip
"""What was typed for a field of an endpoint, or of one of its subscriptions: they share these options."""
_FIELD = re.compile(r"(?:subscriptions\[\d+\]\.)?([a-z_]+)(?:\[.*\]|\.(.*))?", re.DOTALL)


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
    of_chains = any(options[name] not in (None, ()) for name in _SUBSCRIPTION_OPTIONS)
    if of_chains or options["operational"]:
        record["subscriptions"] = (_subscriptions(options) if of_chains else []) + _operational(options)
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
        raise InvalidInput("--header", "one of them is not NAME:VALUE")  # It may be the value alone.
    return name.strip(), value.strip()


def _subscriptions(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not options["chains"]:
        raise InvalidInput("--chain", "a subscription needs the chain it is for; give --chain ID")
    shared = {"addresses": list(options["addresses"]), "event": options["event"]}
    shared |= {"from": list(options["senders"]), "to": list(options["recipients"])}
    if options["kind"] is not None:
        shared["kind"] = options["kind"]
    if options["where"] is not None:
        shared["where"] = options["where"]
    if options["confirmations"] is not None:
        given = options["confirmations"]
        shared["confirmations"] = int(given) if given.isdecimal() and len(given) < 10 else given
    if options["notify"]:
        shared["notify"] = _words(options["notify"])
    if options["topics"] is not None:
        try:
            shared["topics"] = orjson.loads(options["topics"])
        except ValueError as error:
            raise InvalidInput("--topics", f"not JSON: {error}") from error
    return [{"chain_id": chain_id, **shared} for chain_id in options["chains"]]


def _operational(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One subscription to all that was asked for of hookfarm itself."""
    events = _words(options["operational"])
    return [{"kind": operational.KIND, "events": events}] if events else []


def _words(given: Sequence[str]) -> list[str]:
    return [word.strip() for some in given for word in some.split(",")]


def parse(record: Mapping[str, Any], config: Config, base: Endpoint | None = None) -> Endpoint:
    """A checked endpoint; InvalidInput names the wrong option."""

    def check_url(url: str) -> str:
        ssrf.parse(url, config.allow_private)
        return url

    try:
        return parse_endpoint(record, check_url, base)
    except InvalidInput as error:
        raise InvalidInput(_option(error.field), error.problem) from error


def _option(field: str) -> str:
    """`--event` for `subscriptions[0].event`; what no option gave keeps the name of its field."""
    found = _FIELD.fullmatch(field)
    if found is None or found[1] not in _OPTIONS:
        return field
    option = _OPTIONS[found[1]]
    return option if found[2] is None else f"{option} {found[2]}"
