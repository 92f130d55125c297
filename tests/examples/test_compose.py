"""examples/compose: checked against what hookfarm accepts, for there is no Docker in the tests."""

import configparser
import re
import shlex
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from hookfarm import config
from tests.examples.command_line import parse
from tests.examples.languages import RECEIVERS
from tests.examples.walk import commands
from tests.support.farm_processes import CHECKOUT

COMPOSE = CHECKOUT / "examples/compose"
FILE: Any = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
SERVICES: dict[str, Any] = FILE["services"]
VARIABLES = dict(
    line.split("=", 1) for line in (COMPOSE / ".env.example").read_text().splitlines() if not line.startswith("#")
)
DOCKER = ["docker", "compose", "-f", "examples/compose/compose.yaml"]
EXEC = ["exec", "hookfarm", "hookfarm"]


def filled(text: str) -> str:
    """`${NAME}` replaced by its value in .env.example."""
    return re.sub(r"\$\{(\w+)\}", lambda found: VARIABLES[found[1]], text)


def environment() -> dict[str, str]:
    return {name: filled(value) for name, value in SERVICES["hookfarm"]["environment"].items()}


def test_the_settings_of_the_farm_exist_and_are_accepted(tmp_path: Path) -> None:
    known = {setting.variable for setting in config.SETTINGS}
    assert environment().keys() <= known
    loaded = config.load({}, file=None, environment={**environment(), "HOOKFARM_STATE_DIR": str(tmp_path)})
    assert [chain.chain_id for chain in loaded.chains] == [1]
    assert (loaded.api.host, loaded.api.port) == ("0.0.0.0", 8400)


def test_the_commands_of_the_services_exist() -> None:
    parse(SERVICES["hookfarm"]["command"])
    kind, program, *words = SERVICES["hookfarm"]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "hookfarm")
    parse(words)


def test_the_farm_stops_before_docker_kills_it() -> None:
    stop = SERVICES["hookfarm"]["stop_grace_period"].removesuffix("s")
    assert float(stop) > config.load({}, file=None, environment={}).grace_seconds


def test_hosts_volumes_and_the_private_network_fit_together() -> None:
    assert f"//{next(iter(SERVICES))}:6379" in environment()["HOOKFARM_REDIS_URL"]
    [network] = FILE["networks"]["default"]["ipam"]["config"]
    assert environment()["HOOKFARM_ALLOW_PRIVATE"] == network["subnet"]
    assert ip_network(network["subnet"]).is_private
    named = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert named == FILE["volumes"].keys()


def test_the_image_contains_what_the_package_needs() -> None:
    build = SERVICES["hookfarm"]["build"]
    dockerfile = (COMPOSE / build["context"] / build["dockerfile"]).read_text()
    copied = [
        word for line in re.findall(r"^COPY (?!--)(.*) /src", dockerfile, re.MULTILINE) for word in line.split()
    ]
    assert all((CHECKOUT / word).exists() for word in copied)
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    needed = {"setup.cfg", "pyproject.toml", setup["metadata"]["license_files"], "README.md", "hookfarm"}
    assert set(copied) == needed
    assert setup["options.entry_points"]["console_scripts"].strip().startswith("hookfarm = ")
    assert 'ENTRYPOINT ["hookfarm"]' in dockerfile


def test_the_receiver_has_the_variables_that_it_reads() -> None:
    receiver = SERVICES["receiver"]
    source = (RECEIVERS / "python/receiver.py").read_text()
    assert all(f'"{name}"' in source for name in receiver["environment"])
    assert (COMPOSE / receiver["build"]["context"]).resolve() == RECEIVERS / "python"
    assert "COPY receiver.py " in receiver["build"]["dockerfile_inline"]


@pytest.mark.parametrize("command", commands((COMPOSE / "README.md").read_text()))
def test_the_commands_of_the_readme_fit_the_file(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "cp":
        assert (CHECKOUT / words[1]).is_file()
        return
    assert words[:4] == DOCKER
    action, *arguments = words[4:]
    if words[4:7] == EXEC:
        parse(words[7:])
        [url] = [word for word in words if word.startswith("http://")]
        assert url == f"http://receiver:{SERVICES['receiver']['environment']['PORT']}/"
        return
    allowed = {"up": {"--build", "--detach"}, "logs": {"--follow"}}[action]
    options = {word for word in arguments if word.startswith("--")}
    assert options <= allowed
    assert set(arguments) - options <= SERVICES.keys()
