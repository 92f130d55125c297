"""Every page is followed: its shell blocks are run in order, against a chain, a farm and a receiver."""

import json
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hookfarm.devchain.embedded import running_devchain
from tests.support.doc_pages import Block, blocks, pages
from tests.support.doc_shell import DocShell
from tests.support.pipeline import LOOPBACK, TRANSFER
from tests.support.receivers import Receiver, running_receiver
from tests.support.waiting import eventually

FROM_NOTHING = ("README.md", "docs/tutorials/first-webhook.md", "docs/tutorials/your-own-contract.md")
"""Pages whose reader has nothing running yet."""
CHAIN_ID = 1
BLOCKS = 30


def runnable_pages() -> list[str]:
    return [page for page in pages() if any(block.is_run for block in blocks(page))]


class World:
    """A chain, and a receiver at https://example.com/hooks."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.receiver: Receiver = stack.enter_context(running_receiver())
        self.chain = stack.enter_context(running_devchain(chain_id=CHAIN_ID, block_time=0.5, logs_per_block=2))
        self.chain.mine(BLOCKS)
        self.shell = DocShell(
            folder,
            {
                "https://example.com/hooks": f"http://127.0.0.1:{self.receiver.port}/hooks",
                "https://example.com/ops": f"http://127.0.0.1:{self.receiver.port}/ops",
                "wss://node.example/your-key": self.chain.ws_url,
                "https://other.example": self.chain.http_url,
                "--from-block 19000000": "--from-block 1",
                "--to-block 19100000": f"--to-block {BLOCKS // 2}",
                "--seconds 20": "--seconds 3",
            },
        )
        stack.callback(self.shell.close)

    def start_farm(self) -> None:
        """A farm that watches the chain, and an endpoint that has been sent something."""
        shell = self.shell
        shell.export("HOOKFARM_ALLOW_PRIVATE", LOOPBACK)
        shell.run(_block("hookfarm start --chain 1=wss://node.example/your-key,https://other.example"))
        shell.run(
            _block(f'hookfarm endpoints add https://example.com/hooks --chain {CHAIN_ID} --event "{TRANSFER}"')
        )
        self.receiver.wait_for(1)
        eventually(self._has_logged_delivery, what="a delivery in the log")

    def _has_logged_delivery(self) -> bool:
        self.shell.run(_block("hookfarm deliveries list"))
        return "msg_" in self.shell.last_output


def _block(text: str) -> Block:
    return Block("the test", 0, "sh", f"{text}\n", "")


@pytest.fixture
def world() -> Iterator[World]:
    """Its folder has a short path, because the path of a unix socket is at most 107 bytes long."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hf-page-"))
        yield World(Path(folder), stack)


@pytest.mark.parametrize("page", runnable_pages())
def test_a_page_can_be_followed_and_prints_what_it_shows(page: str, world: World) -> None:
    if page in FROM_NOTHING:
        world.shell.export("HOOKFARM_ALLOW_PRIVATE", LOOPBACK)
    else:
        world.start_farm()
    was_run = False
    for block in blocks(page):
        if block.language == "sh":
            was_run = block.is_run
            if was_run:
                world.shell.run(block)
        elif _is_output(block) and (was_run or block.argument("output of")):
            world.shell.expect(block)
        _write_files(block, world.shell.folder)


def _is_output(block: Block) -> bool:
    return block.language == "text" and not block.remark.startswith(("example: ", "where: "))


def _write_files(block: Block, folder: Path) -> None:
    """A block with the remark `file: NAME` is a file that the reader saves."""
    if (name := block.argument("file")) is not None:
        (folder / name).write_text(block.text)


def test_the_webhook_of_the_readme_has_the_fields_of_a_real_one(world: World) -> None:
    world.start_farm()
    [shown] = [json.loads(block.text) for block in blocks("README.md") if block.language == "json"]
    arrived = json.loads(world.receiver.received[0].body)
    assert list(shown) == list(arrived)
    assert list(shown["data"]) == list(arrived["data"])
    headers = next(block.text for block in blocks("README.md") if block.remark.startswith("example: headers"))
    for line in headers.splitlines()[1:]:
        assert world.receiver.received[0].header(line.partition(":")[0])


def test_the_api_answers_as_the_pages_call_it(world: World) -> None:
    """The token of the page is the file that it names."""
    world.start_farm()
    token = (world.shell.folder / ".local/state/hookfarm/api-token").read_text().strip()
    request = urllib.request.Request(
        f"http://127.0.0.1:{world.shell.api_port}/v1/chains", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        assert json.load(response)["data"][0]["chain_id"] == CHAIN_ID
