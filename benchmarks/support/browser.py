"""A page in headless Chromium, and its cost; needs playwright."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDTH, HEIGHT = 1440, 900
_SCRIPT = Path(__file__).with_name("fluidity.js")


class Page:
    """A page, measured from within (fluidity.js) and by the browser."""

    def __init__(self, page: Any, session: Any) -> None:
        self._page = page
        self._session = session
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.evaluate(_SCRIPT.read_text())

    def watch(self, seconds: float) -> dict[str, float]:
        """Return frames and tasks of the page during `seconds` without input, and its thread's share of a core."""
        self._page.evaluate("fluidity.begin()")
        before = self.metrics()
        self._page.wait_for_timeout(seconds * 1000)
        found: dict[str, float] = self._page.evaluate("fluidity.end()")
        found["busy_share"] = (self.metrics()["TaskDuration"] - before["TaskDuration"]) / found["seconds"]
        return {name: round(value, 3) for name, value in found.items()}

    def act(self, selector: str, value: str | None = None, asked: str = "", shown: str = "") -> float:
        """Click, or enter a value; return the ms until the result is painted."""
        took: float = self._page.evaluate("given => fluidity.act(...given)", [selector, value, asked, shown])
        return took

    def count(self, selector: str) -> int:
        return int(self._page.locator(selector).count())

    def press(self, key: str) -> None:
        self._page.keyboard.press(key)

    def memory(self) -> dict[str, float]:
        """Collect garbage; return MB of the script's heap and the numbers of nodes and listeners."""
        self._session.send("HeapProfiler.collectGarbage")
        found = self.metrics()
        return {
            "heap_mb": round(found["JSHeapUsedSize"] / 1e6, 2),
            "nodes": found["Nodes"],
            "listeners": found["JSEventListeners"],
        }

    def metrics(self) -> dict[str, float]:
        told = self._session.send("Performance.getMetrics")["metrics"]
        return {one["name"]: one["value"] for one in told}


def find_chromium() -> Path | None:
    """Return the path in HOOKFARM_CHROMIUM, else that of Chromium on PATH, else None."""
    found = os.environ.get("HOOKFARM_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


@contextlib.contextmanager
def open_page(chromium: Path, url: str, ready: str) -> Iterator[Page]:
    """Open a page in a new browser and wait for the selector `ready`. Raises RuntimeError if the page threw."""
    from playwright.sync_api import sync_playwright

    thrown: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(chromium), args=list(OPTIONS))
        try:
            context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
            page = context.new_page()
            page.on("pageerror", lambda error: thrown.append(str(error)))
            page.goto(url)
            page.locator(ready).wait_for()
            yield Page(page, context.new_cdp_session(page))
        finally:
            browser.close()
    if thrown:
        raise RuntimeError(f"the page threw {thrown}")
