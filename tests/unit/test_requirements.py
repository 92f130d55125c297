"""requirements-dev.lock and setup.cfg: each requirement is pinned within its bounds, with all that it requires."""

import configparser
import re
import sys
from importlib.metadata import PackageNotFoundError, requires
from urllib.parse import urlsplit

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import hookfarm
from tests.support.farm_processes import CHECKOUT

LOCK_FILE = CHECKOUT / "requirements-dev.lock"
LINES = [line for line in LOCK_FILE.read_text().splitlines() if not line.startswith("#")]
PINS = {name: Version(version) for name, version in (line.split("==") for line in LINES)}
SETUP = configparser.ConfigParser()
SETUP.read(CHECKOUT / "setup.cfg")
REQUIRED = [
    Requirement(line)
    for text in (SETUP["options"]["install_requires"], *SETUP["options.extras_require"].values())
    for line in text.split("\n")
    if line
]


@pytest.mark.parametrize("requirement", REQUIRED, ids=str)
def test_a_requirement_is_pinned_within_its_bounds(requirement: Requirement) -> None:
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("requirement", REQUIRED, ids=str)
def test_a_requirement_has_a_lower_bound(requirement: Requirement) -> None:
    assert ">=" in {specifier.operator for specifier in requirement.specifier}


def test_the_lock_file_has_a_name_and_a_version_a_line_in_order() -> None:
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", line) for line in LINES)
    assert sorted(PINS) == list(PINS)
    assert "://" not in LOCK_FILE.read_text()


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the lock file is for Python 3.11")
@pytest.mark.parametrize("name", PINS)
def test_a_pinned_package_has_its_requirements_pinned(name: str) -> None:
    try:
        needed = [Requirement(text) for text in requires(name) or ()]
    except PackageNotFoundError:
        pytest.skip(f"{name} is of an extra that is not installed")
    for requirement in needed:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            assert canonicalize_name(requirement.name) in PINS, f"bin/lock writes the file anew ({requirement})"


def test_the_lock_file_has_no_hookfarm() -> None:
    assert "hookfarm" not in PINS


def test_the_projects_addresses_are_those_of_the_repository() -> None:
    metadata = SETUP["metadata"]
    lines = [line.split(" = ") for line in metadata["project_urls"].split("\n") if line]
    addresses = dict(lines)
    assert {"Documentation", "Changelog", "Issues", "Security"} == set(addresses)
    for address in addresses.values():
        assert address.startswith(metadata["url"] + "/")
        path = urlsplit(address).path.partition("/main/")[2]
        assert (CHECKOUT / path).exists()


def test_the_versions_of_python_are_those_that_bin_finds() -> None:
    lowest = SETUP["options"]["python_requires"].removeprefix(">=")
    assert f"Programming Language :: Python :: {lowest}" in SETUP["metadata"]["classifiers"]
    assert f"python{lowest} " in (CHECKOUT / "bin" / "environment.sh").read_text()


def test_the_version_is_a_release_of_three_numbers() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", hookfarm.__version__)
