"""Fork of a child that cannot outlive its parent or lose a signal.

Signals are blocked from before the fork until the child's handlers are installed, so that a SIGTERM in between
stays pending. The kernel signals the child when its parent dies (PR_SET_PDEATHSIG). The child checks once that the
parent was still alive when it set this.
"""

import contextlib
import ctypes
import faulthandler
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

from setproctitle import setproctitle

from hookfarm import logs
from hookfarm.errors import HookfarmError
from hookfarm.farm.child import EXIT_COULD_NOT_BOOT, EXIT_CRASHED, EXIT_DONE, Child

log = logs.get("master")

WAIT_STEP_SECONDS = 0.02
REAP_SECONDS = 5.0
"""Time for SIGKILL to take effect."""
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Block all signals of this thread; pending ones are delivered at the end."""
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def fork(run: Callable[[], int], death_signal: int = signal.SIGKILL) -> int:
    """Fork a child that exits with the status that `run` returns; return its pid.

    `run` starts with signals blocked and default handlers, and calls `unblock_signals` after installing its own
    handlers. The child exits here, without the parent's exit handlers.
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
    """Flush output before a fork, so that it is not written twice. Errors of a closed pipe are ignored."""
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
    """Run a child to its end; return its exit status. The slot has the reason of a failed boot.

    `gate` is the read end of a pipe, or -1: the child waits until the write end is closed.
    """
    setproctitle(f"hookfarm: {child.name}")
    faulthandler.enable()  # The master sends SIGABRT to a hung child, which prints its stack.
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


def exit_cause(wait_status: int) -> str:
    """Return a wait status as text: `exit 1`, `SIGKILL`."""
    code = os.waitstatus_to_exitcode(wait_status)
    if code >= 0:
        return f"exit {code}"
    # Most real-time signals are unnamed.
    return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"


class ForkedProcess:
    """A forked process that is not a worker, such as a farm beside the command that watches it.

    It runs in its own session, so that ctrl-C reaches only the parent, and gets SIGTERM when the parent dies.
    `run` starts with default signal handlers.
    """

    def __init__(self, run: Callable[[], int]) -> None:
        def main() -> int:
            os.setsid()
            unblock_signals()
            return run()

        self._status: int | None = None
        self._pid = fork(main, death_signal=signal.SIGTERM)

    @property
    def has_exited(self) -> bool:
        """Whether the process has exited; reading this reaps it."""
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    @property
    def exit_cause(self) -> str:
        """Cause of the exit: `exit 1`, `SIGKILL`; empty while the process runs."""
        return "" if self._status is None else exit_cause(self._status)

    def terminate(self) -> None:
        """Send SIGTERM; a second one ends the grace period."""
        self._signal(signal.SIGTERM)

    def stop(self, seconds: float, hurry: Callable[[], bool]) -> None:
        """Send SIGTERM and wait for the exit; kill the process after `seconds`.

        When `hurry`, called while waiting, first returns True, a second SIGTERM is sent.
        """
        self.terminate()
        deadline, hurried = time.monotonic() + seconds, False
        while not self.has_exited and time.monotonic() < deadline:
            time.sleep(WAIT_STEP_SECONDS)  # Two signals at once would arrive as one.
            if hurry() and not hurried:
                hurried = True
                self.terminate()
        self._signal(signal.SIGKILL)
        deadline = time.monotonic() + REAP_SECONDS
        while not self.has_exited and time.monotonic() < deadline:
            time.sleep(WAIT_STEP_SECONDS)

    def _signal(self, number: int) -> None:
        if not self.has_exited:  # The pid is not reused before it is reaped.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)
