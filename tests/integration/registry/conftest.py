from typing import Any

import pytest

from hookfarm.registry.store import Registry


@pytest.fixture
def registry(client: Any) -> Registry:
    return Registry(client)
