"""--help of every command, as a user reads it."""

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from hookfarm.cli.main import COMMANDS, cli, load

HELP_TEXT = re.compile(r"[A-Z].*\.( \[default: .+\])?", re.DOTALL)


def leaves(command: click.Command, *names: str) -> Iterator[tuple[str, ...]]:
    """The commands that do something, by what is typed."""
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield names
    if not isinstance(command, click.Group):
        return
    for name, part in command.commands.items():
        yield from leaves(part, *names, name)


LEAVES = sorted(names for name in COMMANDS for names in leaves(load(name), name))


def find(names: tuple[str, ...]) -> click.Command:
    command = load(names[0])
    for name in names[1:]:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    return command


@pytest.mark.parametrize("names", LEAVES, ids=" ".join)
def test_every_command_has_an_example_of_itself(names: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, [*names, "--help"], prog_name="hookfarm")
    assert shown.exit_code == 0
    _, example, rest = shown.output.partition("\n  Example")
    assert example
    assert f"hookfarm {' '.join(names)}" in rest.partition("\nOptions:")[0]


@pytest.mark.parametrize("names", LEAVES, ids=" ".join)
def test_every_option_has_a_help_text_that_is_a_sentence(names: tuple[str, ...]) -> None:
    options = [parameter for parameter in find(names).params if isinstance(parameter, click.Option)]
    texts = {option.opts[-1]: option.help or "" for option in options}
    assert {name: text for name, text in texts.items() if not re.fullmatch(HELP_TEXT, text)} == {}


def test_options_in_front_of_a_subcommand_of_chains_are_refused() -> None:
    refused = CliRunner().invoke(cli, ["chains", "--json", "list"], prog_name="hookfarm")
    assert refused.exit_code == 2
    assert "options belong after the subcommand: chains list" in refused.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_listed_under_its_name(name: str) -> None:
    assert load(name).name == name


def test_the_help_of_hookfarm_lists_the_commands() -> None:
    shown = CliRunner().invoke(cli, ["--help"], prog_name="hookfarm").output.partition("\nCommands:\n")[2]
    assert [line.split(maxsplit=1) for line in shown.splitlines()] == [
        [name, summary] for name, (_, summary) in COMMANDS.items()
    ]


def test_an_unknown_command_is_refused_with_a_similar_one() -> None:
    refused = CliRunner().invoke(cli, ["statu"], prog_name="hookfarm")
    assert refused.exit_code == 2
    assert "No such command 'statu'" in refused.output


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("hookfarm dea", "dead-letters"),
        ("hookfarm deliveries redel", "redeliver"),
        ("hookfarm status --js", "--json"),
    ],
)
def test_a_shell_completes_commands_and_options(typed: str, completed: str) -> None:
    variables = {"_HOOKFARM_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    shown = CliRunner().invoke(cli, [], prog_name="hookfarm", env=variables)
    assert shown.output.splitlines() == [f"plain,{completed}"]


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_help_loads_nothing_that_takes_long(argument: str) -> None:
    call = f"hookfarm.cli.main.cli([{argument!r}], standalone_mode=False)"
    code = f"import sys, hookfarm.cli.main\n{call}\nprint(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "click" in shown.split()
    assert not {"redis", "rich", "orjson", "aiohttp", "web3", "fastapi"} & set(shown.split())
