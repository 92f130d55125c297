"""Fixtures that every folder of tests uses."""

import os
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, settings

from tests.support.machine import SPREAD, use_of_the_machine
from tests.support.redis_server import RedisServer, running_redis

CHAOS = "chaos"
ALONE = "alone"

# How long an example takes says something of the machine and nothing of the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hookfarm")
    group.addoption("--chaos", action="store_true", help="the full kill storms alone, and their table at the end")
    group.addoption("--chaos-seed", type=int, metavar="N", help="what the storms do, again")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{CHAOS}: a full storm, minutes long; runs with --chaos only")
    if config.getoption("--chaos") and config.getoption("numprocesses", None):
        raise pytest.UsageError("--chaos measures the machine: it takes one process, without -n")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --chaos only what is marked so, without it everything else."""
    wanted = bool(config.getoption("--chaos"))
    marked: dict[bool, list[pytest.Item]] = {True: [], False: []}
    for item in items:
        marked[item.get_closest_marker(CHAOS) is not None].append(item)
    for storm in marked[True]:
        storm.add_marker(pytest.mark.timeout(0))
    config.hook.pytest_deselected(items=marked[not wanted])
    items[:] = marked[wanted]


@pytest.fixture(autouse=True)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is marked `alone` has it to itself, however many processes run the tests."""
    if SPREAD not in os.environ:
        yield
        return
    shared_by_all = tmp_path_factory.getbasetemp().parent
    with use_of_the_machine(shared_by_all, request.node.get_closest_marker(ALONE) is not None):
        yield


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A Redis of this test's own."""
    with running_redis() as server:
        yield server


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the test's own server."""
    with redis_server.client() as connected:
        yield connected


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    return redis_server.url
