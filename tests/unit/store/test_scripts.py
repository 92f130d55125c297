"""The scripts, as files."""

import re
from importlib import resources

import pytest
import redis

from hookfarm.store import keys
from hookfarm.store.scripts import Script, is_noscript

SCRIPTS = resources.files("hookfarm.store") / "lua"
NAMES = sorted(f.name.removesuffix(".lua") for f in SCRIPTS.iterdir() if f.name.endswith(".lua"))


def test_there_are_scripts() -> None:
    assert len(NAMES) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_a_script_documents_its_keys_and_arguments(name: str) -> None:
    comment, code = parts((SCRIPTS / f"{name}.lua").read_text())
    for kind in ("KEYS", "ARGV"):
        used = {int(n) for n in re.findall(rf"{kind}\[(\d+)\]", code)}
        described = re.search(rf"{kind} (.*?)(?=\n-- (?:KEYS|ARGV|Returns)|\Z)", comment, re.DOTALL)
        assert described or kind not in code, kind
        text = described[1] if described else ""
        numbered = {int(n) for n in re.findall(r"(?:^|\s)(\d+) ", text)}
        assert used <= numbered or "then" in text or (kind == "ARGV" and text.startswith("ids")), kind


@pytest.mark.parametrize("name", NAMES)
def test_a_script_names_no_key_of_its_own(name: str) -> None:
    _, code = parts((SCRIPTS / f"{name}.lua").read_text())
    assert "delivery_queue" not in code
    assert "hookfarm:" not in code


def parts(source: str) -> tuple[str, str]:
    """A script's comments and its code."""
    lines = source.splitlines()
    comments = [line for line in lines if line.startswith("--")]
    return "\n".join(comments), "\n".join(line for line in lines if line not in comments)


def test_fixed_keys_and_shared_parts_are_put_in_front_of_a_script() -> None:
    first, *_ = Script("settle_delivered", "ledger", "log").source.decode().splitlines()
    assert first.startswith("local ")
    names, _, values = first.removeprefix("local ").partition(" = ")
    given = dict(zip(names.split(", "), values.split(", "), strict=True))
    assert given["OPEN"] == f"'{keys.OPEN}'"
    assert given["ATTEMPTS"] == f"'{keys.ATTEMPTS}'"
    assert "HOLDERS" not in given
    assert b"local function window_of" in Script("promote", "ledger").source
    assert b"local function window_of" not in Script("purge").source


def test_a_part_of_a_shared_part_comes_where_that_says_so() -> None:
    source = Script("promote", "ledger").source
    assert b"--@part" not in source
    places = [source.index(f"local function {name}(".encode()) for name in ("release", "draw", "finish")]
    assert places == sorted(places)


def test_only_a_forgotten_script_counts_as_forgotten() -> None:
    assert is_noscript(redis.exceptions.NoScriptError("x"))
    assert not is_noscript(redis.exceptions.ResponseError("x"))
    assert not is_noscript(b"x")
    assert not is_noscript(None)
