"""deploy/: what can be said of it without a running farm."""

import re
import shlex
from pathlib import Path

from hookfarm.cli.start import start
from hookfarm.deliveries.filters import TRANSPORT_ERRORS

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_the_unit_starts_a_farm_with_options_that_exist() -> None:
    unit = (DEPLOY / "hookfarm.service").read_text()
    found = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert found
    program, command, *arguments = shlex.split(found[1])
    assert (Path(program).name, command) == ("hookfarm", start.name)
    known = {option for parameter in start.params for option in parameter.opts}
    assert {argument for argument in arguments if argument.startswith("--")} <= known


def test_the_words_for_errors_in_the_readme_are_those_in_the_log() -> None:
    text = (DEPLOY / "README.md").read_text()
    assert all(f"`{word}`" in text for word in TRANSPORT_ERRORS)
