"""hookfarm's own server: one farm a directory, one server a data set, nothing lost between them."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from hookfarm.errors import InvalidInput, OperatorError
from hookfarm.farm.spawn import fork, unblock_signals
from hookfarm.store.clients import command_client
from hookfarm.store.embedded_server import MAX_SOCKET_PATH_BYTES, StateDirectory, command, exec_server, find_binary
from tests.support.waiting import eventually

HOLDER = """
import sys
from pathlib import Path
from hookfarm.store.embedded_server import StateDirectory
StateDirectory(Path(sys.argv[1])).lock()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="hf-state-") as directory:
        yield Path(directory)


@pytest.fixture
def directory(place: Path) -> StateDirectory:
    made = StateDirectory(place / "state")
    made.make()
    return made


@pytest.fixture
def start(directory: StateDirectory) -> Iterator[Callable[[], int]]:
    """Starts the server as a farm's child does; its pid."""
    started: list[int] = []

    def start_one() -> int:
        def run() -> int:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            unblock_signals()
            exec_server(directory)
            return 1

        started.append(fork(run))
        return started[-1]

    yield start_one
    for pid in started:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


def answers(directory: StateDirectory) -> bool:
    try:
        with command_client(directory.redis_url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def waits_at(pid: int, file: Path) -> bool:
    return any(opened.path == str(file) for opened in psutil.Process(pid).open_files())


def voluntary_pauses(pid: int) -> int:
    return psutil.Process(pid).num_ctx_switches().voluntary


def wait_answers(directory: StateDirectory) -> None:
    eventually(lambda: answers(directory), what="the server answering")


def test_a_state_directory_is_made_for_its_owner_only(place: Path) -> None:
    directory = StateDirectory(place / "deep" / "state")
    directory.make()
    assert directory.path.stat().st_mode & 0o777 == 0o700
    assert directory.data.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_exists_keeps_its_mode(place: Path) -> None:
    place.chmod(0o755)
    StateDirectory(place).make()
    assert place.stat().st_mode & 0o777 == 0o755


def test_a_path_too_long_for_a_socket_is_refused(place: Path) -> None:
    long = place / ("d" * MAX_SOCKET_PATH_BYTES)
    with pytest.raises(InvalidInput) as caught:
        StateDirectory(long).make()
    assert str(caught.value) == f"state-dir: {long} cannot hold a socket; the path must be shorter than 89 bytes"
    assert not long.exists()


def test_the_longest_path_that_is_taken_holds_a_socket(place: Path) -> None:
    room = MAX_SOCKET_PATH_BYTES - len("/redis.sock") - len(str(place)) - 1
    directory = StateDirectory(place / ("d" * room))
    assert len(str(directory.socket)) == MAX_SOCKET_PATH_BYTES
    directory.make()


def test_a_place_that_cannot_be_a_directory_is_refused(place: Path) -> None:
    file = place / "file"
    file.touch()
    for path in (file, file / "below", Path("/proc/nowhere")):
        with pytest.raises(InvalidInput, match=f"^state-dir: cannot use {path}: "):
            StateDirectory(path).make()


def test_a_second_farm_gets_the_pid_of_the_one_that_has_the_directory(directory: StateDirectory) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OperatorError) as caught:
            directory.lock()
        assert str(caught.value) == (
            f"state-dir: {directory.path} is in use by another farm (pid {holder.pid}); stop it, choose another"
            f" --state-dir, or join its Redis with --redis-url {directory.redis_url}"
        )
        holder.kill()
    release = directory.lock()
    release()


def test_a_lock_is_not_handed_down_to_children(directory: StateDirectory) -> None:
    """A farm whose master was killed must not keep its directory through children that live on."""
    holding, go = os.pipe()
    pid = os.fork()
    if not pid:
        release = directory.lock()
        if os.fork() == 0:
            os.write(go, str(os.getpid()).encode())
            signal.pause()
        del release
        os._exit(0)
    os.waitpid(pid, 0)
    survivor = psutil.Process(int(os.read(holding, 16)))
    try:
        directory.lock()()
        assert survivor.is_running()
    finally:
        survivor.kill()
        os.close(holding)
        os.close(go)


def test_a_lock_that_cannot_be_made_is_refused(directory: StateDirectory) -> None:
    (directory.path / "lock").mkdir()
    with pytest.raises(InvalidInput, match=r"^state-dir: cannot use .*: Is a directory"):
        directory.lock()


def test_the_command_line_asks_for_a_durable_server_that_only_its_owner_can_reach(
    directory: StateDirectory,
) -> None:
    arguments = command(Path("/bin/server"), directory)
    settings = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    assert arguments[0] == "/bin/server"
    assert settings["--port"] == "0"
    assert settings["--unixsocket"] == str(directory.socket)
    assert settings["--unixsocketperm"] == "700"
    assert settings["--appendonly"] == "yes"
    assert settings["--maxmemory-policy"] == "noeviction"


def test_the_packaged_server_is_found_and_can_be_run() -> None:
    assert os.access(find_binary(), os.X_OK)


def test_the_process_becomes_the_server_and_ends_on_term(
    directory: StateDirectory, start: Callable[[], int]
) -> None:
    pid = start()
    wait_answers(directory)
    with command_client(directory.redis_url) as client:
        assert client.info("server")["process_id"] == pid
        assert client.config_get("port") == {"port": "0"}
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(
    directory: StateDirectory, start: Callable[[], int]
) -> None:
    """It must outlive those who still settle with it; the master ends it last."""
    pid = start()
    wait_answers(directory)
    assert os.getpgid(pid) == pid


def test_data_survives_a_kill(directory: StateDirectory, start: Callable[[], int]) -> None:
    pid = start()
    wait_answers(directory)
    with command_client(directory.redis_url) as client:
        client.set("kept", "1")
        eventually(
            lambda: (
                client.info("persistence").get("aof_pending_bio_fsync") == 0
                and client.info("persistence")["aof_buffer_length"] == 0
            ),
            what="the write",
        )
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    start()
    wait_answers(directory)
    with command_client(directory.redis_url) as client:
        assert client.get("kept") == b"1"


def test_a_server_waits_for_its_predecessor_to_be_gone(
    directory: StateDirectory, start: Callable[[], int]
) -> None:
    first = start()
    wait_answers(directory)
    second = start()
    eventually(lambda: waits_at(second, directory.data / "lock"), what="the second server trying the lock")
    pauses = voluntary_pauses(second)
    eventually(lambda: voluntary_pauses(second) > pauses + 10, what="the second server trying again and again")
    assert psutil.Process(second).exe() == psutil.Process().exe(), "it has not exec_server a server yet"
    with command_client(directory.redis_url) as client:
        assert client.info("server")["process_id"] == first
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)

    def served_by_second() -> bool:
        with command_client(directory.redis_url) as client:
            return answers(directory) and client.info("server")["process_id"] == second

    eventually(served_by_second, what="the successor serving")
