"""Settings and Redis of a command."""

from pathlib import Path

import pytest

from hookfarm import config
from hookfarm.cli.options import connected
from hookfarm.errors import OperatorError


def test_without_a_farm_the_error_names_the_options_that_select_one(tmp_path: Path) -> None:
    given = config.load({"state_dir": tmp_path}, environment={})
    expected = f"^no farm is running in {tmp_path}; .*--state-dir or --redis-url$"
    with pytest.raises(OperatorError, match=expected), connected(given) as client:
        client.ping()
