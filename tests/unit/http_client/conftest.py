from collections.abc import Iterator

import pytest

from hookfarm.http_client.transport import Transport
from tests.support.leftovers import nothing_left_behind as nothing_left_behind
from tests.unit.http_client.posting import transporting


@pytest.fixture
def transport() -> Iterator[Transport]:
    with transporting() as made:
        yield made
