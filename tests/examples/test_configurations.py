"""The examples that are commands and files, and the commands of all READMEs."""

import shlex
from pathlib import Path

import pytest

from hookfarm.registry import file as registry_file
from tests.examples.command_line import parse
from tests.examples.walk import EXAMPLES, commands, walk
from tests.support.anvil import require_anvil
from tests.support.redis_server import running_redis

CONTRACT = "0x" + "11" * 20


def test_the_file_of_endpoints_is_applied_and_exported(tmp_path: Path) -> None:
    with running_redis() as server, walk("endpoints-toml", HOOKFARM_REDIS_URL=server.url) as example:
        assert "3 added, 0 changed, 0 removed, 0 unchanged" in example.run("--dry-run")
        applied = example.run("--yes")
        assert applied.count("secret of ep_") == 3
        exported = tmp_path / "exported.toml"
        exported.write_text(example.run("export"))
        written = registry_file.read(EXAMPLES / "endpoints-toml/endpoints.toml")
        assert {endpoint["url"] for endpoint in registry_file.read(exported)} == {each["url"] for each in written}


def test_a_contract_on_anvil_is_watched_through_a_reorg() -> None:
    anvil = require_anvil()
    with walk("own-chain-with-anvil") as example:
        port = example.reserve_port()
        example.replaced |= {"anvil --port 8545": f"{anvil} --port {port}", "127.0.0.1:8545": f"127.0.0.1:{port}"}
        example.variables["NODE"] = f"http://127.0.0.1:{port}"
        example.start("anvil --port").wait_for("Listening on")
        example.start_farm()
        example.replaced["0x…"] = example.run("contract.py deploy").strip()
        example.run("endpoints add")
        listener = example.start("hookfarm listen")
        example.run("contract.py transfer")
        assert "value=1000000" in listener.wait_for("log.emitted")
        assert "error" not in example.run("anvil_reorg")
        assert "error" not in example.run("anvil_mine")
        assert "value=1000000" in listener.wait_for("log.removed")


@pytest.mark.parametrize("readme", sorted(EXAMPLES.glob("*/README.md")), ids=lambda path: path.parent.name)
def test_the_commands_of_a_readme_are_commands_with_such_options(readme: Path) -> None:
    for command in commands(readme.read_text()):
        words = shlex.split(command.replace("ep_…", "ep_" + "0" * 24).replace("0x…", CONTRACT))
        if words[0] == "bin/hookfarm":
            parse(words[1:])


def test_an_example_of_code_names_files_that_exist() -> None:
    for readme in EXAMPLES.glob("*/README.md"):
        for command in commands(readme.read_text()):
            named = [word for word in shlex.split(command) if word.startswith("examples/")]
            assert all((EXAMPLES.parent / word).exists() or word.endswith("/.env") for word in named)
