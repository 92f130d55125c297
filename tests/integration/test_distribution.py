"""The source archive and the wheel, built as RELEASING.md has it: what is in them, and what the wheel needs."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import hookfarm
from tests.support.farm_processes import CHECKOUT

SOURCES = ("hookfarm", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
NAME = f"hookfarm-{hookfarm.__version__}"
BUILD_SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


def run(*command: object, cwd: Path) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive of a copy of this checkout, so that no file of the build is left in it."""
    place = tmp_path_factory.mktemp("sdist")
    copy = place / "checkout"
    copy.mkdir()
    for name in SOURCES:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    run(sys.executable, "-c", BUILD_SDIST, place / "dist", cwd=copy)
    return place / "dist" / f"{NAME}.tar.gz"


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built from the source archive alone and without the network."""
    place = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(place, filter="data")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", place / "dist", place / NAME, cwd=place)
    with zipfile.ZipFile(place / "dist" / f"{NAME}-py3-none-any.whl") as opened:
        yield opened


def package_files() -> set[str]:
    """Every file of the package, as it is in the checkout."""
    files = (
        path for path in (CHECKOUT / "hookfarm").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    return {str(path.relative_to(CHECKOUT)) for path in files}


def metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(wheel.read(f"{NAME}.dist-info/METADATA").decode())


def test_the_source_archive_has_the_whole_package_and_its_license(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
    assert package_files() <= names
    assert {"LICENSE", "README.md", "setup.cfg", "pyproject.toml"} <= names


def test_the_wheel_has_exactly_the_files_of_the_package(wheel: zipfile.ZipFile) -> None:
    assert {name for name in wheel.namelist() if not name.startswith(f"{NAME}.dist-info/")} == package_files()


def test_the_wheel_has_type_hints_scripts_and_the_dashboard(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "hookfarm/py.typed" in names
    for ending in (".lua", ".html", ".js", ".css", ".svg"):
        assert any(name.endswith(ending) for name in names), ending


def test_the_wheel_names_its_license_its_addresses_and_its_keywords(wheel: zipfile.ZipFile) -> None:
    found = metadata(wheel)
    assert found["Version"] == hookfarm.__version__
    assert found["License-Expression"] or found["License"] == "Apache-2.0"
    assert any(name.endswith("LICENSE") for name in wheel.namelist())
    assert len(found.get_all("Project-URL", ())) >= 4
    assert "webhooks" in found["Keywords"].split(",")


def test_the_wheel_has_the_command(wheel: zipfile.ZipFile) -> None:
    entry_points = wheel.read(f"{NAME}.dist-info/entry_points.txt").decode()
    assert "hookfarm = hookfarm.cli.main:main" in entry_points


def test_the_wheel_requires_nothing_of_the_tests(wheel: zipfile.ZipFile) -> None:
    required = [Requirement(text) for text in metadata(wheel).get_all("Requires-Dist", ())]
    plain = {each.name for each in required if each.marker is None or each.marker.evaluate({"extra": ""})}
    assert {"redis", "web3", "click"} <= plain
    assert not {"pytest", "ruff", "mypy", "coverage", "opentelemetry-sdk"} & plain
