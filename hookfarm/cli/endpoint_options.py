"""Options of an endpoint and its subscriptions, parsed into a checked endpoint."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import click
import orjson

from hookfarm.cli.options import F, among, endpoint_ids, utf8
from hookfarm.config import Config
from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint, operational, parse_endpoint
from hookfarm.security import ssrf

_SUBSCRIPTION_OPTIONS = (
    *("chains", "kind", "senders", "recipients", "addresses", "event", "topics", "where", "confirmations"),
    "notify",
)

_OPTION_OF_FIELD = {
    "chain_id": "--chain", "kind": "--kind", "from": "--from", "to": "--to", "addresses": "--address",
    "event": "--event", "topics": "--topics", "where": "--where", "confirmations": "--confirmations",
    "notify": "--notify", "events": "--operational", "description": "--description", "headers": "--header",
    "timeout_seconds": "--timeout", "max_in_flight": "--max-in-flight", "rate_limit_per_second": "--rate-limit",
}  # fmt: skip
"""Field of an endpoint or a subscription -> option."""
_FIELD = re.compile(r"(?:subscriptions\[\d+\]\.)?([a-z_]+)(?:\[.*\]|\.(.*))?", re.DOTALL)


def endpoint_id_argument(command: F) -> F:
    return click.argument("endpoint_id", metavar="ID", callback=utf8, shell_complete=endpoint_ids)(command)


def subscription_options(command: Any) -> Any:
    options = [
        click.option("--chain", "chains", type=int, multiple=True, metavar="ID", help="Chain id. Repeatable."),
        click.option(
            "--kind", metavar="KIND", help="Event kind: log, or transfer of native currency. [default: log]"
        ),
        click.option(
            "--from", "senders", multiple=True, metavar="0x…", help="Transfer sender. Repeatable. [default: any]"
        ),
        click.option(
            "--to",
            "recipients",
            multiple=True,
            metavar="0x…",
            help="Transfer recipient. Repeatable. [default: any]",
        ),
        click.option(
            "--address",
            "addresses",
            multiple=True,
            metavar="0x…",
            help="Contract address. Repeatable. [default: any]",
        ),
        click.option(
            "--event",
            metavar="SIGNATURE",
            help='Event, such as "Transfer(address indexed from, …)". [default: any]',
        ),
        click.option("--topics", metavar="JSON", help="Positional topics as in eth_getLogs, instead of --event."),
        click.option(
            "--where",
            metavar="CONDITION",
            help='Condition, such as "value >= 1_000_000 and to == 0x…". [default: none]',
        ),
        click.option("--confirmations", metavar="N", help="Blocks to wait, or safe or finalized. [default: 0]"),
        click.option(
            *("--notify", "notify"),
            multiple=True,
            metavar="WORD",
            help="Webhooks to send: emitted, removed, finalized. Repeatable, or comma-separated. "
            "[default: emitted,removed]",
        ),
        click.option(
            *("--operational", "operational"),
            multiple=True,
            metavar="EVENT",
            shell_complete=among(*operational.EVENTS),
            help=f"Operational event: {', '.join(operational.EVENTS)}. Repeatable.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def endpoint_options(command: Any) -> Any:
    options = [
        click.option("--description", metavar="TEXT", help="Description for people."),
        click.option(
            "--header", "headers", multiple=True, metavar="NAME:VALUE", help="Extra request header. Repeatable."
        ),
        click.option(
            "--timeout",
            "timeout_seconds",
            type=float,
            metavar="SECONDS",
            help="Time-out per attempt. [default: 15]",
        ),
        click.option(
            "--max-in-flight",
            metavar="N|none",
            help="Maximum attempts in flight; none = the setting max_in_flight. [default: none]",
        ),
        click.option(
            "--rate-limit",
            "rate_limit_per_second",
            metavar="R|none",
            help="Maximum attempts per second. [default: none]",
        ),
        click.option(
            "--ordered/--no-ordered",
            default=None,
            help="One attempt at a time, in the order of events. [default: no]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def new_record(url: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the unchecked record from the options of `add`."""
    return {**changed_fields(options), "url": url}


def changed_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the unchecked fields from the given options."""
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
    """Return a limit as stored in records, None for `none`. Invalid text is refused by the record's check."""
    try:
        return None if text == "none" else kind(text)
    except ValueError:
        return text


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise InvalidInput("--header", "a header is not NAME:VALUE")  # Not quoted: it may be secret.
    return name.strip(), value.strip()


def _subscriptions(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not options["chains"]:
        raise InvalidInput("--chain", "is missing; a subscription needs --chain ID")
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
        shared["notify"] = _split_commas(options["notify"])
    if options["topics"] is not None:
        try:
            shared["topics"] = orjson.loads(options["topics"])
        except ValueError as error:
            raise InvalidInput("--topics", f"is not JSON: {error}") from error
    return [{"chain_id": chain_id, **shared} for chain_id in options["chains"]]


def _operational(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a list with the subscription to operational events, or an empty one."""
    events = _split_commas(options["operational"])
    return [{"kind": operational.KIND, "events": events}] if events else []


def _split_commas(given: Sequence[str]) -> list[str]:
    return [word.strip() for some in given for word in some.split(",")]


def parse_record(record: Mapping[str, Any], config: Config, base: Endpoint | None = None) -> Endpoint:
    """Return a checked endpoint. Raises InvalidInput that names the option."""

    def check_url(url: str) -> str:
        ssrf.parse(url, config.allow_private)
        return url

    try:
        return parse_endpoint(record, check_url, base)
    except InvalidInput as error:
        raise InvalidInput(_option(error.field), error.problem) from error


def _option(field: str) -> str:
    """Return `--event` for `subscriptions[0].event`; a field without an option keeps its name."""
    found = _FIELD.fullmatch(field)
    if found is None or found[1] not in _OPTION_OF_FIELD:
        return field
    option = _OPTION_OF_FIELD[found[1]]
    return option if found[2] is None else f"{option} {found[2]}"
