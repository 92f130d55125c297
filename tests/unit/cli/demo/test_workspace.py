import os
import socket
from collections.abc import Iterator

import pytest

from hookfarm.cli.demo.farm import Workspace


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    made = Workspace()
    try:
        yield made
    finally:
        if made.path.exists():
            made.remove()


def test_lines_are_whole_however_they_are_written(workspace: Workspace) -> None:
    assert workspace.lines() == []
    with workspace.pipe.open("wb", buffering=0) as pipe:
        pipe.write(b"one\ntw")
        assert workspace.lines() == ["one"]
        pipe.write(b"o\nthree\n")
        assert workspace.lines() == ["two", "three"]
    assert workspace.lines() == []


def test_a_thousand_lines_wait_for_a_reader(workspace: Workspace) -> None:
    with os.fdopen(os.open(workspace.pipe, os.O_WRONLY | os.O_NONBLOCK), "wb", buffering=0) as pipe:
        for _ in range(1000):
            assert pipe.write(b"x" * 199 + b"\n") == 200
        assert len(workspace.lines()) == 1000


def test_its_ports_are_reserved_but_may_be_listened_on_by_a_child(workspace: Workspace) -> None:
    for address in (workspace.devchain, workspace.receiver):
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind((address.host, address.port))
        with socket.create_server((address.host, address.port)):
            socket.create_connection((address.host, address.port), timeout=5).close()


def test_nothing_is_left_when_it_is_removed(workspace: Workspace) -> None:
    workspace.log.write_text("said")
    workspace.remove()
    assert not workspace.path.exists()
    for address in (workspace.devchain, workspace.receiver):
        with socket.socket() as stranger:
            stranger.bind((address.host, address.port))
