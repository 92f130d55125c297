"""A command of hookfarm that runs to its end, like a user's, with or without a terminal."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Mapping

Finished = subprocess.CompletedProcess[str]
Command = Callable[..., Finished]


def run(redis_url: str, *arguments: str, answer: str | None = None, **variables: str) -> Finished:
    """Run the command to its end. With an `answer`, stdin is a terminal on which it is typed."""
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
    """Return stdout of a successful command with empty stderr."""
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


def refused(finished: Finished, code: int) -> str:
    """Return the one line on stderr of a command that failed with this exit code."""
    assert (finished.returncode, finished.stdout) == (code, "")
    [line] = finished.stderr.splitlines()
    return line
