"""`hookfarm endpoints`: manage the registry."""

import asyncio
import math
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click
import redis

from hookfarm.cli.endpoint_options import (
    changed_fields,
    endpoint_id_argument,
    endpoint_options,
    new_record,
    parse_record,
    subscription_options,
)
from hookfarm.cli.endpoint_output import (
    attempt_statistics,
    effect_lines,
    reply_line,
    state_lines,
    subscription_line,
    value_text,
    with_state,
)
from hookfarm.cli.options import connected, json_option, redis_options, settings, text_option, whole_option
from hookfarm.cli.output import columns, print_json, progress_bar, track
from hookfarm.config import Config
from hookfarm.deliveries.endpoint_stats import endpoint_views, read_windows
from hookfarm.errors import InvalidInput
from hookfarm.http_client.connections import tls_context
from hookfarm.records import Endpoint, Subscription
from hookfarm.records.fields import BYTES32, hex_value
from hookfarm.registry import listing
from hookfarm.registry.listing import ListedEndpoint, ListingFilter
from hookfarm.registry.store import Registry
from hookfarm.sample_webhooks import webhooks
from hookfarm.sample_webhooks.webhooks import SampleSender, SampleWebhook
from hookfarm.security.vault import Vault
from hookfarm.timestamps import format_ms

_BATCH_SIZE = 500


@click.group()
def endpoints() -> None:
    """Manage endpoints and their subscriptions."""


@endpoints.command()
@click.argument("url")
@subscription_options
@endpoint_options
@json_option
@redis_options
def add(url: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Add an endpoint and print its secret.

    The secret is not shown again.

    \b
    Examples:
      hookfarm endpoints add https://example.com/hook --chain 1 \\
        --event "Transfer(address indexed from, address indexed to, uint256 value)"
      hookfarm endpoints add https://example.com/hook --chain 1 \\
        --kind transfer --to 0x… --where "value >= 1_000_000_000_000_000_000"
      hookfarm endpoints add https://example.com/ops --operational hookfarm.delivery.dead
    """
    given = settings(config_file, redis_url=options["redis_url"], state_dir=options["state_dir"])
    record = new_record(url, options)
    endpoint = parse_record(record, given)
    with connected(given) as client:
        created = Registry(client, Vault(given.master_key)).add(endpoint)
    shown = {**created.public(), "secret": created.secrets[0][0]}
    if as_json:
        print_json(shown)
        return
    click.echo(f"id      {created.id}")
    click.echo(f"url     {created.url}")
    click.echo(f"secret  {shown['secret']}")
    for line in effect_lines(created):
        click.echo(line)
    click.echo("Store the secret: it is not shown again. The receiver verifies webhooks with it.")


@endpoints.command(name="list")
@text_option("--search", "Search URL, description and id, ignoring case.", "TEXT")
@click.option("--enabled/--disabled", default=None, help="Only enabled or disabled endpoints.")
@click.option(
    "--circuit", type=click.Choice(["closed", "open"]), help="Filter by circuit breaker; open includes half_open."
)
@whole_option("--limit", 1, 10**9, "Maximum number of endpoints. [default: all]")
@json_option
@redis_options
def list_(
    search: str | None, enabled: bool | None, circuit: str | None, limit: int | None, as_json: bool,
    config_file: Path | None, **options: Any,
) -> None:  # fmt: skip
    """List endpoints, newest first, with their state.

    \b
    Example: hookfarm endpoints list --search example.com --circuit open
    """
    where = ListingFilter(search, enabled, None if circuit is None else circuit == "open")
    with connected(settings(config_file, **options)) as client:
        listed = _list(client, where, limit)
        windows = read_windows(client, [one.endpoint.id for one in listed])
    shown = [with_state(_public(one), window) for one, window in zip(listed, windows, strict=True)]
    if as_json:
        print_json(shown)
        return
    rows = [("id", "state", "url", "subscriptions")]
    for one in shown:
        subscriptions = ", ".join(map(subscription_line, one["subscriptions"]))
        rows.append((one["id"], one["state"], one["url"], subscriptions))
    for line in columns(rows):
        click.echo(line)


@endpoints.command()
@endpoint_id_argument
@json_option
@redis_options
def show(endpoint_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Show one endpoint.

    It shows settings, queued deliveries and last attempts, but not the secret.

    \b
    Example: hookfarm endpoints show ep_…
    """
    with connected(settings(config_file, **options)) as client:
        [view] = endpoint_views(client, [listing.get(client, endpoint_id)])
        [window] = read_windows(client, [endpoint_id])
    if as_json:
        merged = {**view, "window": {**view["window"], **window.as_json()}}
        print_json(with_state(merged, window))
        return
    for name, value in view.items():
        if name not in ("subscriptions", "window", "recent"):
            click.echo(f"{name:22} {value_text(value)}".rstrip())
    for subscription in view["subscriptions"]:
        click.echo(f"{subscription['id']:22} {subscription_line(subscription)}")
    for name, text in (*state_lines(view, window), *attempt_statistics(view)):
        click.echo(f"{name:22} {text}")


@endpoints.command()
@endpoint_id_argument
@click.option("--url", metavar="URL", help="New URL.")
@click.option("--enable/--disable", "enabled", default=None, help="Enable or disable it.")
@subscription_options
@endpoint_options
@json_option
@redis_options
def update(endpoint_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Change an endpoint. Subscription options (--chain, --operational, …) replace all subscriptions.

    \b
    Example: hookfarm endpoints update ep_… --timeout 5 --rate-limit 100
    """
    given = settings(config_file, redis_url=options["redis_url"], state_dir=options["state_dir"])
    record = changed_fields(options)
    with connected(given) as client:
        changed = Registry(client).edit(endpoint_id, lambda base: parse_record(record, given, base))
    if as_json:
        print_json(changed.public())
        return
    click.echo(f"updated {changed.id}")
    if "subscriptions" in record or "enabled" in record:
        for line in effect_lines(changed):
            click.echo(line)


@endpoints.command()
@endpoint_id_argument
@redis_options
def remove(endpoint_id: str, config_file: Path | None, **options: Any) -> None:
    """Remove an endpoint.

    Its queued deliveries become dead letters.

    \b
    Example: hookfarm endpoints remove ep_…
    """
    with connected(settings(config_file, **options)) as client:
        Registry(client).remove(endpoint_id)
    click.echo(f"removed {endpoint_id}")


@endpoints.command()
@endpoint_id_argument
@json_option
@redis_options
def enable(endpoint_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Enable an endpoint.

    Its parked deliveries are sent, and its circuit breaker is closed.

    \b
    Example: hookfarm endpoints enable ep_…
    """
    _switch(endpoint_id, True, as_json, config_file, options)


@endpoints.command()
@endpoint_id_argument
@json_option
@redis_options
def disable(endpoint_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Disable an endpoint.

    New events are not matched for it, and its queued deliveries are parked.

    \b
    Example: hookfarm endpoints disable ep_…
    """
    _switch(endpoint_id, False, as_json, config_file, options)


@endpoints.command()
@endpoint_id_argument
@text_option("--subscription", "Only for this subscription.", "SUB")
@text_option("--transaction", "Send the matching logs of this transaction instead of sample events.", "HASH")
@click.option(
    "--chain",
    "chains",
    multiple=True,
    metavar="ID=URL[,URL…]",
    help="Nodes of the transaction's chain. Repeatable.",
)
@json_option
@redis_options
def test(
    endpoint_id: str, subscription: str | None, transaction: str | None, as_json: bool, config_file: Path | None,
    **options: Any,
) -> None:  # fmt: skip
    """Send test webhooks and print the replies.

    It sends one signed webhook per subscription.

    \b
    Examples:
      hookfarm endpoints test ep_…
      hookfarm endpoints test ep_… --transaction 0x… --chain 1=wss://node.example/key
    """
    given = settings(config_file, **options)
    with connected(given) as client:
        endpoint = Registry(client).get(endpoint_id)
    subscriptions = webhooks.select(endpoint, subscription, "--subscription")
    if transaction is None:
        samples = webhooks.of_subscriptions(subscriptions)
    else:
        samples = _of_transaction(endpoint, subscriptions, transaction, given)
    sender = SampleSender(tls_context(given.ca_file), given.allow_private, Vault(given.master_key))
    replies: list[dict[str, Any]] = []
    for sample in track(samples, "sending"):
        replies += sender.send(endpoint, [sample], within_seconds=math.inf)
    if as_json:
        print_json(replies)
    else:
        for reply in replies:
            click.echo(reply_line(reply))
    sys.exit(0 if all(reply["delivered"] for reply in replies) else 1)


@endpoints.command(name="rotate-secret")
@endpoint_id_argument
@json_option
@redis_options
def rotate_secret(endpoint_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Give an endpoint a new secret. The old secret also signs for a day.

    \b
    Example: hookfarm endpoints rotate-secret ep_…
    """
    given = settings(config_file, **options)
    with connected(given) as client:
        rotated = Registry(client, Vault(given.master_key)).rotate_secret(endpoint_id)
    if as_json:
        print_json({**rotated.public(), "secret": rotated.secrets[0][0]})
    else:
        click.echo(f"secret  {rotated.secrets[0][0]}")
        click.echo("Store it: it is not shown again. The old secret also signs for a day.")


@endpoints.command()
@json_option
@redis_options
def seal(as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Encrypt all stored secrets.

    It uses the newest master key (HOOKFARM_MASTER_KEY). Run it after setting the first master key, and after
    adding a new key in front. Older keys can then be removed.

    \b
    Example: HOOKFARM_MASTER_KEY="2027:$(cat new.key),2026:$(cat old.key)" hookfarm endpoints seal
    """
    given = settings(config_file, **options)
    if not given.master_key:
        raise InvalidInput("master_key", "is missing; give HOOKFARM_MASTER_KEY=ID:BASE64 of 32 bytes")
    with connected(given) as client:
        registry = Registry(client, Vault(given.master_key))
        found = [endpoint.id for endpoint in registry.all()]
        changed = sum(registry.seal(endpoint_id) for endpoint_id in track(found, "sealing"))
    if as_json:
        print_json({"endpoints": len(found), "changed": changed})
    else:
        click.echo(f"{changed:,} of {len(found):,} endpoints changed")


def _switch(
    endpoint_id: str, enabled: bool, as_json: bool, config_file: Path | None, options: dict[str, Any]
) -> None:
    given = settings(config_file, **options)
    with connected(given) as client:
        changed = Registry(client).edit(endpoint_id, lambda base: parse_record({"enabled": enabled}, given, base))
    if as_json:
        print_json(changed.public())
        return
    click.echo(f"{'enabled' if enabled else 'disabled'} {changed.id}")
    for line in effect_lines(changed):
        click.echo(line)


def _list(client: redis.Redis, where: ListingFilter, limit: int | None) -> list[ListedEndpoint]:
    """Return matching endpoints, newest first, at most `limit`."""
    with progress_bar("reading"):
        return list(islice(_all_pages(client, where), limit))


def _all_pages(client: redis.Redis, where: ListingFilter) -> Iterator[ListedEndpoint]:
    before: int | None = None
    while True:
        found, before = listing.page(client, where, before, _BATCH_SIZE)
        yield from found
        if before is None:
            return


def _public(listed: ListedEndpoint) -> dict[str, Any]:
    return {**listed.endpoint.public(), "created_at": format_ms(listed.created_ms)}


def _of_transaction(
    endpoint: Endpoint, subscriptions: tuple[Subscription, ...], transaction: str, given: Config
) -> list[SampleWebhook]:
    """Return the test webhooks of a transaction's logs, read from the configured nodes."""
    transaction_hash = hex_value(transaction, "--transaction", BYTES32, "32 bytes")
    chains = webhooks.chains_of(subscriptions, given.chains)
    if not chains:
        raise InvalidInput("--chain", "no node is configured for a subscribed chain; give --chain ID=URL")
    with progress_bar("reading the chain"):
        return asyncio.run(webhooks.of_transaction(endpoint, subscriptions, transaction_hash, chains))
