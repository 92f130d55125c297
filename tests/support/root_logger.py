"""Fixture for tests that configure logging; import it into their module."""

import logging
import threading
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def root_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, crashes = root.handlers[:], root.level, threading.excepthook
    yield
    threading.excepthook = crashes
    root.handlers[:] = handlers
    root.setLevel(level)
