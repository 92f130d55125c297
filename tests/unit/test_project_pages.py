"""The pages for contributors and operators: every link, command, file, name and number in them is real."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import hookfarm
from hookfarm import config
from hookfarm.api import process as api_process
from hookfarm.api import requests as api_requests
from hookfarm.cli.main import COMMANDS, load
from hookfarm.config.settings import Config
from hookfarm.http_client import connections, outcome, response
from hookfarm.receiver import verification
from hookfarm.registry import store
from hookfarm.security import ssrf
from tests.support.farm_processes import CHECKOUT

NAMES = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "RELEASING.md", "docs/reference/public-api.md")
FORMS = sorted((CHECKOUT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
PAGES = {
    **{name: (CHECKOUT / name).read_text() for name in NAMES},
    **{str(path.relative_to(CHECKOUT)): path.read_text() for path in (CHECKOUT / ".github").glob("*.md")},
}
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
REPOSITORY = "https://github.com/hookfarm/hookfarm"
STANDARDS = ("https://keepachangelog.com/en/1.1.0/", "https://semver.org/spec/v2.0.0.html")
HOST_COMMANDS = {"git", "cd", "rm", "python3", "cp"}
OTHER_PYTEST_OPTIONS = {"--cov", "--chaos", "--chaos-seed", "-n", "-k"}
FILE_SUFFIXES = {".py", ".lua", ".md", ".json", ".yml", ".yaml", ".cfg", ".toml", ".lock"}

on_each_page = pytest.mark.parametrize("page", PAGES)


def prose(page: str) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", PAGES[page])


def code_spans(page: str) -> list[str]:
    return CODE.findall(prose(page))


def commands(page: str) -> Iterator[list[str]]:
    """Each command in a block without a language and in a code span, as words."""
    blocks = [text for language, text in FENCE.findall(PAGES[page]) if not language]
    lines = [line.strip() for text in blocks for line in text.splitlines()]
    spans = [span for span in code_spans(page) if " " in span and is_command(span.split()[0])]
    for line in (*lines, *spans):
        for command in line.split(" && "):
            words = shlex.split(re.sub(r"^[A-Z_]+=\S+ ", "", command))
            if words:
                yield words


def is_command(word: str) -> bool:
    return word.startswith(("bin/", ".ci/", ".venv/")) or word == "hookfarm" or word in COMMANDS


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as the repository's site makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@on_each_page
def test_a_link_leads_to_a_page_and_a_heading_that_exist(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        place, _, anchor = target.partition("#")
        linked = (CHECKOUT / page).parent / place if place else CHECKOUT / page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text()), target


@on_each_page
def test_an_address_is_of_the_repository_or_of_a_named_standard(page: str) -> None:
    for address in re.findall(r"https?://[^\s)>\]`]+", PAGES[page]):
        assert address.startswith(REPOSITORY) or address in STANDARDS


@on_each_page
def test_a_command_exists_and_has_the_options_that_it_is_given(page: str) -> None:
    for words in commands(page):
        check_command(words)


def check_command(words: list[str]) -> None:
    program, *arguments = words
    if program in ("bin/hookfarm", "hookfarm") or program.endswith("/bin/hookfarm"):
        check_hookfarm(arguments)
    elif program in COMMANDS:
        check_hookfarm(words)
    elif program == "bin/test":
        check_pytest(arguments)
    elif program in (".venv/bin/python", "python3") and arguments[0] == "-m":
        assert find_spec(arguments[1]) or arguments[1] == "pre_commit", arguments[1]
    elif program.startswith(("bin/", ".ci/")):
        assert (CHECKOUT / program).exists(), program
    else:
        assert program in HOST_COMMANDS or program == ".venv/bin/python" or program.startswith("/tmp/"), program


def check_hookfarm(arguments: list[str]) -> None:
    if arguments in (["--version"], ["--help"]) or arguments[0] == "NAME":
        return
    name, *rest = arguments
    command = load(name)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        command = command.commands[rest.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known, arguments


def check_pytest(arguments: list[str]) -> None:
    for argument in arguments:
        if argument.startswith("-"):
            assert argument in OTHER_PYTEST_OPTIONS, argument
        elif "/" in argument:
            assert (CHECKOUT / argument).exists(), argument


@on_each_page
def test_a_named_file_or_folder_exists(page: str) -> None:
    missing = [span for span in code_spans(page) if is_path(span) and not (CHECKOUT / span).exists()]
    assert missing == []


def is_path(span: str) -> bool:
    if " " in span or "NAME" in span or span.startswith(("/", "http", "redis")) or "<" in span:
        return False
    return ("/" in span and "://" not in span) or (
        Path(span).suffix in FILE_SUFFIXES and span != "test_telemetry.py"
    )


@on_each_page
def test_a_variable_is_one_of_the_settings(page: str) -> None:
    known = {setting.variable for setting in config.SETTINGS}
    assert set(re.findall(r"HOOKFARM_[A-Z_]+", PAGES[page])) <= known


@on_each_page
def test_a_name_of_several_words_is_one_of_the_code(page: str) -> None:
    sources = [path for folder in ("hookfarm", "tests") for path in (CHECKOUT / folder).glob("**/*.py")]
    known = {word for path in sources for word in re.findall(r"\w+", path.read_text())}
    assert {span for span in code_spans(page) if re.fullmatch(r"_?[A-Za-z]+(_[A-Za-z]+)+", span)} <= known


@pytest.mark.parametrize(
    "route", sorted({r for p in PAGES for r in code_spans(p) if re.fullmatch(r"/[\w./]+", r)})
)
def test_a_named_route_is_one_of_the_api(route: str) -> None:
    sources = "".join(path.read_text() for path in (CHECKOUT / "hookfarm" / "api").glob("*.py"))
    assert f'"{route}"' in sources or f"`{route}`" in sources or route == "/openapi.json"


def recipe_steps() -> list[str]:
    """The steps of the recipes that name a file, each as one line."""
    recipes = PAGES["CONTRIBUTING.md"].partition("\n## Recipes")[2].partition("\n## ")[0]
    steps = re.split(r"^\d+\. ", FENCE.sub("", recipes), flags=re.MULTILINE)[1:]
    return [step for step in steps if any(is_path(span) for span in CODE.findall(step.partition("\n#")[0]))]


@pytest.mark.parametrize("step", recipe_steps())
def test_a_step_of_a_recipe_names_what_its_files_contain(step: str) -> None:
    spans = CODE.findall(step.partition("\n#")[0])
    files = [CHECKOUT / span for span in spans if is_path(span)]
    text = "".join(file.read_text() for file in files if file.is_file())
    names = {span for span in spans if re.fullmatch(r"_?[A-Za-z]+(_[A-Za-z]+)*", span) and span != "Unreleased"}
    assert not {name for name in names if not re.search(rf"\b{name}\b", text)}


def test_there_are_recipes_and_their_steps_are_checked() -> None:
    assert len(recipe_steps()) > 25


def kib(count: int) -> str:
    return f"{count // 1024} KiB"


FACTS = {
    "body of a response": f"{kib(response.MAX_BODY_BYTES)} of body, {response.MAX_HEADERS} headers of "
    f"{kib(response.MAX_HEADER_BYTES)} together, {kib(response.MAX_REPLY_BYTES)} of response in all",
    "Retry-After": f"`Retry-After` counts up to {outcome.MAX_RETRY_AFTER_SECONDS / 3600:.0f} hours",
    "TLS": f"At most {kib(connections.MAX_SILENT_BYTES)} without data",
    "rotation": f"After a rotation the old one also signs for {store.ROTATION_SECONDS / 3600:.0f} hours",
    "body of a request": f"{kib(api_requests.MAX_BODY_BYTES)} of body, every field",
    "age of a timestamp": "older than five minutes" if verification.TOLERANCE_SECONDS == 300 else "",
    "secret": f"{store._SECRET_BYTES} random bytes. The API",
    "token": f"else {api_process._BYTES} random bytes in `{api_process._FILE}`",
    "ports": f"Ports are 80, 443 and above {ssrf._FIRST_FREE_PORT - 1}",
}


@pytest.mark.parametrize("fact", FACTS)
def test_a_number_of_the_threat_model_is_that_of_the_code(fact: str) -> None:
    assert FACTS[fact]
    assert FACTS[fact] in PAGES["SECURITY.md"]


def test_the_shortest_token_is_as_long_as_the_threat_model_has_it() -> None:
    found = re.search(r"at least (\d+) characters", PAGES["SECURITY.md"])
    assert found
    shortest = "a" * int(found[1])
    assert config.api_token(shortest) == shortest
    with pytest.raises(ValueError, match="must be 16 to 256"):
        config.api_token(shortest[1:])


def test_the_changelog_has_the_capacity_of_the_defaults() -> None:
    defaults: Config = config.load({}, environment={})
    assert f"in flight, {defaults.workers * defaults.concurrency} by default" in PAGES["CHANGELOG.md"].replace(
        "\n  ", " "
    )
    assert defaults.disable_after == 5 * 86400
    assert "failed for five days is disabled" in PAGES["CHANGELOG.md"].replace("\n  ", " ")


def test_the_changelog_names_every_command() -> None:
    assert {name for name in COMMANDS if f"`{name}`" not in PAGES["CHANGELOG.md"]} == set()


def test_the_changelog_begins_with_what_is_unreleased_and_has_this_version() -> None:
    versions = re.findall(r"^## \[([^\]]+)\]", PAGES["CHANGELOG.md"], re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert hookfarm.__version__ in versions
    assert set(versions) == set(re.findall(r"^\[([^\]]+)\]: ", PAGES["CHANGELOG.md"], re.MULTILINE))


def test_the_changelog_has_the_groups_of_its_format_only() -> None:
    groups = set(re.findall(r"^### (.*)$", PAGES["CHANGELOG.md"], re.MULTILINE))
    assert groups <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@on_each_page
def test_a_line_fits_into_a_hundred_columns_unless_it_is_of_a_table(page: str) -> None:
    assert [line for line in PAGES[page].splitlines() if len(line) > 100 and not line.startswith("|")] == []


@pytest.mark.parametrize("form", [f for f in FORMS if f.name != "config.yml"], ids=lambda path: path.name)
def test_an_issue_form_is_complete(form: Path) -> None:
    read: dict[str, Any] = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= set(read)
    fields = [part for part in read["body"] if part["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_vulnerabilities_are_reported_in_private() -> None:
    [form] = [form for form in FORMS if form.name == "config.yml"]
    [link] = yaml.safe_load(form.read_text())["contact_links"]
    assert link["url"] == f"{REPOSITORY}/security/advisories/new"
    assert link["url"] in PAGES["SECURITY.md"]
    assert "@" not in PAGES["SECURITY.md"]


def test_the_hooks_run_what_continuous_integration_runs() -> None:
    [repository] = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    run = (CHECKOUT / ".ci" / "run").read_text()
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        python, flag, tool, *rest = hook["entry"].split()
        assert (python, flag) == (".venv/bin/python", "-m")
        assert f"-m {tool} {' '.join(rest).removesuffix(' --force-exclude')}" in run


def test_programs_that_the_pages_name_can_be_run() -> None:
    for program in ("bin/hookfarm", "bin/test", "bin/lock", ".ci/run"):
        subprocess.run(["bash", "-n", CHECKOUT / program], check=True)
        assert (CHECKOUT / program).stat().st_mode & 0o100
