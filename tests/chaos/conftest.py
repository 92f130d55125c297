"""What a chaos test is given: a cluster, a seed that is printed, and the table that ends a full run."""

import random
from collections.abc import Iterator

import pytest

from tests.chaos.cluster import Cluster
from tests.chaos.message_log import MessageLog, running_message_recorder
from tests.chaos.recording import Recording, running_recorder
from tests.chaos.table import Table, conditions
from tests.support.farm_processes import StartFarm, started_farms
from tests.support.leftovers import nothing_left_behind as nothing_left_behind
from tests.support.redis_server import RedisServer

_TABLE = pytest.StashKey[Table]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TABLE] = Table()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """In markdown, so that it can be put into docs/explanation/reliability.md as it is."""
    table = config.stash[_TABLE]
    if config.getoption("--chaos") and table.rows:
        terminalreporter.section("chaos")
        terminalreporter.write_line(table.markdown())
        terminalreporter.write_line(f"\n{conditions()}")


@pytest.fixture
def table(pytestconfig: pytest.Config) -> Table:
    """`table.add(Row(…))` once a test knows what it came to, and before it judges that."""
    return pytestconfig.stash[_TABLE]


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    """Another one each time, unless `--chaos-seed` says which."""
    given: int | None = pytestconfig.getoption("--chaos-seed")
    chosen = random.SystemRandom().randrange(10**6) if given is None else given
    print(f"seed {chosen}")
    return chosen


@pytest.fixture
def chance(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.fixture
def start_farm() -> Iterator[StartFarm]:
    with started_farms() as start:
        yield start


@pytest.fixture
def recording() -> Iterator[Recording]:
    """A receiver that writes down before it answers."""
    with running_recorder() as running:
        yield running


@pytest.fixture
def messages() -> Iterator[MessageLog]:
    """Of a receiver that writes down what each webhook says."""
    with running_message_recorder() as running:
        yield running


@pytest.fixture
def cluster(
    redis_server: RedisServer,
    recording: Recording,
    start_farm: StartFarm,
    chance: random.Random,
    seed: int,
    table: Table,
) -> Cluster:
    return Cluster(redis_server, recording, start_farm, chance, seed, table)
