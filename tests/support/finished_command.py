"""A command of hookfarm that ends by itself, as a user runs it: with a terminal to answer on, or without."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Mapping

Finished = subprocess.CompletedProcess[str]
Command = Callable[..., Finished]


def run(redis_url: str, *arguments: str, answer: str | None = None, **variables: str) -> Finished:
    """Runs it to its end. With an `answer`, stdin is a terminal on which somebody types that."""
    command = [sys.executable, "-m", "hookfarm", *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOOKFARM_")}
    environment |= {"HOOKFARM_REDIS_URL": redis_url, "HOOKFARM_ALLOW_PRIVATE": "127.0.0.0/8", **variables}
    if answer is None:
        return _run(command, environment, subprocess.DEVNULL)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer.encode())
        return _run(command, environment, theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def _run(command: list[str], environment: Mapping[str, str], stdin: int) -> Finished:
    return subprocess.run(
        command, env=environment, stdin=stdin, capture_output=True, text=True, timeout=60, check=False
    )


def done(finished: Finished) -> str:
    """What it printed; it must have had nothing to complain about."""
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


def refused(finished: Finished, code: int) -> str:
    """The one line it says instead of doing anything."""
    assert (finished.returncode, finished.stdout) == (code, "")
    [line] = finished.stderr.splitlines()
    return line
