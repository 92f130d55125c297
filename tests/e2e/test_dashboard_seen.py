"""What the dashboard shows of a chain's nodes and of backfills, in a real browser over a real farm."""

import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.event_stream import Checkpoint
from hookfarm.store import keys
from hookfarm.store.clients import command_client
from tests.support.browser import NARROW, faint_texts, open_page, running_chromium
from tests.support.commands import RunningCommand, running_command
from tests.support.farm_processes import FarmProcess
from tests.support.pipeline import Pipeline, backfill_arguments
from tests.support.waiting import eventually

CHAIN_ID = 1352
BLOCKS = 3000
PATIENCE_SECONDS = 60.0
REST_SECONDS = 600
"""So long that a node that rests is not seen doing anything else."""
EXCESS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_chromium() as running:
        yield running


@pytest.fixture
def chain() -> Iterator[RunningDevchain]:
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=1) as running:
        yield running


def address(farm: FarmProcess) -> str:
    """Of its dashboard, as `start` prints it."""

    def found() -> str:
        address = re.search(r"http://\S+/#token=\S+(?=\n)", farm.stdout)
        return address[0] if address else ""

    return eventually(found, PATIENCE_SECONDS, "the address of the dashboard")


def until(page: Any, selector: str, words: str) -> None:
    """Wait until an element contains a text."""
    page.locator(selector, has_text=words).first.wait_for(timeout=1000 * PATIENCE_SECONDS)


def test_a_node_that_is_left_alone_says_why_under_its_chain(
    browser: Any, pipeline: Pipeline, chain: RunningDevchain
) -> None:
    with chain.peer() as limited:
        urls = f"{limited.http_url}/v3/canary,{chain.ws_url}"
        farm = pipeline.start("--chain", f"{CHAIN_ID}={urls}", "--workers", "2")
        with open_page(browser, address(farm)) as page:
            until(page, ".chains button", "2 of 2")
            limited.set_fault("http_status", status=429, retry_after=REST_SECONDS)
            chain.mine(1)
            until(page, ".chains button", "1 of 2")
            button = page.locator(".chains button")
            assert not page.locator(".nodes").is_visible()
            assert "cooldown" in button.get_attribute("title")
            button.click()
            until(page, ".nodes li", f"cooldown{limited.http_url}")
            until(page, ".nodes small", "HTTP 429")
            until(page, ".nodes small", "retry in")
            until(page, ".nodes li", f"active{chain.ws_url}")
            assert button.get_attribute("aria-expanded") == "true"
            assert faint_texts(page) == []
            assert "canary" not in page.content()
            chain.mine(2)
            page.locator(".chains td.number span:text-is('3')").first.wait_for()
            assert page.locator(".nodes").is_visible(), "it stays open while its figures change"
            button.press("Enter")
            page.locator(".nodes").wait_for(state="hidden")


def watched(pipeline: Pipeline, chain: RunningDevchain) -> FarmProcess:
    """A farm that has published the chain up to its head."""
    farm = pipeline.start("--chain", f"{CHAIN_ID}={chain.ws_url}", "--workers", "2")
    wanted = Checkpoint(chain.head().number, chain.head().hash).encode().encode()
    with command_client(pipeline.redis_url) as client:
        eventually(lambda: client.get(keys.checkpoint(CHAIN_ID)) == wanted, PATIENCE_SECONDS, "the checkpoint")
        heads = keys.heads(CHAIN_ID)
        eventually(lambda: client.hexists(heads, "finalized"), PATIENCE_SECONDS, "what is final")
    return farm


def test_a_backfill_is_seen_while_it_runs_and_when_it_was_killed(
    browser: Any, pipeline: Pipeline, chain: RunningDevchain
) -> None:
    chain.mine(BLOCKS)
    farm = watched(pipeline, chain)
    endpoint = pipeline.add_endpoint(CHAIN_ID)["id"]
    with chain.peer() as slow, open_page(browser, address(farm)) as page:
        slow.set_fault("refused_ranges", blocks=4)
        slow.set_fault("latency", method="eth_getLogs", milliseconds=600)
        page.locator(".link-state.live").wait_for()
        assert not page.locator(".overview .backfills").is_visible()
        assert not page.locator(".held .backfill").is_visible()
        with running_command(*backfill_arguments(pipeline, endpoint, slow, "--from-block", "1")) as command:
            shown = ".overview .backfills li"
            until(page, f"{shown} .pill.good", "running")
            until(page, shown, endpoint)
            until(page, shown, f"of {BLOCKS:,} blocks")
            eventually(
                lambda: re.search(r"[0-9.]+ blocks/s · .+ left", page.locator(shown).inner_text()),
                PATIENCE_SECONDS,
                "its speed",
            )
            page.locator(".held .backfill").wait_for()
            page.locator(shown).get_by_role("link").click()
            see_it_at_its_endpoint(page, pipeline, command)


def see_it_at_its_endpoint(page: Any, pipeline: Pipeline, command: RunningCommand) -> None:
    page.get_by_role("button", name=pipeline.receiver.url).click()
    shown = "dialog .backfills li"
    until(page, f"{shown} .pill.good", "running")
    assert command.process.poll() is None, command.stderr
    command.process.send_signal(signal.SIGKILL)
    command.wait()
    until(page, f"{shown} .pill.warn", "stopped")
    until(page, shown, "no heartbeat for")
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.set_viewport_size(NARROW)
    page.get_by_role("navigation").get_by_role("link", name="Overview").click()
    until(page, ".overview .backfills .pill.warn", "stopped")
    eventually(lambda: page.evaluate(EXCESS) <= 0, what="the overview fitting the screen")
    assert faint_texts(page) == []
