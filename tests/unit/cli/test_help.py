"""--help of every command, as a user reads it."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from hookfarm.cli.main import cli


def leaves(command: click.Command, *names: str) -> Iterator[tuple[str, ...]]:
    """The commands that do something, by what is typed."""
    if not isinstance(command, click.Group):
        yield names
        return
    for name, part in command.commands.items():
        yield from leaves(part, *names, name)


COMMANDS = sorted(leaves(cli))


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_has_an_example_of_itself(names: tuple[str, ...]) -> None:
    said = CliRunner().invoke(cli, [*names, "--help"], prog_name="hookfarm")
    assert said.exit_code == 0
    _, example, rest = said.output.partition("\n  Example")
    assert example
    assert f"hookfarm {' '.join(names)}" in rest.partition("\nOptions:")[0]


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_is(names: tuple[str, ...]) -> None:
    command: click.Command = cli
    for name in names:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.opts for option in options if not option.help] == []


def test_help_loads_nothing_that_takes_long() -> None:
    code = "import sys, hookfarm.cli.main\nprint(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"redis", "rich", "orjson", "aiohttp", "web3", "fastapi"} & set(said.split())
