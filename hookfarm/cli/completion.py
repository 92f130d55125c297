"""`hookfarm completion`: what makes a shell complete commands, options, words and the ids of endpoints."""

from collections.abc import Callable

import click
from click.shell_completion import CompletionItem, get_completion_class

from hookfarm.errors import HookfarmError

SHELLS = ("bash", "zsh", "fish")
MOST_OFFERED = 100
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script with which SHELL (bash, zsh or fish) completes what is typed after `hookfarm`.

    `hookfarm` must be on the PATH.

    \b
    Examples, each for good from the next shell on:
      hookfarm completion bash > ~/.local/share/bash-completion/completions/hookfarm
      hookfarm completion zsh > ~/.zfunc/_hookfarm     # with fpath+=~/.zfunc before compinit in ~/.zshrc
      hookfarm completion fish > ~/.config/fish/completions/hookfarm.fish
    """
    known = get_completion_class(shell)
    if known is None:
        raise click.UsageError(f"nothing is known of {shell}")
    # Not source(): that runs a bash to ask for its version.
    script = known(context.find_root().command, {}, "hookfarm", "_HOOKFARM_COMPLETE")
    click.echo(script.source_template % script.source_vars(), nl=False)


def among(*words: str) -> Complete:
    """How a shell completes an option that is one of these words."""
    return lambda _context, _parameter, incomplete: [
        CompletionItem(word) for word in words if word.startswith(incomplete)
    ]


def endpoint_ids(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The endpoints whose ids begin so, the newest first, with their URLs; none where no Redis answers."""
    from hookfarm.cli.options import connected, settings
    from hookfarm.registry import listing

    given = {name: context.params.get(name) for name in ("redis_url", "state_dir")}
    where = listing.ListingFilter(incomplete or None)
    try:
        with connected(settings(context.params.get("config_file"), **given)) as client:
            found, _ = listing.page(client, where, None, MOST_OFFERED)
    except HookfarmError:
        return []
    endpoints = (listed.endpoint for listed in found)
    return [CompletionItem(e.id, help=e.url) for e in endpoints if e.id.startswith(incomplete)]
