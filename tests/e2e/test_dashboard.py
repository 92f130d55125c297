"""The dashboard as its user has it: a farm, a chain, a receiver, and a real browser."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from tests.support.browser import NARROW, WIDE, faint_texts, open_page, running_chromium
from tests.support.farm_processes import FarmProcess, started_farms
from tests.support.pipeline import LOOPBACK, TRANSFER, Pipeline, chain_option
from tests.support.receivers import Reply, running_receiver
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

CHAIN_ID = 1350
LOGS = 4
EXCESS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
NOTHING_SO_FAR = {"data": [], "next_cursor": "further"}
PATIENCE_SECONDS = 60.0
"""Probes of an open circuit are seconds apart."""


@dataclass
class Shown:
    """A farm and the address of its dashboard."""

    pipeline: Pipeline
    chain: RunningDevchain
    farm: FarmProcess

    @property
    def address(self) -> str:
        """As `start` prints it, with the token."""
        return eventually(self._address, PATIENCE_SECONDS, "the address of the dashboard")

    def _address(self) -> str:
        found = re.search(r"http://\S+/#token=\S+(?=\n)", self.farm.stdout)
        return found[0] if found else ""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_chromium() as running:
        yield running


@contextlib.contextmanager
def running_farm(redis_url: str) -> Iterator[Shown]:
    with (
        started_farms() as start_farm,
        running_receiver() as receiver,
        running_devchain(chain_id=CHAIN_ID, logs_per_block=LOGS) as chain,
    ):
        farm = start_farm(
            *("--api", "127.0.0.1:0", "--workers", "4", *chain_option(CHAIN_ID, chain.ws_url)),
            redis_url=redis_url,
            HOOKFARM_ALLOW_PRIVATE=LOOPBACK,
            HOOKFARM_RETRY_SCHEDULE="200ms",
        )
        yield Shown(Pipeline(start_farm, redis_url, receiver), chain, farm.wait_ready(PATIENCE_SECONDS))


@pytest.fixture
def shown(browser: Any, redis_url: str) -> Iterator[Shown]:
    """A farm of this test's own."""
    with running_farm(redis_url) as running:
        yield running


@pytest.fixture(scope="module")
def shared_farm(browser: Any) -> Iterator[Shown]:
    """A farm for those that only look at it: an endpoint that was sent to."""
    with running_redis() as server, running_farm(server.url) as running:
        running.pipeline.add_endpoint(CHAIN_ID)
        running.chain.mine(1)
        running.pipeline.receiver.wait_for(LOGS, PATIENCE_SECONDS)
        yield running


def go(page: Any, name: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=name).click()
    page.get_by_role("heading", name=name, exact=True).wait_for(state="attached")


def wait_for(page: Any, selector: str, count: int = 1, within: float = PATIENCE_SECONDS) -> None:
    """Until so many of these are there, or more."""
    eventually(lambda: page.locator(selector).count() >= count, within, f"{count} of {selector!r}")


def add_endpoint(page: Any, url: str) -> str:
    """Through the form; its secret."""
    go(page, "Endpoints")
    page.get_by_role("button", name="Add", exact=False).first.click()
    page.get_by_label("URL", exact=True).fill(url)
    page.get_by_label("Event", exact=True).fill(TRANSFER)
    page.get_by_role("dialog").get_by_role("button", name="Add endpoint").click()
    page.get_by_text("Signing secret").wait_for()
    return str(page.locator(".secret code").inner_text())


def test_from_the_first_endpoint_over_a_broken_receiver_to_the_last_redrive(browser: Any, shown: Shown) -> None:
    receiver, chain = shown.pipeline.receiver, shown.chain
    with open_page(browser, shown.address) as page:
        page.locator(".link-state.live").wait_for()
        assert "token" not in page.url
        receiver.trust(add_endpoint(page, receiver.url))
        page.get_by_role("button", name="Send a test").click()
        page.locator(".reply .pill.good", has_text="HTTP 200").wait_for()
        assert receiver.wait_for(1, PATIENCE_SECONDS)[0].signature_valid
        page.get_by_role("button", name="Done").click()

        go(page, "Deliveries")
        page.get_by_text("No attempts yet.").wait_for()
        chain.mine(2)
        wait_for(page, "td .pill.good:text-is('HTTP 200')", 2 * LOGS)

        receiver.default = Reply(500, body=b"out of order")
        chain.mine(2)
        wait_for(page, "td .pill.bad:text-is('HTTP 500')")
        page.locator("tr", has=page.locator("td .pill.bad")).first.locator(".row-link").click()
        page.get_by_text("out of order").first.wait_for()
        page.keyboard.press("Escape")
        go(page, "Endpoints")
        page.locator("td .pill.bad", has_text="circuit open").wait_for(timeout=1000 * PATIENCE_SECONDS)
        go(page, "Overview")
        page.locator(".census .bad b", has_text="1").wait_for()
        go(page, "Dead letters")
        wait_for(page, "td:text-is('exhausted'), td span:text-is('exhausted')")

        receiver.default = Reply(200)
        go(page, "Endpoints")
        page.locator("td .pill.good", has_text="enabled").wait_for(timeout=1000 * PATIENCE_SECONDS)
        go(page, "Dead letters")
        redrive_everything(page)
        answered = eventually(lambda: delivered(shown, 4 * LOGS), PATIENCE_SECONDS, "every delivery being made")
        assert all(message.signature_valid for message in receiver.received)
        go(page, "Deliveries")
        page.get_by_label("Result").select_option("delivered")
        wait_for(page, "td .pill.good:text-is('HTTP 200')", len(answered))


def redrive_everything(page: Any) -> None:
    """As often as something dies of what it had been through before."""

    def empty() -> bool:
        if page.get_by_text("No dead letters.").is_visible():
            return True
        page.get_by_role("button", name="Redrive all").click()
        page.get_by_role("dialog").get_by_role("button", name="Redrive").click()
        page.locator(".toast", has_text="redriven").last.wait_for()
        page.wait_for_timeout(500)
        return False

    eventually(empty, PATIENCE_SECONDS, "no dead letter being left")


def delivered(shown: Shown, count: int) -> set[str]:
    """The ids of jobs that are settled, once they are `count`."""
    with shown.farm.client() as client:
        done = {name.decode() for name in client.hkeys("{delivery_queue}:delivered")}
        return done if len(done) >= count and client.hlen("{delivery_queue}:jobs") == len(done) else set()


def test_a_delivery_can_be_sent_again_from_its_detail(browser: Any, shared_farm: Shown) -> None:
    receiver = shared_farm.pipeline.receiver
    first, before = receiver.received[0], len(receiver.received)
    with open_page(browser, shared_farm.address) as page:
        page.locator(".link-state.live").wait_for()
        go(page, "Deliveries")
        page.get_by_role("button", name=first.id).click()
        page.get_by_role("button", name="Redeliver").click()
        page.get_by_text("Queued again under the same id.").wait_for()
        again = receiver.wait_for(before + 1, PATIENCE_SECONDS)[-1]
        assert (again.id, again.attempt, again.signature_valid) == (first.id, 2, True)
        page.locator(".attempts li").first.wait_for()


def test_an_error_is_shown_at_its_field(browser: Any, shared_farm: Shown) -> None:
    with open_page(browser, shared_farm.address) as page:
        go(page, "Endpoints")
        page.get_by_role("button", name="Add endpoint").click()
        form = page.get_by_role("dialog")
        for label, wrong, words in (
            ("URL", "https://10.0.0.1/", "10.0.0.1"),
            ("Event", "Transfer(address indexed", "position 25"),
            ("Where", "value > many", "column 9"),
            ("Contracts", "0x12", "[0]: "),
            ("Confirmations", "-1", "whole number"),
            ("Max in flight", "0", "whole number"),
        ):
            field = form.get_by_label(label, exact=True)
            form.get_by_label("URL", exact=True).fill(shared_farm.pipeline.receiver.url)
            form.get_by_label("Event", exact=True).fill(TRANSFER)
            page.evaluate("document.querySelector('form details').open = true")
            field.fill(wrong)
            form.get_by_role("button", name="Add endpoint").click()
            form.locator(".field", has=page.locator("[aria-invalid=true]")).get_by_text(words).wait_for()
            assert field.get_attribute("aria-invalid") == "true"
            assert page.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
            field.fill("")


def test_without_a_connection_it_says_since_when_and_greys_its_figures(browser: Any, shown: Shown) -> None:
    with open_page(browser, shown.address) as page:
        page.locator(".link-state.live").wait_for()
        assert page.locator("body[data-stale]").count() == 0
        shown.farm.stop()
        page.get_by_text(re.compile(r"No connection since \d\d:\d\d:\d\d")).wait_for()
        page.locator("body[data-stale] .overview").wait_for()


def test_without_redis_it_says_so_and_is_live_again_when_that_is_back(
    browser: Any, shown: Shown, redis_server: Any
) -> None:
    with open_page(browser, shown.address) as page:
        page.locator(".link-state.live").wait_for()
        redis_server.kill()
        page.get_by_text(re.compile("No data since .* Redis is unavailable")).wait_for()
        redis_server.start()
        page.locator(".link-state.live").wait_for(timeout=1000 * PATIENCE_SECONDS)
        eventually(
            lambda: page.locator("body[data-stale]").count() == 0, PATIENCE_SECONDS, "figures that are live again"
        )


def test_a_token_is_asked_for_once_and_a_wrong_one_refused(browser: Any, shared_farm: Shown) -> None:
    address, _, token = shared_farm.address.partition("#token=")
    with open_page(browser, address) as page:
        page.get_by_label("API token").fill("x" * 32)
        page.get_by_role("button", name="Open the dashboard").click()
        page.get_by_text("Invalid token.").wait_for()
        page.get_by_label("API token").fill(token)
        page.get_by_role("button", name="Open the dashboard").click()
        page.locator(".link-state.live").wait_for()
        page.reload()
        page.locator(".link-state.live").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("API token").wait_for()
        assert page.evaluate("Object.keys(sessionStorage).length + document.cookie.length") == 0


def test_an_address_with_a_token_signs_an_open_page_in(browser: Any, shared_farm: Shown) -> None:
    address, _, token = shared_farm.address.partition("#")
    with open_page(browser, address) as page:
        page.get_by_label("API token").wait_for()
        page.evaluate("token => { location.hash = token }", token)
        page.locator(".link-state.live").wait_for()
        assert "token" not in page.url


def test_a_list_that_is_looked_through_further_shows_it(browser: Any, shared_farm: Shown) -> None:
    held: list[Any] = []
    with open_page(browser, shared_farm.address) as page:
        page.route("**/v1/endpoints?q=rare&limit=50", lambda route: route.fulfill(json=NOTHING_SO_FAR))
        page.route("**/v1/endpoints?*cursor=further*", lambda route: held.append(route))
        go(page, "Endpoints")
        page.get_by_label("Search endpoints").fill("rare")
        page.get_by_text("Searching …").wait_for()
        held[0].fulfill(json={"data": [], "next_cursor": None})
        page.get_by_text("No endpoints match.").wait_for()
        page.get_by_text("Searching …").wait_for(state="detached")


def test_keys_alone_are_enough(browser: Any, shared_farm: Shown) -> None:
    url = shared_farm.pipeline.receiver.url
    with open_page(browser, shared_farm.address) as page:
        page.locator(".link-state.live").wait_for()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        go(page, "Endpoints")
        page.get_by_role("button", name=url).focus()
        page.keyboard.press("Enter")
        page.get_by_role("dialog").get_by_text("1 subscription").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
        assert page.evaluate("document.activeElement.textContent") == url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [WIDE, NARROW], ids=["wide", "narrow"])
def test_it_fits_its_screen_and_its_words_can_be_read(
    browser: Any, shared_farm: Shown, scheme: str, screen: dict[str, int]
) -> None:
    with open_page(browser, shared_farm.address, viewport=screen, color_scheme=scheme) as page:
        page.locator(".link-state.live").wait_for()
        for name in ("Overview", "Endpoints", "Deliveries", "Dead letters"):
            go(page, name)
            eventually(lambda: page.evaluate(EXCESS) <= 0, what=f"{name} fitting the screen")
            assert faint_texts(page) == [], name
