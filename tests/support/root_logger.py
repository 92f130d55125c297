"""For tests that configure logging: import the fixture into their module."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def root_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
