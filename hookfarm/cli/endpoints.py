"""`hookfarm endpoints`: the registry from the shell."""

import sys
from pathlib import Path
from typing import Any

import click

from hookfarm.cli.deliveries_forms import text_option
from hookfarm.cli.endpoint_options import endpoint_options, id_argument, subscription_options
from hookfarm.cli.endpoint_secrets import rotate_secret, seal
from hookfarm.cli.endpoint_shown import effect, reply_line, subscription_line, value_text
from hookfarm.cli.numbers import whole_option
from hookfarm.cli.options import connected, json_option, print_json, redis_options, settings
from hookfarm.cli.tables import columns


@click.group()
def endpoints() -> None:
    """Manage endpoints: where webhooks go, and what they are sent for."""


@endpoints.command()
@click.argument("url")
@subscription_options
@endpoint_options
@json_option
@redis_options
def add(url: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Add an endpoint for URL and print its secret: the only time it is shown.

    \b
    Examples:
      hookfarm endpoints add https://example.com/hook --chain 1 \\
        --event "Transfer(address indexed from, address indexed to, uint256 value)"
      hookfarm endpoints add https://example.com/hook --chain 1 \\
        --kind transfer --to 0x… --where "value >= 1_000_000_000_000_000_000"
      hookfarm endpoints add https://example.com/ops --operational hookfarm.delivery.dead
    """
    from hookfarm.cli import endpoint_forms

    given = settings(config_file, redis_url=options["redis_url"], state_dir=options["state_dir"])
    record = endpoint_forms.creation(url, options)
    endpoint = endpoint_forms.parse(record, given)
    with connected(given) as client:
        from hookfarm.registry.registry import Registry
        from hookfarm.security.vault import Vault

        created = Registry(client, Vault(given.master_key)).add(endpoint)
    shown = {**created.public(), "secret": created.secrets[0][0]}
    if as_json:
        print_json(shown)
        return
    click.echo(f"id      {created.id}")
    click.echo(f"url     {created.url}")
    click.echo(f"secret  {shown['secret']}")
    for line in effect(created):
        click.echo(line)
    click.echo("Keep the secret: it is shown only now. With it the receiver verifies what arrives.")


@endpoints.command(name="list")
@text_option("--search", "Only with this text in URL, description or id, in any case.", "TEXT")
@click.option("--enabled/--disabled", default=None, help="Only those that are, or are not.")
@click.option(
    "--circuit",
    type=click.Choice(["closed", "open"]),
    help="Filter by circuit-breaker state; open includes half_open.",
)
@whole_option("--limit", 1, 10**9, "How many at most")
@json_option
@redis_options
def list_(
    search: str | None, enabled: bool | None, circuit: str | None, limit: int | None, as_json: bool,
    config_file: Path | None, **options: Any,
) -> None:  # fmt: skip
    """List endpoints, the newest first, and which of them are failing.

    \b
    Example: hookfarm endpoints list --search example.com --circuit open
    """
    from hookfarm.cli import endpoint_states, endpoints_found
    from hookfarm.deliveries import endpoint_stats
    from hookfarm.registry.listing import ListingFilter

    where = ListingFilter(search, enabled, None if circuit is None else circuit == "open")
    with connected(settings(config_file, **options)) as client:
        listed = endpoints_found.listed(client, where, limit)
        windows = endpoint_stats.read_windows(client, [one.endpoint.id for one in listed])
    shown = [
        endpoint_states.with_state(endpoints_found.public(one), window)
        for one, window in zip(listed, windows, strict=True)
    ]
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
@id_argument
@json_option
@redis_options
def show(endpoint_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Show one endpoint, all of it but its secret, how much of it is on its way, and how its attempts went.

    \b
    Example: hookfarm endpoints show ep_…
    """
    from hookfarm.api import views
    from hookfarm.cli import endpoint_states
    from hookfarm.deliveries import endpoint_stats
    from hookfarm.registry import listing

    with connected(settings(config_file, **options)) as client:
        [view] = views.endpoints(client, [listing.get(client, endpoint_id)])
        [window] = endpoint_stats.read_windows(client, [endpoint_id])
    if as_json:
        merged = {**view, "window": {**view["window"], **window.as_json()}}
        print_json(endpoint_states.with_state(merged, window))
        return
    for name, value in view.items():
        if name not in ("subscriptions", "window", "recent"):
            click.echo(f"{name:22} {value_text(value)}".rstrip())
    for subscription in view["subscriptions"]:
        click.echo(f"{subscription['id']:22} {subscription_line(subscription)}")
    for name, text in (*endpoint_states.lines(view, window), *endpoint_states.record(view)):
        click.echo(f"{name:22} {text}")


@endpoints.command()
@id_argument
@click.option("--url", metavar="URL", help="A new URL.")
@click.option("--enable/--disable", "enabled", default=None, help="Whether anything is sent to it.")
@subscription_options
@endpoint_options
@json_option
@redis_options
def update(endpoint_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Change an endpoint; --chain, --operational and their companions replace all its subscriptions.

    \b
    Example: hookfarm endpoints update ep_… --timeout 5 --rate-limit 100
    """
    from hookfarm.cli import endpoint_forms

    given = settings(config_file, redis_url=options["redis_url"], state_dir=options["state_dir"])
    record = endpoint_forms.changes(options)
    with connected(given) as client:
        from hookfarm.registry.registry import Registry

        changed = Registry(client).edit(endpoint_id, lambda base: endpoint_forms.parse(record, given, base))
    if as_json:
        print_json(changed.public())
        return
    click.echo(f"updated {changed.id}")
    if "subscriptions" in record or "enabled" in record:
        for line in effect(changed):
            click.echo(line)


@endpoints.command()
@id_argument
@redis_options
def remove(endpoint_id: str, config_file: Path | None, **options: Any) -> None:
    """Remove an endpoint; what is still queued for it becomes dead letters.

    \b
    Example: hookfarm endpoints remove ep_…
    """
    with connected(settings(config_file, **options)) as client:
        from hookfarm.registry.registry import Registry

        Registry(client).remove(endpoint_id)
    click.echo(f"removed {endpoint_id}")


@endpoints.command()
@id_argument
@json_option
@redis_options
def enable(endpoint_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Send to an endpoint again: what has been parked for it goes on its way, and its circuit is closed.

    \b
    Example: hookfarm endpoints enable ep_…
    """
    _switch(endpoint_id, True, as_json, config_file, options)


@endpoints.command()
@id_argument
@json_option
@redis_options
def disable(endpoint_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Send nothing to an endpoint: nothing new is matched for it, what is on its way waits until it is enabled.

    \b
    Example: hookfarm endpoints disable ep_…
    """
    _switch(endpoint_id, False, as_json, config_file, options)


@endpoints.command()
@id_argument
@text_option("--subscription", "Only for this one of its subscriptions.", "SUB")
@text_option("--transaction", "What the logs of this transaction are to it, instead of made-up ones.", "HASH")
@click.option("--chain", "chains", multiple=True, metavar="ID=URL[,URL…]", help="Nodes that know it (repeatable).")
@json_option
@redis_options
def test(
    endpoint_id: str, subscription: str | None, transaction: str | None, as_json: bool, config_file: Path | None,
    **options: Any,
) -> None:  # fmt: skip
    """Send a signed sample of each subscription to the endpoint now and print its replies.

    \b
    Examples:
      hookfarm endpoints test ep_…
      hookfarm endpoints test ep_… --transaction 0x… --chain 1=wss://node.example/key
    """
    from hookfarm.cli import endpoint_trying

    given = settings(config_file, **options)
    with connected(given) as client:
        from hookfarm.registry.registry import Registry

        endpoint = Registry(client).get(endpoint_id)
    samples = endpoint_trying.samples(endpoint, subscription, transaction, given)
    replies = endpoint_trying.send(endpoint, samples, given)
    if as_json:
        print_json(replies)
    else:
        for reply in replies:
            click.echo(reply_line(reply))
    sys.exit(0 if all(reply["delivered"] for reply in replies) else 1)


def _switch(
    endpoint_id: str, enabled: bool, as_json: bool, config_file: Path | None, options: dict[str, Any]
) -> None:
    from hookfarm.cli import endpoint_forms

    given = settings(config_file, **options)
    with connected(given) as client:
        from hookfarm.registry.registry import Registry

        changed = Registry(client).edit(
            endpoint_id, lambda base: endpoint_forms.parse({"enabled": enabled}, given, base)
        )
    if as_json:
        print_json(changed.public())
        return
    click.echo(f"{'enabled' if enabled else 'disabled'} {changed.id}")
    for line in effect(changed):
        click.echo(line)


for command in (rotate_secret, seal):
    endpoints.add_command(command)
