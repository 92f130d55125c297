"""The scripts, as files."""

import re
from importlib import resources

import pytest
import redis

from hookfarm.lua import Script, forgotten

NAMES = sorted(f.name.removesuffix(".lua") for f in (resources.files("hookfarm") / "scripts").iterdir())


def test_there_are_scripts() -> None:
    assert len(NAMES) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_a_script_documents_its_keys_and_arguments(name: str) -> None:
    comment, code = parts(name)
    keys, _, arguments = comment.partition("KEYS")[2].partition("ARGV")
    for kind, described in (("KEYS", keys), ("ARGV", arguments)):
        used = {int(n) for n in re.findall(rf"{kind}\[(\d+)\]", code)}
        numbered = {int(n) for n in re.findall(r"(?:^|\s)(\d+) ", described)}
        assert used <= numbered or "then" in described, kind


def parts(name: str) -> tuple[str, str]:
    """A script's comments and its code."""
    lines = Script(name).source.decode().splitlines()
    comments = [line for line in lines if line.startswith("--")]
    return "\n".join(comments), "\n".join(line for line in lines if line not in comments)


def test_only_a_forgotten_script_counts_as_forgotten() -> None:
    assert forgotten(redis.exceptions.NoScriptError("x"))
    assert not forgotten(redis.exceptions.ResponseError("x"))
    assert not forgotten(b"x")
    assert not forgotten(None)
