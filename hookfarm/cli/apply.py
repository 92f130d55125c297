"""`hookfarm apply` and `hookfarm export`: the registry as a file under version control."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import orjson

from hookfarm.cli.options import connected, json_option, redis_options, settings, yes_option
from hookfarm.cli.output import confirm, plain, pluralize, print_json, progress_bar, track, track_batches
from hookfarm.errors import NotFound
from hookfarm.registry import file as registry_file
from hookfarm.registry import reconcile
from hookfarm.registry.reconcile import EndpointChange, RegistryDiff
from hookfarm.registry.store import Registry
from hookfarm.security import ssrf
from hookfarm.security.vault import Vault

FORMATS = click.Choice(["toml", "yaml", "json"])
_MAX_SHOWN = 60


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Print the difference; change nothing.")
@yes_option
@json_option
@redis_options
def apply(file: Path, dry_run: bool, yes: bool, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Make the registry equal to FILE (.toml, .yaml or .json) and print the difference.

    Endpoints missing from FILE are removed. Entries match endpoints by id, else by url. Secrets of new endpoints
    are printed once. `export` writes such a file.

    \b
    Example: hookfarm apply endpoints.toml --dry-run
      [[endpoints]]
      url = "https://example.com/hook"
      [[endpoints.subscriptions]]
      chain_id = 1
      event = "Transfer(address indexed from, address indexed to, uint256 value)"
    """
    given = settings(config_file, **options)

    def check_url(url: str) -> str:
        ssrf.parse(url, given.allow_private)
        return url

    records = registry_file.read(file)
    with connected(given) as client:
        registry = Registry(client, Vault(given.master_key))
        with progress_bar("comparing"):
            plan = reconcile.diff(records, registry.all(), check_url)
        if not as_json:
            for line in _lines(plan):
                click.echo(line)
        if not dry_run:
            removed = f"{pluralize(plan.removed, 'endpoint')} will be removed"
            confirm(f"{removed}; undelivered webhooks become dead letters. Continue?", yes or not plan.removed)
        secrets = {} if dry_run else _perform(registry, plan)
    if as_json:
        print_json(_report(plan, secrets, dry_run))
        return
    for endpoint_id, secret in secrets.items():
        click.echo(f"secret of {endpoint_id}  {secret}")
    if secrets:
        click.echo("Store the secrets: they are not shown again.")
    if dry_run and plan.changes:
        click.echo("Dry run: the registry is unchanged.")


@click.command()
@click.option("--format", "kind", type=FORMATS, default="toml", show_default=True, help="File format.")
@redis_options
def export(kind: str, config_file: Path | None, **options: Any) -> None:
    """Print the registry as a file for `apply`, without secrets.

    \b
    Example: hookfarm export > endpoints.toml
    """
    with connected(settings(config_file, **options)) as client, progress_bar("reading"):
        endpoints = Registry(client).all()
    click.echo(registry_file.render(endpoints, kind), nl=False)


def _perform(registry: Registry, plan: RegistryDiff) -> dict[str, str]:
    """Apply the changes; return new endpoints' secrets by id. Raises NotFound if a changed endpoint is gone."""
    secrets: dict[str, str] = {}
    added = [change.after for change in plan.changes if change.before is None and change.after is not None]
    for batch in track_batches(added, "adding"):
        secrets |= {endpoint.id: endpoint.secrets[0][0] for endpoint in registry.add_all(batch)}
    for change in track([change for change in plan.changes if change.before is not None], "changing"):
        if change.after is None:
            with contextlib.suppress(NotFound):  # Already removed.
                registry.remove(change.id)
        else:
            after = change.after
            registry.edit(change.id, lambda now, after=after: replace(after, secrets=now.secrets))  # type: ignore[misc]
    return secrets


def _lines(plan: RegistryDiff) -> Iterator[str]:
    for change in plan.changes:
        yield from _change_lines(change)
    added = sum(change.before is None for change in plan.changes)
    changed = len(plan.changes) - added - plan.removed
    yield f"{added:,} added, {changed:,} changed, {plan.removed:,} removed, {plan.unchanged:,} unchanged"


def _change_lines(change: EndpointChange) -> Iterator[str]:
    if change.before is None and change.after is not None:
        count = pluralize(len(change.after.subscriptions), "subscription")
        yield click.style(f"+ {change.id}  {change.after.url}  {count}", fg="green")
    elif change.after is None and change.before is not None:
        yield click.style(f"- {change.id}  {change.before.url}", fg="red")
    else:
        yield click.style(f"~ {change.id}", fg="yellow")
        for name, (old, new) in change.fields().items():
            yield from _subscription_lines(old, new) if name == "subscriptions" else _field_lines(name, old, new)


def _field_lines(name: str, old: Any, new: Any) -> Iterator[str]:
    yield f"    {name}: {_short(old)} -> {_short(new)}"


def _subscription_lines(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[str]:
    before, after = ({subscription["id"]: subscription for subscription in some} for some in (old, new))
    for identity, subscription in after.items():
        if identity not in before:
            yield click.style(f"  + {identity}  {_subscription(subscription)}", fg="green")
        elif before[identity] != subscription:
            yield click.style(f"  ~ {identity}", fg="yellow")
            for name in (name for name in subscription if before[identity][name] != subscription[name]):
                yield from (f"  {line}" for line in _field_lines(name, before[identity][name], subscription[name]))
    for identity in before.keys() - after.keys():
        yield click.style(f"  - {identity}  {_subscription(before[identity])}", fg="red")


def _subscription(subscription: dict[str, Any]) -> str:
    shown = {
        name: value for name, value in subscription.items() if name != "id" and value not in (None, (), [], 0)
    }
    return ", ".join(f"{name} {_short(value)}" for name, value in shown.items())


def _short(value: Any) -> str:
    shown = plain(orjson.dumps(value).decode())
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[: _MAX_SHOWN - 1]}…"


def _report(plan: RegistryDiff, secrets: dict[str, str], dry_run: bool) -> dict[str, Any]:
    changes = []
    for change in plan.changes:
        action = "remove" if change.after is None else "add" if change.before is None else "change"
        fields = {name: {"before": old, "after": new} for name, (old, new) in change.fields().items()}
        entry: dict[str, Any] = {"action": action, "id": change.id, "fields": fields}
        if change.id in secrets:
            entry["secret"] = secrets[change.id]
        changes.append(entry)
    return {"dry_run": dry_run, "changes": changes, "unchanged": plan.unchanged}
