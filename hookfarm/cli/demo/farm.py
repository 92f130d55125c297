"""The demo's farm and its workspace: a forked master that runs devchain, receiver and services.

The farm's output goes to a file in the workspace, not over the view.
"""

import base64
import contextlib
import fcntl
import gc
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from hookfarm import config, logs
from hookfarm.api import process
from hookfarm.api import process as api_process
from hookfarm.cli import devchain as devchain_command
from hookfarm.cli.start import STARTABLE
from hookfarm.config import Address
from hookfarm.devchain.chain import DevchainOptions
from hookfarm.errors import HookfarmError, OperatorError
from hookfarm.farm.master import Master
from hookfarm.farm.plan import Stage, WorkerGroup
from hookfarm.farm.scoreboard import Scoreboard, Slot, State
from hookfarm.farm.spawn import ForkedProcess
from hookfarm.launcher.plan import plan
from hookfarm.receiver import process as receiver_process
from hookfarm.receiver.report import WebhookReport
from hookfarm.security.vault import KEY_BYTES
from hookfarm.store.embedded_server import MAX_SOCKET_PATH_BYTES, StateDirectory

DEVCHAIN = "devchain"
GRACE_SECONDS = 5.0
STOP_SECONDS = 15.0
"""Longer than the master's slowest stop: its grace, then the time for coordinators and servers."""
MAX_LAST_LINES = 12
HOST = "127.0.0.1"
PIPE_BYTES = 1024 * 1024
"""Room for about 5,000 webhooks between two reads; further ones wait in the receiver."""
READ_BYTES = 256 * 1024
_PREFIX = "hookfarm-demo-"
_MAX_PARENT_LENGTH = MAX_SOCKET_PATH_BYTES - len(f"/{_PREFIX}12345678/redis.sock")


class Workspace:
    """Temporary directory, named pipe and two ports of a demo; made before the farm is forked."""

    def __init__(self) -> None:
        self.path = _make_directory()
        self.directory = StateDirectory(self.path)
        self.directory.make()
        self.log = self.path / "farm.log"
        self.pipe = self.path / "verified"
        os.mkfifo(self.pipe, 0o600)
        self._read_fd = os.open(self.pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # The kernel refuses if the user's pipe quota is used up.
            fcntl.fcntl(self._read_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._unread = b""
        self._reservations = [_reserve_port() for _ in range(2)]
        self.devchain, self.receiver = (Address(*held.getsockname()) for held in self._reservations)

    def lines(self) -> list[str]:
        """Return the complete lines read from the pipe since the last call."""
        while True:
            try:
                read = os.read(self._read_fd, READ_BYTES)
            except BlockingIOError:
                break
            if not read:
                break  # No writer has it open.
            self._unread += read
        *whole, self._unread = self._unread.split(b"\n")
        return [line.decode() for line in whole]

    def close(self) -> None:
        """Close the pipe and the ports; forked children call it, too."""
        os.close(self._read_fd)
        for held in self._reservations:
            held.close()

    def remove(self) -> None:
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)


class DemoFarm:
    """A farm in its own session, forked on creation. `end` removes its processes, files and ports."""

    def __init__(
        self, workers: int, devchain: DevchainOptions, secret: str, close_inherited: Callable[[], None]
    ) -> None:
        """Fork the farm. The child calls `close_inherited` to close the caller's files."""
        self._workspace = Workspace()
        try:
            self._groups = _groups(self._workspace, workers, devchain, secret)
            self._scoreboard = Scoreboard({group.service: group.count for group in self._groups})
            gc.collect()
            gc.freeze()
            self._process = ForkedProcess(partial(self._child_main, os.getpid(), close_inherited))
        except BaseException:
            self._workspace.remove()
            raise

    @property
    def redis_url(self) -> str:
        return self._workspace.directory.redis_url

    @property
    def devchain(self) -> Address:
        return self._workspace.devchain

    @property
    def api(self) -> Address:
        return Address(HOST, self._slot(api_process.SERVICE).counter(api_process.PORT))

    @property
    def api_token(self) -> str | None:
        return process.load(self._workspace.path)

    @property
    def receiver(self) -> Address:
        return self._workspace.receiver

    @property
    def not_verified(self) -> int:
        """Number of webhooks refused for an invalid signature."""
        return self._slot(receiver_process.SERVICE).counter(receiver_process.NOT_VERIFIED)

    @property
    def ended(self) -> bool:
        """Whether the master has exited; a failure before `end`."""
        return self._process.has_exited

    @property
    def ready(self) -> bool:
        """Whether all services are ready."""
        return all(map(self._is_ready, self._groups))

    def arrivals(self) -> list[WebhookReport]:
        """Return the webhooks verified since the last call."""
        return [WebhookReport.parse(line) for line in self._workspace.lines()]

    def last_lines(self) -> list[str]:
        """Return the end of the farm's log."""
        try:
            return self._workspace.log.read_text("utf-8", "replace").splitlines()[-MAX_LAST_LINES:]
        except OSError:
            return []

    def failure(self) -> OperatorError:
        """Return the reason why the master exited: its error message, else the end of its log."""
        if self._scoreboard.failure:
            return OperatorError(self._scoreboard.failure)
        return OperatorError("\n  ".join([f"the farm exited ({self._process.exit_cause})", *self.last_lines()]))

    def end(self, hurry: Callable[[], bool]) -> None:
        """Stop all processes and remove the workspace; sooner once `hurry` returns True."""
        self._process.stop(STOP_SECONDS, hurry)
        self._workspace.remove()

    def _child_main(self, demo_pid: int, close_inherited: Callable[[], None]) -> int:
        close_inherited()
        return _run_master(self._workspace, self._groups, self._scoreboard, demo_pid)

    def _slot(self, service: str) -> Slot:
        return self._scoreboard.slots(service)[0]

    def _is_ready(self, group: WorkerGroup) -> bool:
        if group.ready_when_announced:
            return self._scoreboard.is_ready(group.service)
        return all(slot.state == State.UP for slot in self._scoreboard.slots(group.service))


def _groups(workspace: Workspace, workers: int, devchain: DevchainOptions, secret: str) -> list[WorkerGroup]:
    settings = config.load(
        {
            "workers": workers,
            "chains": f"{devchain.chain_id}=ws://{workspace.devchain}",
            "api": f"{HOST}:0",
            "state_dir": workspace.path,
            "allow_private": f"{HOST}/32",
            "master_key": f"demo:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}",
            "grace_seconds": GRACE_SECONDS,
        },
        environment={},
    )
    options = replace(devchain, host=HOST, port=workspace.devchain.port)
    chain = partial(devchain_command.run_child, options=options)
    receive = partial(
        receiver_process.run, address=workspace.receiver, secrets=(secret,), report_pipe=workspace.pipe
    )
    return [
        # Devchain and receiver run until the last worker has exited.
        WorkerGroup(DEVCHAIN, 1, chain, stage=Stage.DEPENDENCIES),
        WorkerGroup(receiver_process.SERVICE, 1, receive, stage=Stage.DEPENDENCIES),
        *plan(settings, STARTABLE, workspace.directory.redis_url, workspace.directory),
    ]


def _run_master(workspace: Workspace, groups: list[WorkerGroup], scoreboard: Scoreboard, demo_pid: int) -> int:
    """Run the master, in its own process. If it fails, the reason is in the scoreboard."""
    _redirect_output(workspace)
    workspace.close()
    logs.configure()
    try:
        release = workspace.directory.lock()
        Master(groups, scoreboard, GRACE_SECONDS).run()
        release()
    except HookfarmError as error:
        scoreboard.failure = str(error)
        return error.exit_code
    finally:
        # The demo was killed, so this process cleans up.
        if os.getppid() != demo_pid:
            shutil.rmtree(workspace.path, ignore_errors=True)
    return 0


def _redirect_output(workspace: Workspace) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    file = os.open(workspace.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(file)


def _make_directory() -> Path:
    try:
        parent = tempfile.gettempdir()
        short_enough = len(os.fsencode(parent)) <= _MAX_PARENT_LENGTH
        return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent if short_enough else "/tmp"))
    except OSError as error:
        raise OperatorError(f"cannot make a temporary directory: {error.strerror}; set TMPDIR") from error


def _reserve_port() -> socket.socket:
    """Return a socket that reserves a free port.

    It is bound but does not listen, so the kernel gives the port to no other process. A child's socket with
    SO_REUSEADDR may listen on it, also after a restart (socket(7)).
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((HOST, 0))
    return held
