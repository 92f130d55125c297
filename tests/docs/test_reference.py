"""docs/reference/: the pages equal what the code makes, and their examples are right."""

import json
import re
import tomllib
from pathlib import Path

import generate
import pytest
from generators import log_lines, log_meanings, metrics, settings, where
from generators.markdown import duration, plain, sentence, table

from hookfarm import config
from hookfarm.abi import signature
from hookfarm.abi.abi_types import EventSignature
from hookfarm.conditions import grammar
from hookfarm.errors import InvalidInput
from hookfarm.records.events import parse_event
from tests.support.farm_processes import CHECKOUT

REFERENCE = CHECKOUT / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text()


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page(name), re.DOTALL | re.MULTILINE)


def test_the_committed_pages_are_those_that_the_code_makes(capsys: pytest.CaptureFixture[str]) -> None:
    status = generate.main(["--check"])
    assert (status, capsys.readouterr().out) == (0, "")


def test_files_that_differ_are_found_and_written_again(tmp_path: Path) -> None:
    wanted = {"new.md": "new", "changed.md": "now", "same.md": "as ever", "schemas/new.json": "{}"}
    mark = generate.NOTE.format("old")
    for name, text in {
        "changed.md": "before",
        "same.md": "as ever",
        "old.md": mark,
        "by-hand.md": "# By hand",
    }.items():
        (tmp_path / name).write_text(text)
    assert generate.differences(tmp_path, wanted) == ["changed.md", "new.md", "old.md", "schemas/new.json"]
    generate.write(tmp_path, wanted)
    assert generate.differences(tmp_path, wanted) == []
    assert (tmp_path / "schemas" / "new.json").read_text() == "{}"
    assert (tmp_path / "by-hand.md").exists()


def test_each_setting_is_accepted_as_its_example_in_toml(tmp_path: Path) -> None:
    found = re.findall(r"^\| TOML \| `(.+)` \|$", page("settings"), re.MULTILINE)
    certificates = tmp_path / "private-ca.pem"
    certificates.touch()
    text = "\n".join(found).replace("/etc/ssl/private-ca.pem", str(certificates))
    (tmp_path / "hookfarm.toml").write_text(text)
    assert list(tomllib.loads(text)) == [setting.name for setting in config.SETTINGS]
    config.load({}, {}, tmp_path / "hookfarm.toml")


def test_each_block_of_settings_is_a_valid_file(tmp_path: Path) -> None:
    [text] = blocks("settings", "toml")
    (tmp_path / "hookfarm.toml").write_text(text)
    assert [each.chain_id for each in config.load({}, {}, tmp_path / "hookfarm.toml").chains] == [1, 8453]


def test_each_default_in_the_page_is_the_default() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", page("settings"), re.DOTALL | re.MULTILINE))
    cells = {
        name: re.findall(r"^\| Default \| (.+) \|$", text, re.MULTILINE)[0] for name, text in sections.items()
    }
    assert list(cells) == [setting.name for setting in config.SETTINGS]
    given = {
        name: cell.strip("`")
        for name, cell in cells.items()
        if cell != "none" and name not in ("state_dir", "ingestors")
    }
    assert config.load(given, {}) == config.load({}, {})


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [(1, config.MAX_WORKERS, "workers"), (1, config.MAX_CONCURRENCY, "concurrency"), (0, 2**53, "from_block")],
)
def test_bounds_of_a_setting_are_those_of_its_parser(low: int, high: int, name: str) -> None:
    [setting] = [each for each in config.SETTINGS if each.name == name]
    assert settings.allowed(setting.parse) == f"a whole number from {low} to {high}"
    for refused in (low - 1, high + 1):
        with pytest.raises(ValueError, match="out of range"):
            setting.parse(refused)


def test_variables_in_the_page_are_read_by_the_code() -> None:
    code = "\n".join(path.read_text() for path in (CHECKOUT / "hookfarm" / "config").glob("*.py"))
    other = page("settings").partition("## Other variables")[2]
    assert all(f'"{name}"' in code for name in re.findall(r"`([A-Z_]{5,})`", other))


@pytest.mark.parametrize(("condition", "event", "_meaning"), where.EXAMPLES)
def test_each_example_of_a_condition_compiles(condition: str, event: str, _meaning: str) -> None:
    assert f"`{condition}`" in page("where")
    grammar.parse(condition, signature.parse(event))


@pytest.mark.parametrize(("condition", "event"), where.MISTAKES)
def test_each_mistake_is_one(condition: str, event: str) -> None:
    with pytest.raises(InvalidInput):
        grammar.parse(condition, signature.parse(event))


TYPES = signature.parse(
    "E(uint8 n, int8 i, address a, bool b, bytes2 f, bytes d, string s, uint8[] l, string indexed h)"
)
LITERALS = {
    "n": "1",
    "i": "-1",
    "a": f"0x{'11' * 20}",
    "b": "true",
    "f": "0x0102",
    "d": "0x01",
    "s": '"x"',
    "h": '"x"',
}


@pytest.mark.parametrize("name", LITERALS)
def test_each_type_takes_the_operators_of_the_page(name: str) -> None:
    literal = LITERALS[name]
    for operator in ("==", "!="):
        assert_valid(f"{name} {operator} {literal}", TYPES)
    for operator in ("in", "not in"):
        assert_valid(f"{name} {operator} ({literal})", TYPES)
    for operator in ("<", "<=", ">", ">="):
        assert_valid(f"{name} {operator} {literal}", TYPES, valid=name in "ni")
    assert_valid(name, TYPES, valid=name == "b")
    assert_valid(f"length({name}) > 0", TYPES, valid=name in "ds")


def assert_valid(condition: str, event: EventSignature, valid: bool = True) -> None:
    try:
        grammar.parse(condition, event)
        is_valid = True
    except InvalidInput:
        is_valid = False
    assert is_valid == valid, condition


def test_every_log_line_has_a_meaning() -> None:
    assert [line for line in log_lines.lines() if not log_lines.meaning(line)] == []


def test_no_log_line_has_a_meaning_that_the_code_does_not_write() -> None:
    actions = {line.action for line in log_lines.lines()}
    assert {action for action, _ in log_meanings.MEANINGS} <= actions


def test_every_metric_of_the_page_has_a_type_and_a_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.+) \|$", page("metrics"), re.MULTILINE)
    assert len(rows) == len({name for name, *_ in rows}) == len(metrics.merged())
    assert {kind for _, kind, *_ in rows} == {"counter", "gauge", "histogram"}
    assert all(name.endswith("_total") == (kind == "counter") for name, kind, *_ in rows)


def test_every_label_without_listed_values_is_explained() -> None:
    cells = re.findall(r"^\| `\w+` \| (?:counter|gauge|histogram) \| (.*?) \|", page("metrics"), re.MULTILINE)
    open_labels = {label.strip("`") for cell in cells for label in cell.split("; ") if label and ":" not in label}
    explained = set(re.findall(r"^\| `(\w+)` \| [^|]+ \|$", page("metrics"), re.MULTILINE))
    assert open_labels == explained


def test_the_event_in_the_page_of_keys_is_one_that_the_processor_reads() -> None:
    [command, _] = blocks("redis-keys", "sh")
    text = command.partition("event '")[2].rstrip("'\n")
    address, word = f"0x{'11' * 20}", f"0x{'22' * 32}"
    text = text.replace('"address":"0x…"', f'"address":"{address}"').replace("0x…", word)
    assert parse_event(json.loads(text))["address"] == address


def test_text_of_the_code_becomes_markdown_without_marks_of_its_own() -> None:
    assert plain("a * b < c `d*e` _f_ g_h [i](j)") == r"a \* b &lt; c `d*e` \_f\_ g_h \[i](j)"
    assert sentence("where it is.") == "Where it is."
    assert table(("a",), [("b | `c|d`\ne",)]) == "| a |\n| --- |\n| b &#124; <code>c&#124;d</code> e |"
    assert [duration(seconds) for seconds in (0.25, 90, 120, 86400)] == ["0.25s", "90s", "2m", "1d"]
