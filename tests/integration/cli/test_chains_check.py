"""`hookfarm chains check`: a report of one node, the settings that fit, and the exit code."""

import json
import tomllib
from collections.abc import Iterator

import pytest

from hookfarm import config
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from tests.support.farm_processes import hookfarm

KEY = "a-key-0123456789abcdef"


@pytest.fixture
def devchain() -> Iterator[RunningDevchain]:
    with running_devchain(logs_per_block=3) as devchain:
        devchain.mine(20)
        yield devchain


def test_a_node_that_fits_ends_with_settings_to_paste(devchain: RunningDevchain) -> None:
    devchain.set_fault("error", method="eth_getLogs", code=-32601, message="disabled")
    done = hookfarm("chains", "check", devchain.http_url, "--blocks", "4")
    assert (done.returncode, done.stderr) == (0, ""), "no progress without a terminal"
    lines = done.stdout.splitlines()
    assert any(line.startswith("note") and "eth_getLogs" in line and "refused" in line for line in lines)
    file = "\n".join(line.strip() for line in lines[lines.index("  [chains]") :][:2])
    [pasted] = config.load({"chains": tomllib.loads(file)["chains"]}).chains
    [line] = [line.strip() for line in lines if "--chain" in line]
    [optional] = config.load({"chains": line.removeprefix("--chain ").strip("'")}).chains
    assert pasted == optional
    assert (pasted.chain_id, pasted.urls, pasted.verify) == (31337, (devchain.http_url,), "receipts")


def test_secrets_of_the_url_are_not_shown(devchain: RunningDevchain) -> None:
    done = hookfarm("chains", "check", f"{devchain.ws_url}/{KEY}?token={KEY}", "--blocks", "2")
    assert KEY not in done.stdout + done.stderr
    assert done.returncode == 0, done.stdout


def test_a_url_with_a_path_is_shown_to_be_completed(devchain: RunningDevchain) -> None:
    done = hookfarm("chains", "check", f"{devchain.http_url}/{KEY}", "--blocks", "2")
    assert done.returncode == 0, done.stdout
    assert KEY not in done.stdout + done.stderr
    assert f'31337 = {{ urls = "{devchain.http_url}/…" }}' in done.stdout
    assert "with the whole URL in place of the one above" in done.stdout


def test_a_node_that_does_not_fit_ends_with_exit_code_1_and_its_problem(devchain: RunningDevchain) -> None:
    for method in ("eth_getLogs", "eth_getBlockReceipts", "eth_getTransactionReceipt"):
        devchain.set_fault("error", method=method)
    done = hookfarm("chains", "check", devchain.http_url, "--blocks", "3", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["chain_id"], report["fits"], report["settings"]) == (31337, False, {})
    [problem] = [each for each in report["findings"] if each["level"] == "problem"]
    assert (problem["name"], problem["meaning"]) == ("proof", "hookfarm would wait at this block")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("ftp://node.example",), "URL: 'ftp://node.example' is not a node's URL; it must begin with ws://"),
        (("http://node.example", "--blocks", "1"), "--blocks: 1 is out of range; allowed are 2 to 500"),
    ],
)
def test_invalid_arguments_are_errors_of_one_line(arguments: tuple[str, ...], error: str) -> None:
    done = hookfarm("chains", "check", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"hookfarm: {error}")
    assert len(done.stderr.splitlines()) == 1
