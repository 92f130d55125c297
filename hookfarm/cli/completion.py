"""`hookfarm completion`: shell completion of commands, options, values and endpoint ids."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of `hookfarm` for a shell.

    `hookfarm` must be on the PATH.

    \b
    Examples, effective in new shells:
      hookfarm completion bash > ~/.local/share/bash-completion/completions/hookfarm
      hookfarm completion zsh > ~/.zfunc/_hookfarm     # with fpath+=~/.zfunc before compinit in ~/.zshrc
      hookfarm completion fish > ~/.config/fish/completions/hookfarm.fish
    """
    known = get_completion_class(shell)
    if known is None:
        raise click.UsageError(f"unknown shell {shell}")
    # Not source(): it runs bash to check its version.
    script = known(context.find_root().command, {}, "hookfarm", "_HOOKFARM_COMPLETE")
    click.echo(script.source_template % script.source_vars(), nl=False)
