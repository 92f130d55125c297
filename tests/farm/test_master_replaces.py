"""Children that die: replaced, at once or after a while, and nothing of them left."""

import contextlib
import ctypes
import os
import re
import resource
import signal
from functools import partial
from pathlib import Path

import psutil

from hookfarm.errors import CouldNotBoot
from hookfarm.farm.child import Child
from hookfarm.farm.plan import WorkerGroup
from hookfarm.farm.scoreboard import State
from tests.farm.toys import LIVES, StartToys, ToyFarm, idle, work
from tests.support.waiting import eventually

PR_SET_CHILD_SUBREAPER = 36
UNPRIVILEGED = 65534
FAILED_BOOTS = 3
"""Counter of a slot."""


def waits(farm: ToyFarm) -> list[float]:
    """The delays before each new fork, from the log."""
    return [float(said) for said in re.findall(r"retry_in_s=([0-9.]+)", farm.output)]


def files_of(pid: int) -> set[str]:
    """What its descriptors lead to: `pipe:[4711]`, `socket:[4712]`, `/path`."""
    found = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(file.readlink()))
    return found


def fill_the_machine_on_signal() -> None:
    """SIGUSR1: the master cannot fork any more; SIGUSR2: it can again."""
    if os.geteuid() == 0:  # The limit does not hold for root.
        os.setresgid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
        os.setresuid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
    allowed, most = resource.getrlimit(resource.RLIMIT_NPROC)
    for number, limit in ((signal.SIGUSR1, 0), (signal.SIGUSR2, allowed)):
        signal.signal(number, partial(_limit_processes, (limit, most)))


def _limit_processes(limits: tuple[int, int], _number: int, _frame: object) -> None:
    resource.setrlimit(resource.RLIMIT_NPROC, limits)


def adopt_orphans() -> None:
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def test_a_child_that_worked_and_is_killed_is_replaced_without_waiting(start_toys: StartToys) -> None:
    def settled(child: Child) -> None:
        if child.slot.counter(LIVES) == 1:
            work(child)
            return
        child.slot.add(LIVES)
        child.mark_up()
        child.wait(1.1)  # Longer than what counts as a quick exit.
        os.kill(os.getpid(), signal.SIGKILL)

    farm = start_toys(WorkerGroup("service", 1, settled))
    farm.wait_up("service", lives=2)
    assert waits(farm) == [0.0]
    assert 'child="service 0" cause=SIGKILL' in farm.output


def test_only_the_one_that_died_is_replaced(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("service", 3, work))
    farm.wait_ready()
    before = [slot.pid for slot in farm.scoreboard.slots("service")]
    os.kill(before[1], signal.SIGKILL)
    farm.wait_up("service", 1, lives=2)
    after = [slot.pid for slot in farm.scoreboard.slots("service")]
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1] not in (0, before[1])


def test_a_child_that_goes_quickly_again_and_again_is_waited_for_longer_each_time(start_toys: StartToys) -> None:
    def quick(child: Child) -> None:
        child.slot.add(LIVES)
        child.mark_up()
        if child.slot.counter(LIVES) > 1:
            raise RuntimeError("no")
        idle(child)

    farm = start_toys(WorkerGroup("service", 1, quick))
    farm.wait_ready()
    os.kill(farm.slot("service").pid, signal.SIGKILL)
    eventually(lambda: len(waits(farm)) >= 4, what="four ends")
    # The first was killed, which is no fault of its own.
    for said, planned in zip(waits(farm), [0.0, 0.1, 0.2, 0.4], strict=False):
        assert 0.8 * planned - 0.01 <= said <= 1.2 * planned + 0.01
    assert farm.slot("service").reason == "RuntimeError: no"


def test_a_child_that_could_not_boot_later_is_tried_until_the_cause_is_gone(
    start_toys: StartToys, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"

    def main(child: Child) -> None:
        if broken.exists():
            child.slot.add(FAILED_BOOTS)
            raise CouldNotBoot("the disk is full")
        work(child)

    farm = start_toys(WorkerGroup("service", 1, main))
    farm.wait_ready()
    broken.touch()
    os.kill(farm.slot("service").pid, signal.SIGKILL)
    eventually(lambda: farm.slot("service").counter(FAILED_BOOTS) >= 2, what="two failed boots")
    eventually(lambda: farm.slot("service").reason == "the disk is full", what="the reason being shown")
    broken.unlink()
    farm.wait_up("service", lives=2)
    assert farm.slot("service").reason == ""
    assert farm.stop() == 0


def break_the_output() -> None:
    """The reader of the farm's log is gone."""
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, 2)
    os.close(writing)


def test_a_farm_whose_log_has_no_reader_goes_on_replacing(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("service", 1, work), before=break_the_output)
    for lives in (1, 2, 3):
        os.kill(farm.wait_up("service", lives=lives), signal.SIGKILL)
    farm.wait_up("service", lives=4)
    assert farm.stop() == 0


def test_a_machine_that_has_no_process_left_is_waited_out(start_toys: StartToys) -> None:
    """Those who live go on, and the one that is missing comes back."""
    farm = start_toys(WorkerGroup("service", 2, work), before=fill_the_machine_on_signal)
    farm.wait_ready()
    farm.signal(signal.SIGUSR1)
    os.kill(farm.slot("service").pid, signal.SIGKILL)
    eventually(lambda: "cannot fork" in farm.output, what="a fork that fails")
    assert farm.slot("service").reason.startswith("cannot fork: ")
    assert farm.slot("service", 1).state == State.UP
    farm.signal(signal.SIGUSR2)
    farm.wait_up("service", lives=2)


def test_a_hundred_replacements_leave_the_masters_files_as_they_were(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("service", 50, work, prepare=lambda: None))
    farm.wait_ready()
    files, threads = files_of(farm.pid), psutil.Process(farm.pid).num_threads()
    for lives in (2, 3):
        for slot in farm.scoreboard.slots("service"):
            os.kill(slot.pid, signal.SIGKILL)
        for index in range(50):
            farm.wait_up("service", index, lives=lives)
    assert files_of(farm.pid) == files
    assert len(farm.children()) == 50
    assert psutil.Process(farm.pid).num_threads() == threads


def test_children_hold_nothing_that_is_the_masters(start_toys: StartToys) -> None:
    """Pipes of the master (its waker, the gates of others) are closed in every child, whenever it was forked."""
    inherited = files_of(os.getpid())
    groups = WorkerGroup("gated", 3, work, prepare=lambda: None), WorkerGroup("service", 2, work)
    farm = start_toys(*groups)
    farm.wait_ready()
    os.kill(farm.slot("gated", 1).pid, signal.SIGKILL)
    farm.wait_up("gated", 1, lives=2)
    own = {file for file in files_of(farm.pid) - inherited if file.startswith(("pipe:", "socket:"))}
    assert own, "the master has a pipe to be woken by"
    seen: set[str] = set()
    for child in farm.children():
        files = {f for f in files_of(child.pid) - inherited if f.startswith(("pipe:", "socket:"))}
        assert not files & own
        assert not files & seen
        seen |= files


def test_no_child_stays_a_zombie(start_toys: StartToys) -> None:
    farm = start_toys(WorkerGroup("service", 20, work))
    farm.wait_ready()
    killed = {slot.pid for slot in farm.scoreboard.slots("service")}
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not killed & {c.pid for c in farm.children()}, what="all 20 being reaped")


def test_strangers_that_the_master_inherits_are_reaped(start_toys: StartToys, tmp_path: Path) -> None:
    """As the first process of a container it becomes the parent of orphans."""
    strangers = tmp_path / "strangers"

    def main(child: Child) -> None:
        middle = os.fork()
        if not middle:
            if not os.fork():
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                strangers.write_text(str(os.getpid()))
                while True:
                    signal.pause()
            os._exit(0)
        os.waitpid(middle, 0)
        work(child)

    farm = start_toys(WorkerGroup("service", 1, main), before=adopt_orphans)
    farm.wait_ready()
    pid = eventually(lambda: strangers.exists() and strangers.read_text(), what="the stranger, deaf no longer")
    stranger = psutil.Process(int(pid))
    assert stranger.ppid() == farm.pid
    stranger.terminate()
    eventually(lambda: not stranger.is_running(), what="the stranger being reaped")
    assert farm.slot("service").state == State.UP
    assert "child died" not in farm.output
