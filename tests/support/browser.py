"""A real browser for tests: headless Chromium, driven over its own protocol."""

import contextlib
import importlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "HOOKFARM_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_SECONDS = 20.0
"""Deadline for a farm and a browser on two slow cores."""
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 400, "height": 860}


def chromium_binary() -> Path | None:
    """Return the path of Chromium: from HOOKFARM_CHROMIUM, else from PATH. None if missing."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


def require_chromium() -> Path:
    """Return the binary; if missing, skip the test, or fail it where CI promises one."""
    binary = chromium_binary()
    if binary is not None and binary.is_file():
        return binary
    reason = f"Chromium not found: run bin/test as root on Debian, install it, or set {VARIABLE}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def running_chromium() -> Iterator[Any]:
    """Run a browser with a new profile during the context. Calls `require_chromium`."""
    binary = require_chromium()
    driving = importlib.import_module("playwright.sync_api")
    with driving.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(binary), args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def open_page(browser: Any, url: str, **options: Any) -> Iterator[Any]:
    """Open a page in a new tab. Its exceptions, error logs and requests to other origins fail the test."""
    context = browser.new_context(**{"viewport": WIDE, **options})
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"thrown: {error}"))
    page.on("console", lambda message: complaints.append(_said(message)))
    origin = url.split("#")[0].rstrip("/")
    page.on("request", lambda request: complaints.append(_foreign(request.url, origin)))
    try:
        page.goto(url)
        yield page
    finally:
        context.close()
    assert not list(filter(None, complaints)), list(filter(None, complaints))


def _said(message: Any) -> str:
    """Return the text of an error log; empty for failed requests, which Chromium logs itself."""
    if message.type != "error" or "Failed to load resource" in message.text or "net::ERR" in message.text:
        return ""
    return f"logged: {message.text}"


def _foreign(url: str, origin: str) -> str:
    return "" if url.startswith((f"{origin}/", "data:", "blob:")) else f"request to another origin: {url}"


def faint_texts(page: Any) -> list[str]:
    """Return texts with a low contrast, each with its contrast."""
    found: list[str] = page.evaluate(Path(__file__).with_name("faint_texts.js").read_text())
    return found
