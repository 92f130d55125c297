"""A command line of hookfarm, parsed as the CLI does, without running it."""

import click

from hookfarm.cli.main import load


def parse(words: list[str]) -> None:
    """Parse the words after `hookfarm`. Raises click.UsageError if a command, an option or a value is wrong."""
    command: click.Command = load(words[0])
    rest = words[1:]
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest.pop(0))
        assert found is not None, f"no such command: {words}"
        command = found
    command.make_context(command.name, rest, resilient_parsing=False)
