"""`hookfarm endpoints`: the registry from the shell."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from hookfarm.cli.deliveries_forms import utf8
from hookfarm.cli.options import connected, json_option, print_json, redis_options, settings
from hookfarm.cli.tables import columns
from hookfarm.records import DEFAULT_NOTIFY, Endpoint


@click.group()
def endpoints() -> None:
    """Manage endpoints: where webhooks go, and what they are sent for."""


def _subscription_options(command: Any) -> Any:
    options = [
        click.option("--chain", "chains", type=int, multiple=True, metavar="ID", help="Chain id (repeatable)."),
        click.option("--kind", metavar="KIND", help="log, or transfer: of the chain's own currency [log]."),
        click.option("--from", "senders", multiple=True, metavar="0x…", help="Of a transfer (repeatable) [any]."),
        click.option("--to", "recipients", multiple=True, metavar="0x…", help="Of a transfer (repeatable) [any]."),
        click.option("--address", "addresses", multiple=True, metavar="0x…", help="Contract (repeatable) [any]."),
        click.option("--event", metavar="SIGNATURE", help='E.g. "Transfer(address indexed from, …)" [any].'),
        click.option("--topics", metavar="JSON", help="Positional topics as in eth_getLogs, instead of --event."),
        click.option("--where", metavar="CONDITION", help='E.g. "value >= 1_000_000 and to == 0x…" [all].'),
        click.option("--confirmations", metavar="N", help="Blocks to wait, or safe or finalized [0]."),
        click.option(
            *("--notify", "notify"),
            multiple=True,
            metavar="WORD",
            help="What is sent: emitted, removed, finalized "
            "(repeatable, or separated by commas) [emitted,removed].",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _endpoint_options(command: Any) -> Any:
    options = [
        click.option("--description", metavar="TEXT", help="For people."),
        click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="Sent along (repeatable)."),
        click.option("--timeout", "timeout_seconds", type=float, metavar="SECONDS", help="Per attempt [15]."),
        click.option("--max-in-flight", metavar="N|none", help="At most so many attempts at once [none]."),
        click.option("--rate-limit", "rate_limit_per_second", metavar="R|none", help="Per second at most [none]."),
        click.option("--ordered/--no-ordered", default=None, help="One at a time, in the order of events [no]."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@endpoints.command()
@click.argument("url")
@_subscription_options
@_endpoint_options
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
    """
    from hookfarm.cli import endpoint_forms

    given = settings(config_file, redis_url=options["redis_url"], state_dir=options["state_dir"])
    record = endpoint_forms.creation(url, options)
    endpoint = endpoint_forms.parse(record, given)
    with connected(given) as client:
        from hookfarm.registry import Registry
        from hookfarm.vault import Vault

        created = Registry(client, Vault(given.master_key)).add(endpoint)
    shown = {**created.public(), "secret": created.secrets[0][0]}
    if as_json:
        print_json(shown)
        return
    click.echo(f"id      {created.id}")
    click.echo(f"url     {created.url}")
    click.echo(f"secret  {shown['secret']}")
    for line in _effect(created):
        click.echo(line)
    click.echo("Keep the secret: it is shown only now. With it the receiver verifies what arrives.")


@endpoints.command(name="list")
@json_option
@redis_options
def list_(as_json: bool, config_file: Path | None, **options: Any) -> None:
    """List all endpoints, and which of them are failing."""
    from hookfarm import windows
    from hookfarm.cli import endpoint_states

    with connected(settings(config_file, **options)) as client:
        from hookfarm.registry import Registry

        found = [endpoint.public() for endpoint in Registry(client).all()]
        standing = windows.read(client, [endpoint["id"] for endpoint in found])
    states = list(map(endpoint_states.state, found, standing))
    if as_json:
        print_json([{**endpoint, "state": state} for endpoint, state in zip(found, states, strict=True)])
        return
    rows = [("id", "state", "url", "subscriptions")]
    for endpoint, state in zip(found, states, strict=True):
        subscriptions = ", ".join(_subscription_line(s) for s in endpoint["subscriptions"])
        rows.append((endpoint["id"], state, endpoint["url"], subscriptions))
    for line in columns(rows):
        click.echo(line)


@endpoints.command()
@click.argument("endpoint_id", metavar="ID", callback=utf8)
@json_option
@redis_options
def show(endpoint_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Show one endpoint, all of it but its secret, and how much of it is on its way."""
    from hookfarm import windows
    from hookfarm.cli import endpoint_states

    with connected(settings(config_file, **options)) as client:
        from hookfarm.registry import Registry

        found = Registry(client).get(endpoint_id).public()
        [window] = windows.read(client, [endpoint_id])
    if as_json:
        print_json({**found, "state": endpoint_states.state(found, window), "window": window.public()})
        return
    for name, value in found.items():
        if name != "subscriptions":
            click.echo(f"{name:22} {'' if value is None else value}")
    for subscription in found["subscriptions"]:
        click.echo(f"{subscription['id']:22} {_subscription_line(subscription)}")
    for name, text in endpoint_states.lines(found, window):
        click.echo(f"{name:22} {text}")


@endpoints.command()
@click.argument("endpoint_id", metavar="ID", callback=utf8)
@click.option("--url", metavar="URL", help="A new URL.")
@click.option("--enable/--disable", "enabled", default=None, help="Whether anything is sent to it.")
@_subscription_options
@_endpoint_options
@json_option
@redis_options
def update(endpoint_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Change an endpoint; --chain and its companions replace all its subscriptions."""
    from hookfarm.cli import endpoint_forms

    given = settings(config_file, redis_url=options["redis_url"], state_dir=options["state_dir"])
    record = endpoint_forms.changes(options)
    with connected(given) as client:
        from hookfarm.registry import Registry

        changed = Registry(client).edit(endpoint_id, lambda base: endpoint_forms.parse(record, given, base))
    if as_json:
        print_json(changed.public())
        return
    click.echo(f"updated {changed.id}")
    if "subscriptions" in record or "enabled" in record:
        for line in _effect(changed):
            click.echo(line)


@endpoints.command()
@click.argument("endpoint_id", metavar="ID", callback=utf8)
@redis_options
def remove(endpoint_id: str, config_file: Path | None, **options: Any) -> None:
    """Remove an endpoint; what is still queued for it becomes dead letters."""
    with connected(settings(config_file, **options)) as client:
        from hookfarm.registry import Registry

        Registry(client).remove(endpoint_id)
    click.echo(f"removed {endpoint_id}")


@endpoints.command()
@click.argument("endpoint_id", metavar="ID", callback=utf8)
@json_option
@redis_options
def test(endpoint_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Send a signed sample of each subscription to the endpoint now and print its replies."""
    import sys

    from hookfarm.cli import endpoint_forms

    given = settings(config_file, **options)
    with connected(given) as client:
        from hookfarm.registry import Registry

        endpoint = Registry(client).get(endpoint_id)
    replies = endpoint_forms.send_samples(endpoint, given)
    if as_json:
        print_json(replies)
    else:
        for reply in replies:
            answer = f"HTTP {reply['status']}" if "status" in reply else f"{reply['error']}: {reply['detail']}"
            click.echo(f"{reply['subscription'] or 'sample'}  {answer}")
    sys.exit(0 if all(reply["delivered"] for reply in replies) else 1)


@endpoints.command(name="rotate-secret")
@click.argument("endpoint_id", metavar="ID", callback=utf8)
@json_option
@redis_options
def rotate_secret(endpoint_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Give an endpoint a new secret; the old one goes on signing beside it for a day."""
    given = settings(config_file, **options)
    with connected(given) as client:
        from hookfarm.registry import Registry
        from hookfarm.vault import Vault

        rotated = Registry(client, Vault(given.master_key)).rotate_secret(endpoint_id)
    if as_json:
        print_json({**rotated.public(), "secret": rotated.secrets[0][0]})
    else:
        click.echo(f"secret  {rotated.secrets[0][0]}")


@endpoints.command()
@json_option
@redis_options
def seal(as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Encrypt all stored secrets with the newest master key (HOOKFARM_MASTER_KEY).

    Run it after giving a master key for the first time, and after putting a new one in front; then the older ones
    are no longer needed.

    \b
    Example: HOOKFARM_MASTER_KEY="2027:$(cat new.key),2026:$(cat old.key)" hookfarm endpoints seal
    """
    from hookfarm.vault import Vault

    given = settings(config_file, **options)
    with connected(given) as client:
        from hookfarm.registry import Registry

        registry = Registry(client, Vault(given.master_key))
        found = [endpoint.id for endpoint in registry.all()]
        changed = sum(registry.seal(endpoint_id) for endpoint_id in found)
    if as_json:
        print_json({"endpoints": len(found), "changed": changed})
    else:
        click.echo(f"{changed:,} of {len(found):,} endpoints changed")


def _effect(endpoint: Endpoint) -> Iterator[str]:
    """From where on each chain's events are matched as was just said."""
    for chain_id, block in (endpoint.effective_from or {}).items():
        yield f"from    {'the first block seen' if block is None else f'block {block}'} of chain {chain_id}"


def _subscription_line(subscription: dict[str, Any]) -> str:
    if "events" in subscription:
        return f"of hookfarm itself: {', '.join(subscription['events'])}"
    if subscription["kind"] == "transfer":
        what, named = "transfers", {"from": subscription["from"], "to": subscription["to"]}
    else:
        what = subscription["event"] or ("topics" if subscription["topics"] else "any log")
        named = {"of": subscription["addresses"]}
    source = "".join(f" {word} {len(listed)} addresses" for word, listed in named.items() if listed)
    lines = (subscription["where"] or "").splitlines()
    condition = f" where {' '.join(lines)}" if lines else ""
    told = subscription["notify"]
    notify = "" if tuple(told) == DEFAULT_NOTIFY else f" notify {','.join(told)}"
    return f"chain {subscription['chain_id']}: {what}{source}{condition}{notify}"
