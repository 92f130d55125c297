"""The demo's farm: in a session of its own a master that runs a devchain, a receiver and what `start` runs.

Its output goes to a file in the state directory, so that it never gets into the view.
"""

import base64
import gc
import os
import secrets
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from hookfarm import config, logs
from hookfarm.api import process as api_process
from hookfarm.api import token_file
from hookfarm.cli import demo_chain
from hookfarm.cli.demo_place import HOST, Place
from hookfarm.cli.start import STARTABLE
from hookfarm.config import Address
from hookfarm.devchain.options import DevchainOptions
from hookfarm.errors import HookfarmError, OperatorError
from hookfarm.farm.companion import Companion
from hookfarm.farm.master import Master
from hookfarm.farm.plan import Group, Stage
from hookfarm.farm.scoreboard import Board, Slot, State
from hookfarm.launcher.plan import plan
from hookfarm.receiver import process as receiver_process
from hookfarm.receiver.told import Told
from hookfarm.security.vault import KEY_BYTES

GRACE_SECONDS = 5.0
STOP_SECONDS = 15.0
"""More than the master takes at its slowest: its grace and what it gives heralds and servers."""
LAST_LINES = 12
_REASON = "hookfarm: "


class DemoFarm:
    """Forked when made. `end` leaves no process, file or port behind, whatever happened before."""

    def __init__(self, workers: int, devchain: DevchainOptions, secret: str, let_go: Callable[[], None]) -> None:
        """`let_go` is called in the child, to close what the caller holds open."""
        self._place = Place()
        try:
            self._groups = _groups(self._place, workers, devchain, secret)
            self._board = Board({group.service: group.count for group in self._groups})
            gc.collect()
            gc.freeze()
            self._companion = Companion(partial(self._live, os.getpid(), let_go))
        except BaseException:
            self._place.remove()
            raise

    @property
    def redis_url(self) -> str:
        return self._place.directory.redis_url

    @property
    def devchain(self) -> Address:
        return self._place.devchain

    @property
    def api(self) -> Address:
        return Address(HOST, self._slot(api_process.SERVICE).counter(api_process.PORT))

    @property
    def api_token(self) -> str | None:
        return token_file.kept(self._place.path)

    @property
    def receiver(self) -> Address:
        return self._place.receiver

    @property
    def not_verified(self) -> int:
        """Webhooks that the receiver refused because of their signature."""
        return self._slot(receiver_process.SERVICE).counter(receiver_process.NOT_VERIFIED)

    @property
    def ended(self) -> bool:
        """Whether the master is gone, which it should not be before `end`."""
        return self._companion.ended

    @property
    def ready(self) -> bool:
        """Whether every group of processes does its work."""
        return all(map(self._is_ready, self._groups))

    def arrivals(self) -> list[Told]:
        """The verified webhooks since the last call."""
        return [Told.parse(line) for line in self._place.lines()]

    def last_lines(self) -> list[str]:
        """The end of what the farm had to say."""
        try:
            return self._place.log.read_text("utf-8", "replace").splitlines()[-LAST_LINES:]
        except OSError:
            return []

    def failure(self) -> OperatorError:
        """Why the master ended by itself: in its own words, else its last lines."""
        lines = self.last_lines()
        reasons = [line.removeprefix(_REASON) for line in lines if line.startswith(_REASON)]
        if reasons:
            return OperatorError(reasons[-1])
        return OperatorError("\n  ".join([f"the farm ended ({self._companion.cause_of_death})", *lines]))

    def end(self, hurry: Callable[[], bool]) -> None:
        """Stops everything and removes the state directory; quicker once `hurry` is true."""
        self._companion.stop(STOP_SECONDS, hurry)
        self._place.remove()

    def _live(self, conductor: int, let_go: Callable[[], None]) -> int:
        """In the child."""
        let_go()
        return _run_master(self._place, self._groups, self._board, conductor)

    def _slot(self, service: str) -> Slot:
        return self._board.slots(service)[0]

    def _is_ready(self, group: Group) -> bool:
        if group.announced:
            return self._board.announced(group.service)
        return all(slot.state == State.UP for slot in self._board.slots(group.service))


def _groups(place: Place, workers: int, devchain: DevchainOptions, secret: str) -> list[Group]:
    settings = config.load(
        {
            "workers": workers,
            "chains": f"{devchain.chain_id}=ws://{place.devchain}",
            "api": f"{HOST}:0",
            "state_dir": place.path,
            "allow_private": f"{HOST}/32",
            "master_key": f"demo:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}",
            "grace_seconds": GRACE_SECONDS,
        },
        environment={},
    )
    options = replace(devchain, host=HOST, port=place.devchain.port)
    chain = partial(demo_chain.run, options=options)
    receive = partial(receiver_process.run, address=place.receiver, secrets=(secret,), tell=place.pipe)
    return [
        # What the farm speaks with stands until its last worker is gone.
        Group(demo_chain.SERVICE, 1, chain, stage=Stage.BASE),
        Group(receiver_process.SERVICE, 1, receive, stage=Stage.BASE),
        *plan(settings, STARTABLE, place.directory.redis_url, place.directory),
    ]


def _run_master(place: Place, groups: list[Group], board: Board, conductor: int) -> int:
    """The master's whole life, in its own process; its last line says why it failed."""
    _redirect_output(place)
    place.let_go()
    logs.configure()
    try:
        release = place.directory.lock()
        Master(groups, board, GRACE_SECONDS).run()
        release()
    except HookfarmError as error:
        print(f"{_REASON}{error}", file=sys.stderr)
        return error.exit_code
    finally:
        # Nobody else is left to do it where the conductor was killed.
        if os.getppid() != conductor:
            shutil.rmtree(place.path, ignore_errors=True)
    return 0


def _redirect_output(place: Place) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    file = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(file)
