"""The scripts, as files."""

import re

import pytest
import redis

from hookfarm.store import keys
from hookfarm.store.scripts import SCRIPT_CONSTANTS, Script, assemble, in_order, is_noscript, read_source
from tests.support.lua_scripts import FILES, NAMES, PARTS, comments_and_code, listed

MAX_PART_LINES = 130


def words_of(code: str) -> set[str]:
    """The words of the code outside of its strings, fields of tables left out."""
    return set(re.findall(r"(?<![.\w])[A-Za-z_]\w*", re.sub(r"'[^']*'", "''", code)))


def defined_by(part: str) -> set[str]:
    """The names that a shared part gives to those that require it."""
    _, code = comments_and_code(read_source(f"shared/{part}"))
    functions = re.findall(r"^local function (\w+)", code, re.MULTILINE)
    variables = re.findall(r"^local ([a-zA-Z_, ]+?)(?: =|$)", code, re.MULTILINE)
    return {*functions, *(name for each in variables for name in each.split(", "))}


def test_there_are_scripts_and_parts() -> None:
    assert len(NAMES) >= 8
    assert len(PARTS) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_a_script_documents_its_keys_and_arguments(name: str) -> None:
    comment, code = comments_and_code(read_source(name))
    for kind in ("KEYS", "ARGV"):
        used = {int(n) for n in re.findall(rf"{kind}\[(\d+)\]", code)}
        described = re.search(rf"{kind} (.*?)(?=\n-- (?:KEYS|ARGV|Returns)|\Z)", comment, re.DOTALL)
        assert described or kind not in code, kind
        text = described[1] if described else ""
        numbered = {int(n) for n in re.findall(r"(?:^|\s)(\d+) ", text)}
        assert used <= numbered or "then" in text or (kind == "ARGV" and text.startswith("ids")), kind
    assert "-- Returns " in comment


@pytest.mark.parametrize("name", NAMES)
def test_a_script_returns_words_that_it_documents(name: str) -> None:
    comment, code = comments_and_code(read_source(name))
    returned = {word for line in re.findall(r"^(?:  )*return (.*)$", code, re.MULTILINE) for word in quoted(line)}
    assert returned - {"^%S+"} <= set(re.findall(r"[a-z_]+", comment))
    assert not re.search(r"^return (flush\()?[01]\b", code, re.MULTILINE), "a number that stands for a word"


def quoted(line: str) -> list[str]:
    return re.findall(r"'([a-z_]+)'", line) if not re.search(r"redis\.|string\.|format", line) else []


@pytest.mark.parametrize("name", FILES)
def test_a_file_requires_exactly_the_parts_that_it_uses(name: str) -> None:
    source = read_source(name)
    _, code = comments_and_code(source)
    used = words_of(code) - set(re.findall(r"^local function (\w+)", code, re.MULTILINE))
    needed = {part for part in PARTS if name != f"shared/{part}" and used & defined_by(part)}
    required = [*listed("requires", source), *listed("requires from here", source)]
    assert len(required) == len(set(required))
    assert set(required) == needed


@pytest.mark.parametrize("name", FILES)
def test_a_file_lists_exactly_the_constants_that_it_uses(name: str) -> None:
    source = read_source(name)
    _, code = comments_and_code(source)
    constants = listed("constants", source)
    assert constants == sorted(constants)
    assert set(constants) == words_of(code) & set(SCRIPT_CONSTANTS)


@pytest.mark.parametrize("name", FILES)
def test_a_file_names_no_key_of_its_own(name: str) -> None:
    _, code = comments_and_code(read_source(name))
    assert "delivery_queue" not in code
    assert "hookfarm:" not in code


@pytest.mark.parametrize("name", NAMES)
def test_a_script_that_uses_a_window_or_a_sequence_saves_both(name: str) -> None:
    source = read_source(name)
    required = {*listed("requires", source), *listed("requires from here", source)}
    if {"window", "admission"} & required:
        assert "flush" in required
    elif "sequence" in required:
        assert "save_sequence()" in source


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_short_and_defines_no_name_of_another(part: str) -> None:
    assert len(read_source(f"shared/{part}").splitlines()) <= MAX_PART_LINES
    assert not [other for other in PARTS if other != part and defined_by(part) & defined_by(other)]


def test_parts_come_once_and_behind_those_that_they_require() -> None:
    order = in_order(["flush", "state_index"])
    assert len(order) == len(set(order))
    for part in order:
        required = listed("requires", read_source(f"shared/{part}"))
        assert all(order.index(each) < order.index(part) for each in required), part


def test_a_script_has_its_constants_and_parts_in_front() -> None:
    source = assemble("settle")
    assert f"local OPEN = '{keys.OPEN}'\n" in source
    assert f"local ATTEMPTS = '{keys.ATTEMPTS}'\n" in source, "which a part uses"
    assert "HELD_BY_FARM" not in source
    assert source.count("local function window_of") == 1
    assert "local function window_of" not in assemble("purge")


def test_a_fast_path_comes_before_all_but_the_parts_that_it_uses() -> None:
    source = assemble("settle")
    texts = ("local function log_attempts", "return results", "'TIME'", "local function flush")
    places = [source.index(text) for text in texts]
    assert places == sorted(places)
    assert "-- requires from here" not in source


def test_only_a_server_that_does_not_know_a_script_says_noscript() -> None:
    assert is_noscript(redis.exceptions.NoScriptError("x"))
    assert not is_noscript(redis.exceptions.ResponseError("x"))
    assert not is_noscript(b"x")
    assert not is_noscript(None)


def test_a_script_has_the_hash_of_its_source() -> None:
    script = Script("purge")
    assert script.source == assemble("purge").encode()
    assert len(script.sha) == 40
