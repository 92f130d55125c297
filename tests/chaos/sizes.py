"""Each storm in two sizes: a short one for every run of the tests, a full one for `--chaos`."""

from collections.abc import Callable
from typing import Any

import pytest


def sizes(short: object, full: object) -> Callable[[Any], Any]:
    """Gives the test its `size`."""
    values = [pytest.param(short, id="short"), pytest.param(full, id="full", marks=pytest.mark.chaos)]
    return pytest.mark.parametrize("size", values)
