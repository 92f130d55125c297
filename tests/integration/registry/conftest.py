from typing import Any

import pytest

from hookfarm.registry.registry import Registry


@pytest.fixture
def registry(client: Any) -> Registry:
    return Registry(client)
