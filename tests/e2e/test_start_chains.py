"""`hookfarm start` with chains of which one does not answer."""

import http.client
import json
import re
from contextlib import closing
from typing import Any

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.store import keys
from tests.support.farm_processes import FarmProcess, hookfarm
from tests.support.pipeline import Pipeline, body
from tests.support.waiting import eventually

FEW = ("--workers", "2")
HEALTHY, DEAD = 31337, 5


def get(farm: FarmProcess, path: str) -> tuple[int, Any]:
    """Status and JSON that the farm's API answers."""
    [port] = re.findall(r"api    http://127\.0\.0\.1:(\d+)", farm.stdout)
    with closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def failed_start(redis_url: str, *arguments: str) -> str:
    """What a start says that fails; one that fails because the machine is slow is repeated."""
    while True:
        said = hookfarm("start", *FEW, "--api", "127.0.0.1:0", *arguments, "--redis-url", redis_url)
        assert said.returncode, said.stdout
        if "(booting)" not in said.stderr:
            return said.stderr


def statuses(farm: FarmProcess, *paths: str) -> list[int]:
    return [get(farm, path)[0] for path in paths]


def chains_of(*nodes: RunningDevchain) -> list[str]:
    return [each for node in nodes for each in ("--chain", f"{node.chain_id}={node.ws_url}")]


def test_a_chain_whose_node_is_dead_holds_up_no_other(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=HEALTHY, logs_per_block=2) as healthy, running_devchain(chain_id=DEAD) as dead:
        dead.go_down()
        farm = pipeline.start(*FEW, *chains_of(dead, healthy))
        assert "event_ingestor (1 of 2 up)" in farm.stdout
        assert 'started without service=event_ingestor missing="event_ingestor 0 (' in farm.stderr
        eventually(
            lambda: f'chain down chain={DEAD} reason="chain {DEAD}: {dead.ws_url}: ' in farm.stderr, what="why"
        )
        pipeline.add_endpoint(HEALTHY)
        healthy.mine(2)
        assert {body(received)["data"]["chain_id"] for received in pipeline.receiver.wait_for(4)} == {HEALTHY}

        one, other = f"/readyz?chain={HEALTHY}", f"/readyz?chain={DEAD}"
        paths = ("/readyz", "/health", one, other, "/readyz?chain=7")
        eventually(lambda: statuses(farm, *paths) == [503, 503, 200, 503, 404], what="readiness by chain")
        assert not farm.is_ready(keys.EVENT_INGESTOR)
        assert not farm.is_ready(keys.ingestor_of(DEAD))
        service = get(farm, "/health")[1]["services"][keys.EVENT_INGESTOR]
        assert f"chain {DEAD}: {dead.ws_url}: " in service["reason"]
        assert_commands_agree(farm, dead)

        dead.come_up()
        eventually(lambda: farm.is_ready(keys.EVENT_INGESTOR), what="all chains being followed")
        eventually(lambda: statuses(farm, "/readyz", "/health", other) == [200] * 3, what="readiness")
        dead.go_down()
        eventually(lambda: not farm.is_ready(keys.ingestor_of(DEAD)), what="the withdrawal of one chain")
        eventually(lambda: farm.is_ready(keys.ingestor_of(HEALTHY)), what="the other chain being followed")
        assert farm.stop() == 0
        with farm.client() as client:
            assert client.keys(f"{keys.EVENT_INGESTOR}:*") == []


def assert_commands_agree(farm: FarmProcess, dead: RunningDevchain) -> None:
    url = ("--redis-url", farm.redis_url)
    assert hookfarm("wait", f"event_ingestor:{HEALTHY}", *url).returncode == 0
    assert hookfarm("wait", f"event_ingestor:{DEAD}", "--timeout", "0.1", *url).returncode == 1
    status = json.loads(hookfarm("status", "--json", *url).stdout)
    chain = next(each for each in status["chains"] if each["chain_id"] == DEAD)
    assert (chain["ready"], chain["head"], chain["lag_ms"]) == (False, None, None)
    assert chain["reason"].startswith(f"chain {DEAD}: {dead.ws_url}: ")
    assert f"not ready: chain {DEAD}: {dead.ws_url}: " in hookfarm("status", *url).stdout


def test_readiness_of_a_farm_is_that_of_its_required_chains(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=HEALTHY) as healthy, running_devchain(chain_id=DEAD) as dead:
        dead.go_down()
        farm = pipeline.start(*FEW, "--required-chains", str(HEALTHY), *chains_of(healthy, dead))
        paths = ("/readyz", "/health", f"/readyz?chain={DEAD}")
        eventually(lambda: statuses(farm, *paths) == [200, 200, 503], what="readiness by the required chain")
        assert not farm.is_ready(keys.EVENT_INGESTOR), "it means every chain"
        assert farm.stop() == 0


def test_a_chain_of_another_id_holds_up_no_other_and_ends_the_start_if_required(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=HEALTHY) as healthy, running_devchain(chain_id=DEAD) as other:
        chains = ("--chain", f"7={other.ws_url}", *chains_of(healthy))
        farm = pipeline.start(*FEW, *chains)
        eventually(lambda: f"chain 7: {other.ws_url} serves chain {DEAD}" in farm.stderr, what="why")
        assert farm.stop() == 0
        said = failed_start(pipeline.redis_url, "--required-chains", "7", *chains)
    problem = f"event_ingestor 0 could not start: chain 7: {other.ws_url} serves chain {DEAD}"
    assert said.endswith(f"hookfarm: {problem}\n")


def test_a_farm_does_not_start_where_no_chain_answers(redis_url: str) -> None:
    with running_devchain(chain_id=DEAD) as dead:
        dead.go_down()
        said = failed_start(redis_url, *chains_of(dead))
    problem = f"event_ingestor 0 (chain {DEAD}: {dead.ws_url}: "
    assert f"hookfarm: event_ingestor did not signal readiness within 10s: {problem}" in said


def test_a_required_chain_that_is_not_watched_is_refused(redis_url: str) -> None:
    said = failed_start(redis_url, "--chain", "1=ws://127.0.0.1:1", "--required-chains", "1,8")
    assert "required-chains: chain 8 is not watched; add --chain 8=URL" in said
