"""The secrets of endpoints from the shell: a new one for one endpoint, another seal for all that are stored."""

from pathlib import Path
from typing import Any

import click

from hookfarm.cli.endpoint_options import id_argument
from hookfarm.cli.options import connected, json_option, print_json, redis_options, settings
from hookfarm.errors import InvalidInput


@click.command(name="rotate-secret")
@id_argument
@json_option
@redis_options
def rotate_secret(endpoint_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Give an endpoint a new secret; the old one goes on signing beside it for a day.

    \b
    Example: hookfarm endpoints rotate-secret ep_…
    """
    given = settings(config_file, **options)
    with connected(given) as client:
        from hookfarm.registry.registry import Registry
        from hookfarm.security.vault import Vault

        rotated = Registry(client, Vault(given.master_key)).rotate_secret(endpoint_id)
    if as_json:
        print_json({**rotated.public(), "secret": rotated.secrets[0][0]})
    else:
        click.echo(f"secret  {rotated.secrets[0][0]}")
        click.echo("Keep it: it is shown only now. The one before signs beside it for a day.")


@click.command()
@json_option
@redis_options
def seal(as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Encrypt all stored secrets with the newest master key (HOOKFARM_MASTER_KEY).

    Run it after giving a master key for the first time, and after putting a new one in front; then the older ones
    are no longer needed.

    \b
    Example: HOOKFARM_MASTER_KEY="2027:$(cat new.key),2026:$(cat old.key)" hookfarm endpoints seal
    """
    from hookfarm.cli import bars
    from hookfarm.security.vault import Vault

    given = settings(config_file, **options)
    if not given.master_key:
        raise InvalidInput(
            "master_key", "there is none to seal with; give HOOKFARM_MASTER_KEY=ID:BASE64 of 32 bytes"
        )
    with connected(given) as client:
        from hookfarm.registry.registry import Registry

        registry = Registry(client, Vault(given.master_key))
        found = [endpoint.id for endpoint in registry.all()]
        changed = sum(registry.seal(endpoint_id) for endpoint_id in bars.each(found, "sealing"))
    if as_json:
        print_json({"endpoints": len(found), "changed": changed})
    else:
        click.echo(f"{changed:,} of {len(found):,} endpoints changed")
