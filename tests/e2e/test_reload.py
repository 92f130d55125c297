"""SIGHUP and SIGTTIN, SIGTTOU on a whole farm: new settings, other numbers, nothing lost, nothing doubled."""

import signal
from pathlib import Path
from typing import Any

import pytest
import redis

from hookfarm.devchain.embedded import running_devchain
from hookfarm.status import readiness
from hookfarm.store import keys
from tests.support.delivery import undelivered
from tests.support.farm_processes import FarmProcess
from tests.support.ledger import assert_drained
from tests.support.pipeline import LOOPBACK, Pipeline
from tests.support.waiting import PATIENCE_SECONDS, eventually

CHAIN_ID = 7005
LOGS = 20


class Settings:
    """A configuration file that the test rewrites."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, *lines: str) -> tuple[str, str]:
        """The option that reads it."""
        self._path.write_text("\n".join(('api = "127.0.0.1:0"', *lines, "")))
        return ("--config", str(self._path))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "hookfarm.toml")


def status(client: "redis.Redis", service: str = keys.WEBHOOK_DELIVERY) -> dict[str, Any]:
    return readiness.read_status(client, service) or {}


def reload(farm: FarmProcess, within: float = 30.0) -> None:
    """Until it is through."""
    before = farm.stderr.count("master reloaded")
    farm.signal(signal.SIGHUP)
    eventually(lambda: farm.stderr.count("master reloaded") > before, within, "the reload")


def ready_keys_lost(listener: "redis.client.PubSub") -> list[str]:
    """Which ready keys were deleted or ran out since the last call."""
    lost = []
    while message := listener.get_message(timeout=0.01):
        if message["data"] in (b"del", b"expired"):
            lost.append(message["channel"].decode())
    return lost


def test_a_reload_under_load_loses_nothing_doubles_nothing_and_stays_ready(
    pipeline: Pipeline, settings: Settings, client: "redis.Redis"
) -> None:
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=LOGS) as chain:
        option = settings.write(f'chains = ["{CHAIN_ID}={chain.ws_url}"]', "workers = 20", "processors = 2")
        farm = pipeline.start(*keys.SERVICES, *option)
        pipeline.add_endpoint(CHAIN_ID)
        before = farm.children()
        client.config_set("notify-keyspace-events", "KA")
        with client.pubsub(ignore_subscribe_messages=True) as listener:
            listener.psubscribe("__keyspace@0__:*:ready")
            listener.get_message(timeout=PATIENCE_SECONDS)
            farm.signal(signal.SIGHUP)
            while "master reloaded" not in farm.stderr:
                chain.mine(1)
                # Some is in flight whenever anybody leaves, and who is new gets its share of the machine.
                pipeline.receiver.wait_for(len(chain.canonical_logs()) - LOGS // 2)
            chain.mine(1)
            wanted = len(chain.canonical_logs())
            pipeline.receiver.wait_for(wanted)
            assert ready_keys_lost(listener) == []
        eventually(lambda: not undelivered(client), what="the ledger drained")
        assert_drained(client)
        ids = [received.id for received in pipeline.receiver.received]
        assert len(ids) == len(set(ids)) == wanted
        after = farm.children()
        assert set(after) == set(before)
        assert {name for name in before if before[name] == after[name]} == {"keeper 0"}
        assert "child died" not in farm.stderr
        assert farm.stop() == 0


def test_new_children_have_the_new_settings(pipeline: Pipeline, settings: Settings, client: "redis.Redis") -> None:
    """First loopback is not allowed; then it is, and a failure is not tried again."""
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=1) as chain:
        chains = f'chains = ["{CHAIN_ID}={chain.ws_url}"]'
        option = settings.write(chains, "workers = 3", 'retry_schedule = "1h"')
        farm = pipeline.start_farm(*keys.SERVICES, *option, redis_url=pipeline.redis_url).wait_ready()
        pipeline.add_endpoint(CHAIN_ID)
        chain.mine(1)
        eventually(lambda: client.zcard(keys.DEAD) + client.zcard(keys.RETRY) == 1, what="an address refused")
        assert pipeline.receiver.received == []
        settings.write(chains, "workers = 3", "retry_schedule = []", f'allow_private = ["{LOOPBACK}"]')
        reload(farm)
        assert "settings read changed=allow_private,retry_schedule" in farm.stderr
        chain.mine(1)
        pipeline.receiver.wait_for(1)
        eventually(lambda: client.zcard(keys.OPEN) == 0, what="its settlement")
        dead = client.zcard(keys.DEAD)
        pipeline.receiver.reply_with(500)
        chain.mine(1)
        eventually(lambda: client.zcard(keys.DEAD) == dead + 1, what="a dead letter at the first failure")


def test_the_numbers_of_workers_processors_and_chains_may_change(
    pipeline: Pipeline, settings: Settings, client: "redis.Redis"
) -> None:
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=3) as chain:
        farm = pipeline.start(*settings.write("workers = 2"))
        pipeline.add_endpoint(CHAIN_ID)
        assert client.exists(keys.status(keys.EVENT_INGESTOR)) == 0
        settings.write("workers = 5", "processors = 2", f'chains = ["{CHAIN_ID}={chain.ws_url}"]')
        reload(farm)
        eventually(lambda: all(farm.is_ready(service) for service in keys.SERVICES), what="all services ready")
        eventually(lambda: status(client)["workers"] == status(client)["workers_up"] == 5, what="five workers")
        eventually(lambda: status(client, keys.MESSAGE_PROCESSOR)["workers_up"] == 2, what="two processors")
        chain.mine(1)
        pipeline.receiver.wait_for(3)
        settings.write("workers = 3")
        reload(farm)
        eventually(lambda: len(farm.workers()) == 3, what="three workers")
        eventually(lambda: client.exists(keys.ready(keys.EVENT_INGESTOR)) == 0, what="no ingestor being spoken of")
        eventually(lambda: status(client)["workers"] == 3, what="three in the status")
        # What those did who have gone still counts.
        eventually(lambda: status(client)["delivered"] == 3, what="three deliveries in the status")
        eventually(lambda: len(status(client)["activity"]) == 3, what="three in what they do")
        gone = {"event_ingestor 0", "message_processor 1"}
        eventually(lambda: not gone & set(farm.children()), what="the end of those that are not wanted")
        assert farm.stop() == 0


def test_a_chain_in_the_place_of_another_begins_its_own_account(
    pipeline: Pipeline, settings: Settings, client: "redis.Redis"
) -> None:
    other_id = CHAIN_ID + 1
    with running_devchain(chain_id=CHAIN_ID) as chain, running_devchain(chain_id=other_id) as other:
        farm = pipeline.start(keys.EVENT_INGESTOR, *settings.write(f'chains = ["{CHAIN_ID}={chain.ws_url}"]'))
        chain.mine(5)

        def of_chain(chain_id: int) -> dict[str, Any]:
            shown: dict[str, Any] = {}
            for shown in status(client, keys.EVENT_INGESTOR).get("chains", ()):
                assert shown["chain_id"] in (CHAIN_ID, other_id)
            return shown if shown.get("chain_id") == chain_id else {}

        eventually(lambda: of_chain(CHAIN_ID).get("checkpoint") == 5, what="five blocks")
        published = of_chain(CHAIN_ID)["events_published"]
        assert published > 0
        settings.write(f'chains = ["{other_id}={other.ws_url}"]')
        reload(farm)
        eventually(lambda: of_chain(other_id).get("head") == 0, what="the other chain in the status")
        shown = of_chain(other_id)
        assert (shown["checkpoint"], shown["events_published"]) == (0, 0)
        assert farm.stop() == 0


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("workers = 0", "workers: 0 is out of range; allowed are 1 to 2000"),
        ("workers = [", "is not TOML"),
        ("wokers = 3", "wokers: unknown setting in"),
        ('redis_url = "redis://localhost:1"', "redis-url: cannot change while the farm runs"),
        ('ca_file = "/proc/version"', "ca-file: /proc/version cannot be used"),
    ],
)
def test_a_broken_configuration_is_refused_in_one_line_and_the_farm_goes_on(
    settings: Settings, tmp_path: Path, pipeline: Pipeline, line: str, why: str
) -> None:
    farm = pipeline.start_farm(keys.WEBHOOK_DELIVERY, *settings.write("workers = 2")).wait_ready()
    before = farm.workers()
    settings.write(line)
    farm.signal(signal.SIGHUP)
    eventually(lambda: "reload refused" in farm.stderr, what="the refusal")
    [said] = [said for said in farm.stderr.splitlines() if "reload" in said]
    assert why in said
    assert "Traceback" not in farm.stderr
    assert farm.workers() == before
    assert farm.is_ready(keys.WEBHOOK_DELIVERY)
    assert farm.stop() == 0


def test_a_chain_that_cannot_be_reached_brings_the_configuration_before_back(
    pipeline: Pipeline, settings: Settings
) -> None:
    with running_devchain(chain_id=CHAIN_ID) as chain, running_devchain(chain_id=CHAIN_ID + 1) as other:
        farm = pipeline.start(*settings.write(f'chains = ["{CHAIN_ID}={chain.ws_url}"]', "workers = 2"))
        settings.write(f'chains = ["{CHAIN_ID}={other.ws_url}"]', "workers = 3")
        farm.signal(signal.SIGHUP)
        eventually(lambda: "reload failed" in farm.stderr, within=60, what="the failure")
        eventually(lambda: "master reverted" in farm.stderr, within=60, what="the way back")
        eventually(lambda: all(farm.is_ready(service) for service in keys.SERVICES), what="all services ready")
        eventually(lambda: len(farm.workers()) == 2, what="two workers")
        assert farm.stop() == 0


def test_one_more_and_one_fewer_show_in_status_and_readiness(pipeline: Pipeline, client: "redis.Redis") -> None:
    farm = pipeline.start(keys.WEBHOOK_DELIVERY, "--workers", "3")
    for wanted, number in ((4, signal.SIGTTIN), (5, signal.SIGTTIN), (4, signal.SIGTTOU), (3, signal.SIGTTOU)):
        farm.signal(number)
        eventually(lambda n=wanted: status(client).get("workers") == n, what=f"{wanted} in the status")  # type: ignore[misc]
        eventually(lambda n=wanted: blocked_in_brpop(client) == n, what=f"{wanted} in BRPOP")  # type: ignore[misc]
        eventually(lambda n=wanted: status(client)["workers_up"] == n, what="all of them up")  # type: ignore[misc]
        eventually(lambda: farm.is_ready(keys.WEBHOOK_DELIVERY), what="readiness")
        eventually(lambda n=wanted: len(farm.workers()) == n, what=f"{wanted} processes")  # type: ignore[misc]
    assert farm.stop() == 0


def blocked_in_brpop(client: "redis.Redis") -> int:
    return sum(c["cmd"] == "brpop" and "b" in c["flags"] for c in client.client_list())
