"""`hookfarm start` with its own server: order, directory, restarts, ctrl-C."""

import http.client
import os
import re
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest

from hookfarm.devchain.embedded import running_devchain
from hookfarm.store import keys
from tests.support.farm_processes import FarmProcess, StartFarm, hookfarm, title
from tests.support.machine import promised
from tests.support.waiting import eventually

FEW = ("--workers", "3", "--api", "127.0.0.1:0")
CANARY = "canary-4711"
TOO_LONG = "/" + "d" * 100


def status_of(farm: FarmProcess, path: str) -> int:
    """The HTTP status that the farm's API answers."""
    [port] = re.findall(r"api    http://127\.0\.0\.1:(\d+)", farm.stdout)
    with closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status


def test_services_come_up_each_before_what_feeds_it(start_farm: StartFarm) -> None:
    with running_devchain(chain_id=31337) as chain:
        farm = start_farm(*FEW, "--chain", f"31337={chain.ws_url}").wait_ready()
        became_ready = re.findall(r"keeper ready service=(\w+)", farm.stderr)
        assert became_ready == [keys.MESSAGE_PROCESSOR, keys.WEBHOOK_DELIVERY, keys.EVENT_INGESTOR]
        assert all(farm.is_ready(service) for service in keys.SERVICES)
        assert "hookfarm is ready: message_processor, webhook_delivery, event_ingestor\n" in farm.stdout
        assert [status_of(farm, path) for path in ("/livez", "/readyz", "/health")] == [200, 200, 200]
        assert farm.stop() == 0
    assert not farm.survivors()


def test_every_process_has_a_title(start_farm: StartFarm) -> None:
    farm = start_farm(*FEW).wait_ready()
    workers = {f"{keys.WEBHOOK_DELIVERY} {index}" for index in range(3)}
    assert set(farm.children()) == {"redis", "keeper 0", "message_processor 0", "api 0", *workers}


def test_only_the_services_named_are_started(start_farm: StartFarm, redis_url: str) -> None:
    farm = start_farm(keys.MESSAGE_PROCESSOR, "--processors", "2", redis_url=redis_url).wait_ready()
    assert set(farm.children()) == {"keeper 0", "message_processor 0", "message_processor 1"}
    assert farm.stop() == 0


def test_a_second_farm_in_the_same_directory_is_refused(start_farm: StartFarm) -> None:
    first = start_farm(*FEW).wait_ready()
    state_dir = Path(first.redis_url.removeprefix("unix://")).parent
    second = hookfarm("start", *FEW, "--state-dir", str(state_dir))
    assert (second.returncode, second.stdout) == (1, "")
    [line] = [line for line in second.stderr.splitlines() if line.startswith("hookfarm: ")]
    assert line.startswith(
        f"hookfarm: state-dir: {state_dir} is in use by another farm (pid {first.pid}); stop it"
    )
    assert "Traceback" not in second.stderr
    assert all(first.is_ready(service) for service in keys.SERVICES[:2])


def test_data_survives_the_farm(start_farm: StartFarm) -> None:
    first = start_farm(*FEW).wait_ready()
    state_dir = Path(first.redis_url.removeprefix("unix://")).parent
    with first.client() as client:
        client.set("kept", "1")
    assert first.stop() == 0
    second = start_farm(*FEW, state_dir=state_dir).wait_ready()
    with second.client() as client:
        assert client.get("kept") == b"1"


def test_a_farm_starts_at_once_where_another_was_killed(start_farm: StartFarm) -> None:
    first = start_farm(*FEW).wait_ready()
    state_dir = Path(first.redis_url.removeprefix("unix://")).parent
    first.signal(signal.SIGKILL)
    second = start_farm(*FEW, state_dir=state_dir).wait_ready()
    assert not first.survivors()
    assert second.stop() == 0


def test_a_killed_server_is_replaced_and_the_service_back(start_farm: StartFarm) -> None:
    farm = start_farm(*FEW).wait_ready()
    before = farm.children()
    with farm.client() as client:
        client.set("kept", "1")
        client.config_set("appendfsync", "always")
        client.set("kept", "2")
    before["redis"].kill()
    eventually(lambda: "redis up" in farm.stderr, what="the keeper having Redis again")
    eventually(lambda: farm.is_ready(keys.WEBHOOK_DELIVERY), what="readiness")
    after = farm.children()
    assert after.pop("redis") != before.pop("redis")
    assert after == before, "no other had to die"
    with farm.client() as client:
        assert client.get("kept") == b"2"
    assert farm.stop() == 0


def test_ctrl_c_reaches_everybody_but_the_server_goes_last(start_farm: StartFarm) -> None:
    farm = start_farm(*FEW).wait_ready()
    os.killpg(farm.pid, signal.SIGINT)
    assert farm.wait() == 0
    assert "stopping signal=SIGINT" in farm.stderr
    for trouble in ("gone", "not withdrawn", "not settled", "killed", "Traceback", "child died"):
        assert trouble not in farm.stderr
    assert not farm.survivors()


@pytest.mark.alone
def test_nothing_is_left_of_a_killed_farm_with_its_own_server(start_farm: StartFarm) -> None:
    farm = start_farm(*FEW).wait_ready()
    assert len(farm.survivors()) == 8
    farm.signal(signal.SIGKILL)
    eventually(lambda: not farm.survivors(), within=promised(1.0), what="the end of all its processes")


def test_an_api_that_finds_its_port_taken_ends_the_start(start_farm: StartFarm) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        farm = start_farm("--workers", "3", "--api", place)
        assert farm.wait() == 1
    problem = f"api: cannot listen on {place} (Address already in use); give another --api"
    assert farm.stderr.endswith(f"hookfarm: api 0 could not start: {problem}\n")
    assert farm.stdout == ""
    assert "Traceback" not in farm.stderr
    assert not farm.survivors()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--workers", "0"), "workers: '0' is out of range; allowed are 1 to 2000"),
        (
            ("--state-dir", TOO_LONG),
            f"state-dir: {TOO_LONG} cannot hold a socket; the path must be shorter than 89 bytes",
        ),
        (("--state-dir", "/proc/none"), "state-dir: cannot use /proc/none: "),
        (("--config", "/proc/none"), "config: cannot read /proc/none: No such file or directory"),
        ((keys.EVENT_INGESTOR,), "chain: event_ingestor has no chain to watch; give --chain ID=URL"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    found = hookfarm("start", keys.WEBHOOK_DELIVERY, *arguments)
    assert (found.returncode, found.stdout) == (2, "")
    [line] = found.stderr.splitlines()
    assert line.startswith(f"hookfarm: {said}")


def test_a_wrong_variable_is_refused_by_its_name() -> None:
    found = hookfarm("start", HOOKFARM_WORKERS="none")
    assert found.returncode == 2
    assert found.stderr == "hookfarm: HOOKFARM_WORKERS: 'none' is not a whole number from 1 to 2000\n"


def test_no_secret_is_shown_by_a_running_farm(start_farm: StartFarm, redis_url: str) -> None:
    """Neither in what it prints, nor in its process titles, nor in its status, also when the server goes."""
    with running_devchain(chain_id=31337) as chain:
        place = redis_url.replace("unix://", f"unix://default:{CANARY}@")
        with_key = f"31337={chain.ws_url}/{CANARY}?key={CANARY}"
        services = (keys.WEBHOOK_DELIVERY, keys.EVENT_INGESTOR)
        options = ("--workers", "2", "--chain", with_key, "--log-level", "debug")
        farm = start_farm(*services, *options, redis_url=place).wait_ready()
        chain_process = farm.children()["event_ingestor 0"]
        titles = [title(process) for process in farm.survivors()]
        with farm.client() as client:
            published = "".join(str(client.get(keys.status(service))) for service in keys.SERVICES)
        chain_process.kill()
        eventually(lambda: "child died" in farm.stderr, what="the death being logged")
        assert farm.stop() == 0
    assert CANARY not in "".join(titles)
    assert CANARY not in published
    assert CANARY not in farm.stdout + farm.stderr
