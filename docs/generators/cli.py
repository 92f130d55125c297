"""The page of commands, from click."""

import inspect
import re
from collections.abc import Iterator

import click

from generators.markdown import code, fence, paragraphs, plain, sentence, table
from hookfarm.cli.main import COMMANDS, cli, load

_DEFAULT = re.compile(r" \[default: (.+)\]$")


def parts() -> dict[str, str]:
    return {"overview": _overview(), "commands": paragraphs(*map(_section, commands()))}


def commands() -> Iterator[tuple[str, ...]]:
    """Yield the words of each command that does something, such as `endpoints add`."""
    for name in COMMANDS:
        yield from _leaves(load(name), name)


def _leaves(command: click.Command, *names: str) -> Iterator[tuple[str, ...]]:
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield names
    if not isinstance(command, click.Group):
        return
    if command.invoke_without_command:
        yield names
    for name, part in command.commands.items():
        yield from _leaves(part, *names, name)


def _overview() -> str:
    rows = []
    for names in commands():
        command, typed = _find(names), " ".join(names)
        rows.append((f"[`{typed}`](#hookfarm-{'-'.join(names)})", sentence(command.get_short_help_str(limit=200))))
    return table(("Command", "Effect"), rows)


def _find(names: tuple[str, ...]) -> click.Command:
    command = load(names[0])
    for name in names[1:]:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    return command


def _section(names: tuple[str, ...]) -> str:
    command = _find(names)
    context = click.Context(cli, info_name="hookfarm")
    for depth in range(1, len(names) + 1):
        context = click.Context(_find(names[:depth]), info_name=names[depth - 1], parent=context)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    texts, examples = _help(command)
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    return paragraphs(
        f"### hookfarm {' '.join(names)}",
        *map(plain, texts),
        fence(usage),
        table(("Option", "Meaning", "Default"), map(_option, options)) if options else "",
        *examples,
    )


def _help(command: click.Command) -> tuple[list[str], list[str]]:
    """Return the paragraphs of the help text, and its examples as blocks of code."""
    texts, examples = [], []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if not paragraph.startswith("\b"):
            texts.append(paragraph)
            continue
        lines = paragraph.splitlines()[1:]
        title, colon, first = lines[0].partition(":")
        if not title.startswith("Example"):
            texts.append(paragraph.removeprefix("\b"))
            continue
        examples.append(plain(f"{title}{colon}") if title not in ("Example", "Examples") else "")
        examples.append(fence(inspect.cleandoc("\n".join([first.strip(), *lines[1:]])), "sh"))
    return texts, examples


def _option(option: click.Option) -> tuple[str, str, str]:
    names = [*option.opts, *option.secondary_opts]
    value = "" if option.is_flag or option.count else f" {_metavar(option)}"
    found = _DEFAULT.search(option.help or "")
    text = _DEFAULT.sub("", option.help or "")
    return code(", ".join(names) + value), plain(text), plain(found[1]) if found else ""


def _metavar(option: click.Option) -> str:
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    return option.type.name.upper()
