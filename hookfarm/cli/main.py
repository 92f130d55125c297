"""The command `hookfarm`: its subcommands, imported when called, and its exit codes."""

import importlib
import io
import os
import sys
import traceback

import click

import hookfarm
from hookfarm import config
from hookfarm.errors import HookfarmError
from hookfarm.security import redaction

COMMANDS = {
    "apply": ("apply", "Make the registry equal to FILE and print the difference."),
    "backfill": ("backfill", "Deliver past blocks to one endpoint."),
    "backfills": ("backfill", "List backfills: progress, speed, queued jobs."),
    "chains": ("chains", "Show each chain: head, checkpoint, lag, finality, nodes."),
    "completion": ("completion", "Print a script for shell completion."),
    "dead-letters": ("dead_letters", "List, redrive or purge dead letters."),
    "deliveries": ("deliveries", "Inspect and redeliver deliveries."),
    "demo": ("demo.run", "Run chain, Redis, farm and receiver on this machine."),
    "devchain": ("devchain", "Run a local chain with transfers, reorgs and faults."),
    "endpoints": ("endpoints", "Manage endpoints and their subscriptions."),
    "export": ("apply", "Print the registry as a file for `apply`."),
    "listen": ("listen", "Receive webhooks, verify and print them."),
    "start": ("start", "Run the farm: all services, or the named ones."),
    "status": ("status", "Show services, readiness, workers, queue depths, chains."),
    "top": ("top", "Watch the farm live."),
    "wait": ("wait", "Wait until each SERVICE signals readiness."),
}
"""Name -> module below hookfarm.cli, and the line in `hookfarm --help`."""


def load(name: str) -> click.Command:
    """Import the command `name`."""
    module = importlib.import_module(f"hookfarm.cli.{COMMANDS[name][0]}")
    command: click.Command = getattr(module, name.replace("-", "_"))
    return command


class LazyGroup(click.Group):
    """Group that lists its commands without importing them: `--help` and completion stay fast."""

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, listed, rest = super().resolve_command(context, args)
        return name, load(name) if name and listed else None, rest


@click.group(
    cls=LazyGroup,
    commands={name: click.Command(name, short_help=summary) for name, (_, summary) in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(hookfarm.__version__, prog_name="hookfarm")
def cli() -> None:
    """EVM event logs as signed webhooks, from a farm of forked processes fed by Redis.

    `hookfarm COMMAND --help` shows an example.
    Every setting is also a variable HOOKFARM_<NAME> and a key of the TOML file (--config).
    """


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 usage. Only bugs print a traceback."""
    try:
        # None = colours on a terminal only.
        cli.main(prog_name="hookfarm", standalone_mode=False, color=False if config.wants_no_colours() else None)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        message = io.StringIO()
        error.show(message)
        click.echo(redaction.sanitize(message.getvalue()), err=True, nl=False)
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(1)
    except HookfarmError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe; Python must not report that at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception:  # A bug: print a redacted traceback.
        _fail(f"this is a bug\n{traceback.format_exc()}", 1)


def _fail(message: str, code: int) -> None:
    """Print the redacted message and exit."""
    click.echo(f"hookfarm: {redaction.sanitize(message)}", err=True)
    sys.exit(code)
