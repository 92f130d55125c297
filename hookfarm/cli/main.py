"""The command `hookfarm`."""

import io
import os
import sys
import traceback

import click

import hookfarm
from hookfarm import config
from hookfarm.cli.apply import apply, export
from hookfarm.cli.backfill import backfill
from hookfarm.cli.backfills import backfills
from hookfarm.cli.chains import chains
from hookfarm.cli.completion import completion
from hookfarm.cli.dead_letters import dead_letters
from hookfarm.cli.deliveries import deliveries
from hookfarm.cli.demo import demo
from hookfarm.cli.devchain import devchain
from hookfarm.cli.endpoints import endpoints
from hookfarm.cli.listen import listen
from hookfarm.cli.start import start
from hookfarm.cli.status import status
from hookfarm.cli.top import top
from hookfarm.cli.wait import wait
from hookfarm.errors import HookfarmError
from hookfarm.security import redaction


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(hookfarm.__version__, prog_name="hookfarm")
def cli() -> None:
    """EVM event logs as signed webhooks, from a farm of forked processes fed by Redis.

    `hookfarm COMMAND --help` has an example of each.
    Every setting can also be given as a variable HOOKFARM_<NAME> or in a TOML file (--config).
    """


for command in (
    *(start, demo, wait, status, top, chains),
    *(endpoints, deliveries, dead_letters, backfill, backfills, apply, export),
    *(listen, devchain, completion),
):
    cli.add_command(command)


def main() -> None:
    """Runs the command line and exits: 0 done, 1 failed, 2 usage. No traceback reaches a user."""
    try:
        # None = colours on a terminal only.
        cli.main(prog_name="hookfarm", standalone_mode=False, color=False if config.wants_no_colours() else None)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        click.echo(redaction.text(said.getvalue()), err=True, nl=False)
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(1)
    except HookfarmError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader (head, less) has what it wanted; Python must not complain about it while exiting.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception:  # Nobody foresaw it: a traceback, without secrets.
        _fail(f"this is a bug\n{traceback.format_exc()}", 1)


def _fail(message: str, code: int) -> None:
    """What is wrong may be wrong with a secret, or say what stands beside one."""
    click.echo(f"hookfarm: {redaction.text(message)}", err=True)
    sys.exit(code)
