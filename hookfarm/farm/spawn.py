"""Forking one child, so that it can neither outlive its master nor lose a signal.

Signals are blocked from before the fork until the child's own handlers stand; a SIGTERM sent in between waits
for them. The kernel kills the child when its parent dies (PR_SET_PDEATHSIG), and the child looks once itself
whether that happened before it could ask for it.
"""

import contextlib
import ctypes
import faulthandler
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator

from setproctitle import setproctitle

from hookfarm import logs
from hookfarm.errors import HookfarmError
from hookfarm.farm.child import EXIT_COULD_NOT_BOOT, EXIT_CRASHED, EXIT_DONE, Child

log = logs.get("master")

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """No signal is delivered to this thread inside; those that came are delivered at the end."""
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def fork(run: Callable[[], int], death_signal: int = signal.SIGKILL) -> int:
    """Forks a child that exits with what `run` returns, and returns its pid.

    `run` starts with signals blocked and default handlers; it unblocks them when its own stand
    (`unblock_signals`). The child never returns from here and runs no exit handlers of the parent.
    """
    parent = os.getpid()
    _flush_output()
    with signals_blocked():
        pid = os.fork()
        if pid:
            return pid
        status = EXIT_CRASHED
        try:
            _after_fork(parent, death_signal)
            status = run()
        except BaseException:
            log.exception("child crashed")
        finally:
            _flush_output()
            os._exit(status)


def _flush_output() -> None:
    """So that nothing is written twice. Whoever read it may be gone, which must not keep a farm from forking."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def _after_fork(parent: int, death_signal: int) -> None:
    gc.freeze()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(EXIT_DONE)


def unblock_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())


def run_child(child: Child, prepare: Callable[[], None] | None, gate: int, main: Callable[[Child], None]) -> int:
    """A child's life; returns its exit status, with the reason of a failed boot in its slot.

    `gate` is the reading end of a pipe, or -1: the child waits there until the writing end is closed.
    """
    setproctitle(f"hookfarm: {child.name}")
    faulthandler.enable()  # SIGABRT, the master's first word to a child that hangs, prints where it hangs.
    child.handle_signals()
    unblock_signals()
    try:
        if prepare is not None:
            prepare()
        if gate >= 0:
            os.read(gate, 1)
            os.close(gate)
        if not child.stopping:
            main(child)
    except HookfarmError as error:
        child.slot.reason = str(error)
        return EXIT_COULD_NOT_BOOT
    except Exception as error:
        child.slot.reason = f"{type(error).__name__}: {error}"
        log.exception("child crashed", child=child.name)
        return EXIT_CRASHED
    return EXIT_DONE
