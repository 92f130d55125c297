"""A running farm as Prometheus sees it, and deploy/ against what it sees."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from hookfarm.devchain.embedded import running_devchain
from hookfarm.store import keys
from tests.support.farm_processes import CHECKOUT, FarmProcess, hookfarm
from tests.support.pipeline import LOOPBACK, TRANSFER, Pipeline
from tests.support.promql import grouped_by, selectors
from tests.support.scraping import Scrape, scrape
from tests.support.waiting import eventually

CHAIN = 1337
DEPLOY = CHECKOUT / "deploy"
CANARY = "canary"


@pytest.fixture
def chain() -> Iterator[Any]:
    with running_devchain(chain_id=CHAIN, logs_per_block=7) as running:
        yield running


def start(pipeline: Pipeline, chain: Any, *services: str) -> FarmProcess:
    return pipeline.start(*services, "--workers", "4", "--chain", f"{CHAIN}={chain.ws_url}")


def add_dead_endpoint(redis_url: str) -> None:
    """Nobody listens there."""
    url = f"http://127.0.0.1:9/{CANARY}?token={CANARY}"
    arguments = ("endpoints", "add", url, "--chain", str(CHAIN), "--event", TRANSFER, "--redis-url", redis_url)
    said = hookfarm(*arguments, HOOKFARM_ALLOW_PRIVATE=LOOPBACK)
    assert said.returncode == 0, said.stderr


def drained(scraped: Scrape) -> bool:
    return not (scraped.total("event_stream_length") or scraped.total("delivery_queue_jobs", state="open"))


def at_rest(scraped: Scrape) -> bool:
    """An attempt that ends while it is counted together is in some of its counters only."""
    attempts = scraped.total("webhook_delivery_attempts_total")
    failed = attempts - scraped.total("webhook_delivery_attempts_total", outcome="2xx")
    timed = scraped.total("webhook_delivery_attempt_duration_seconds_count")
    return timed == attempts and scraped.total("webhook_delivery_retries_total") == failed


def test_every_hop_is_counted_and_no_endpoint_is_named(pipeline: Pipeline, chain: Any) -> None:
    farm = start(pipeline, chain)
    endpoint = pipeline.add_endpoint(CHAIN)
    chain.mine(3)
    pipeline.receiver.wait_for(21)
    add_dead_endpoint(pipeline.redis_url)
    chain.mine(1)
    pipeline.receiver.wait_for(28)

    def all_told() -> Scrape | None:
        found = scrape(farm)
        failed = found.total("webhook_delivery_attempts_total", outcome="connection")
        enqueued = found.total("message_processor_jobs_enqueued_total")
        return found if failed and enqueued == 28 + 7 and drained(found) and at_rest(found) else None

    seen = eventually(all_told, what="all attempts in one scrape, and none under way")
    assert seen.total("event_ingestor_events_published_total", chain_id=str(CHAIN)) == 28
    assert seen.total("event_ingestor_lag_blocks") == 0
    assert seen.total("message_processor_events_matched_total") == 28
    attempts = seen.total("webhook_delivery_attempts_total")
    assert seen.total("webhook_delivery_attempts_total", outcome="2xx") == 28
    assert seen.total("webhook_delivery_attempt_duration_seconds_bucket", le="+Inf") == attempts
    assert seen.total("webhook_delivery_attempt_duration_seconds_sum") > 0
    assert seen.total("webhook_delivery_queue_to_delivered_seconds_count") == 28
    assert seen.total("delivery_queue_jobs", state="dead") == 0
    assert seen.total("delivery_queue_jobs") == 7
    assert seen.total("hookfarm_endpoints", state="enabled") == seen.total("message_processor_endpoints") == 2
    assert seen.total("hookfarm_processes_up", service=keys.WEBHOOK_DELIVERY) == 4
    assert seen.total("hookfarm_processes_open_fds", service="master") > 0
    assert seen.total("event_ingestor_rpc_calls_total", method="eth_getLogs") > 0
    assert {seen.total("hookfarm_service_ready", service=service) for service in keys.SERVICES} == {1}
    for secret in (endpoint["id"], endpoint["url"], endpoint["secret"], CANARY):
        assert secret not in seen.text


def test_the_counters_survive_the_api_and_begin_anew_with_the_farm(pipeline: Pipeline, chain: Any) -> None:
    farm = start(pipeline, chain)
    pipeline.add_endpoint(CHAIN)
    chain.mine(2)
    pipeline.receiver.wait_for(14)
    eventually(lambda: delivered(farm) == 14, what="14 deliveries counted")
    api = farm.children()["api 0"]
    os.kill(api.pid, signal.SIGKILL)
    eventually(lambda: _answers_anew(farm, api.pid), what="another API process")
    assert delivered(farm) == 14
    died = scrape(farm)
    assert died.total("hookfarm_processes_died_total", service="api") == 1
    assert died.total("hookfarm_processes_started_total", service="api") == 2
    farm.stop()
    again = start(pipeline, chain)
    assert delivered(again) == 0


def delivered(farm: FarmProcess) -> float:
    return scrape(farm).total("webhook_delivery_attempts_total", outcome="2xx")


def _answers_anew(farm: FarmProcess, gone: int) -> bool:
    try:
        return farm.children()["api 0"].pid != gone and bool(scrape(farm).samples)
    except (KeyError, OSError, ValueError, psutil.Error):
        return False  # Not there yet, or does not listen yet.


def test_farms_that_share_a_redis_are_in_one_scrape_and_told_apart(pipeline: Pipeline, chain: Any) -> None:
    consumers = start(pipeline, chain, keys.WEBHOOK_DELIVERY, "api")
    alone = eventually(lambda: of_farms(consumers, 1), what="the first farm in a scrape")
    assert alone.values_of("webhook_delivery_retries_total", "host") == {socket.gethostname()}
    producer = start(pipeline, chain, keys.MESSAGE_PROCESSOR)
    both = eventually(lambda: of_farms(consumers, 2), what="both in one scrape")
    assert both.values_of("webhook_delivery_retries_total", "host") == {f"{socket.gethostname()}/{consumers.pid}"}
    assert both.values_of("message_processor_endpoints", "host") == {f"{socket.gethostname()}/{producer.pid}"}
    assert both.total("hookfarm_farms_silent") == 0


def of_farms(farm: FarmProcess, count: int) -> Scrape | None:
    """A scrape once it is of so many farms."""
    found = scrape(farm)
    return found if found.total("hookfarm_farms") == count else None


def test_without_redis_a_scrape_still_answers_and_says_so(
    pipeline: Pipeline, chain: Any, redis_server: Any
) -> None:
    farm = start(pipeline, chain)
    redis_server.kill()
    gone = scrape(farm)
    assert gone.total("hookfarm_redis_up") == 0
    assert gone.total("hookfarm_build_info") == 1
    redis_server.start()

    def back() -> bool:
        found = scrape(farm)
        return found.total("hookfarm_redis_up") == 1 and found.total("hookfarm_farms") == 1

    eventually(back, what="the farm's numbers being back")


def test_what_is_deployed_speaks_of_metrics_and_labels_that_exist(pipeline: Pipeline, chain: Any) -> None:
    farm = start(pipeline, chain)
    seen = eventually(lambda: with_one_more_block(farm, chain), what="all that is told of a chain")
    for where, expression, mentioned in [*alerts(), *panels()]:
        found = selectors(expression)
        assert found, f"{where}: {expression} speaks of nothing"
        for selector in found:
            assert selector.name in seen.samples, f"{where}: there is no {selector.name}"
            for label, operator, value in selector.matchers:
                known = seen.values_of(selector.name, label)
                assert operator in ("=", "!="), f"{where}: {operator} is not checked here"
                assert value in known, f"{where}: {selector.name} has no {label}={value}, but {known}"
        labels = {label for selector in found for label in seen.labels_of(selector.name)}
        groups = grouped_by(expression)
        assert groups <= labels, f"{where}: no {groups - labels} in {expression}"
        shown = groups or labels
        assert mentioned <= shown, f"{where}: {mentioned - shown} is not in the result of {expression}"


def with_one_more_block(farm: FarmProcess, chain: Any) -> Scrape | None:
    """A scrape, where it tells all that there is to tell of a chain that is followed: what a block costs, too."""
    chain.mine(1)
    seen = scrape(farm)
    told = {"event_ingestor_lag_seconds", "event_ingestor_rpc_requests_per_block"}
    return seen if told <= seen.samples.keys() else None


def alerts() -> Iterator[tuple[str, str, set[str]]]:
    """Name, expression, labels that its words mention."""
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            words = " ".join(rule["annotations"].values())
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert {"summary", "description", "runbook_url"} == set(rule["annotations"])
            yield rule["alert"], rule["expr"], set(re.findall(r"\$labels\.(\w+)", words))


def panels() -> Iterator[tuple[str, str, set[str]]]:
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], set(re.findall(r"{{(\w+)}}", target["legendFormat"]))


def test_prometheus_is_told_of_the_rules_that_are_there() -> None:
    settings = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    assert all((DEPLOY / Path(name)).exists() for name in settings["rule_files"])
    [job] = settings["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:8400"]}]
